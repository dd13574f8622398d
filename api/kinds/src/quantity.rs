//! `resource.Quantity`: amounts with decimal or binary suffixes.

use std::cmp::Ordering;

/// An amount, exact to a billionth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    /// In billionths.
    nano: i128,
}

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// Reads a quantity: `100m`, `1.5Gi`, `2e3`, `-1`. `None` when it is none. Digits below a billionth round up, as in
    /// Kubernetes.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let digits_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(digits_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let (numerator, denominator) = multiplier(suffix)?;
        let mut value: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut scale: i128 = 1;
        for digit in fraction.bytes().take(18) {
            value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
            scale *= 10;
        }
        let divisor = scale.checked_mul(denominator)?;
        let product = value.checked_mul(numerator)?.checked_mul(NANO)?;
        let nano = product / divisor + i128::from(product % divisor != 0);
        Some(Self { nano: if negative { -nano } else { nano } })
    }

    /// Reads a quantity that was validated before; anything else counts as nothing.
    pub fn of(text: &str) -> Self {
        Self::parse(text).unwrap_or_default()
    }

    /// In thousandths, rounded up.
    pub fn milli(self) -> i64 {
        ceil(self.nano, 1_000_000)
    }

    /// In ones, rounded up.
    pub fn value(self) -> i64 {
        ceil(self.nano, NANO)
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { nano: self.nano.saturating_add(other.nano) }
    }

    /// Whether it is below, at or above nothing.
    pub fn sign(self) -> Ordering {
        self.nano.cmp(&0)
    }

    /// Whether it is a whole number.
    pub fn is_whole(self) -> bool {
        self.nano % NANO == 0
    }
}

fn ceil(nano: i128, unit: i128) -> i64 {
    let whole = nano.div_euclid(unit) + i128::from(nano.rem_euclid(unit) != 0);
    i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
}

/// Numerator and denominator of a suffix.
fn multiplier(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (NANO, 1),
        "T" => (NANO * 1000, 1),
        "P" => (NANO * 1_000_000, 1),
        "E" => (NANO * NANO, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs()).filter(|_| exponent.abs() <= 18)?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let check =
            |text: &str, milli: i64| assert_eq!(Quantity::parse(text).map(Quantity::milli), Some(milli), "{text}");
        check("1", 1000);
        check("100m", 100);
        check("1.5", 1500);
        check(".5", 500);
        check("1Ki", 1_024_000);
        check("1e3", 1_000_000);
        check("-2", -2000);
        check("1n", 1);
        check("1.5Gi", 1_610_612_736_000);
        for bad in ["", "m", "1.2.3", "1X", "abc", "1 ", "--1"] {
            assert_eq!(Quantity::parse(bad), None, "{bad}");
        }
        assert!(Quantity::of("1Gi") > Quantity::of("1G"));
        assert_eq!(Quantity::of("500m").plus(Quantity::of("0.5")), Quantity::of("1"));
    }
}
