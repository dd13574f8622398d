//! `resource.Quantity`: amounts with decimal or binary suffixes.

use std::cmp::Ordering;
use std::fmt::{self, Write};
use std::iter::Sum;

use serde_json::Value;

/// An amount, exact to a billionth, and how it was written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    /// In billionths.
    nano: i128,
    format: Format,
}

/// The family of suffixes that an amount was written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `m`, `k`, `M` …
    #[default]
    Decimal,
    /// `Ki`, `Mi` …
    Binary,
    /// `e3`
    Exponent,
}

const NANO: i128 = 1_000_000_000;
/// Binary amounts are capped here, as in Kubernetes.
const BINARY_MAX: i128 = (i64::MAX as i128) * NANO;

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
        let (numerator, denominator, format) = multiplier(suffix)?;
        let mut value: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut scale: i128 = 1;
        for digit in fraction.bytes().take(18) {
            value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
            scale *= 10;
        }
        let divisor = scale.checked_mul(denominator)?;
        let mut product = value.checked_mul(numerator)?.checked_mul(NANO)?;
        if format == Format::Binary {
            product = product.min(BINARY_MAX.saturating_mul(divisor));
        }
        let nano = product / divisor + i128::from(product % divisor != 0);
        Some(Self { nano: if negative { -nano } else { nano }, format })
    }

    /// Reads a quantity that was validated before; anything else counts as nothing.
    pub fn of(text: &str) -> Self {
        Self::parse(text).unwrap_or_default()
    }

    /// The quantity of a field's value, if it is one.
    pub fn of_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// A quantity as Kubernetes writes it back (`Quantity.String`): `0.5` is `500m`, `1024Mi` is `1Gi`, `1000` is `1k`.
    pub fn canonical(text: &str) -> Option<String> {
        Self::parse(text).map(|quantity| quantity.to_string())
    }

    /// Of so many ones.
    pub fn from_value(value: i64) -> Self {
        Self { nano: i128::from(value) * NANO, format: Format::Decimal }
    }

    /// Of so many thousandths.
    pub fn from_milli(milli: i64) -> Self {
        Self { nano: i128::from(milli) * 1_000_000, format: Format::Decimal }
    }

    /// In thousandths, rounded up.
    pub fn milli(self) -> i64 {
        ceil(self.nano, 1_000_000)
    }

    /// In ones, rounded up.
    pub fn value(self) -> i64 {
        ceil(self.nano, NANO)
    }

    /// Rounded up to thousandths, as the API rounds lists of resources.
    #[must_use]
    pub fn rounded_to_milli(self) -> Self {
        Self { nano: i128::from(self.milli()) * 1_000_000, ..self }
    }

    /// The sum, written as the first is; as the second when the first is nothing.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let format = if self.nano == 0 { other.format } else { self.format };
        Self { nano: self.nano.saturating_add(other.nano), format }
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.plus(Self { nano: -other.nano, ..other })
    }

    /// Whether it is below, at or above nothing.
    pub fn sign(self) -> Ordering {
        self.nano.cmp(&0)
    }

    /// Whether it is a whole number.
    pub fn is_whole(self) -> bool {
        self.nano % NANO == 0
    }

    /// Whether it is a whole number of thousandths.
    pub fn is_whole_milli(self) -> bool {
        self.nano % 1_000_000 == 0
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Self::plus)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_char('0');
        }
        let binary = self.format == Format::Binary && self.is_whole() && self.nano.abs() >= 1024 * NANO;
        if binary {
            return write_scaled(f, self.nano / NANO, 1024, &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]);
        }
        if self.format == Format::Exponent {
            return write_exponent(f, self.nano);
        }
        write_scaled(f, self.nano, 1000, &["n", "u", "m", "", "k", "M", "G", "T", "P", "E"])
    }
}

/// The number without the factors that a larger suffix says.
fn write_scaled(f: &mut fmt::Formatter<'_>, mut number: i128, factor: i128, suffixes: &[&str]) -> fmt::Result {
    let mut place = 0;
    while number % factor == 0 && place + 1 < suffixes.len() {
        number /= factor;
        place += 1;
    }
    write!(f, "{number}{}", suffixes[place])
}

fn write_exponent(f: &mut fmt::Formatter<'_>, mut number: i128) -> fmt::Result {
    let mut exponent = -9;
    while number % 1000 == 0 {
        number /= 1000;
        exponent += 3;
    }
    if exponent == 0 { write!(f, "{number}") } else { write!(f, "{number}e{exponent}") }
}

/// Rewrites the amounts of a map of resources as Kubernetes writes them back: rounded to thousandths, canonical.
pub fn canonicalize_list(resources: &mut Value) {
    for amount in resources.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        if let Some(quantity) = Quantity::of_json(amount) {
            *amount = quantity.rounded_to_milli().to_string().into();
        }
    }
}

/// Rewrites one amount as Kubernetes writes it back.
pub fn canonicalize(amount: &mut Value) {
    if let Some(quantity) = Quantity::of_json(amount) {
        *amount = quantity.to_string().into();
    }
}

fn ceil(nano: i128, unit: i128) -> i64 {
    let whole = nano.div_euclid(unit) + i128::from(nano.rem_euclid(unit) != 0);
    i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
}

/// Numerator and denominator of a suffix, and its family.
fn multiplier(suffix: &str) -> Option<(i128, i128, Format)> {
    let decimal = |numerator: i128, denominator: i128| (numerator, denominator, Format::Decimal);
    let binary = |shift: u32| (1_i128 << shift, 1, Format::Binary);
    Some(match suffix {
        "" => decimal(1, 1),
        "n" => decimal(1, NANO),
        "u" => decimal(1, 1_000_000),
        "m" => decimal(1, 1000),
        "k" => decimal(1000, 1),
        "M" => decimal(1_000_000, 1),
        "G" => decimal(NANO, 1),
        "T" => decimal(NANO * 1000, 1),
        "P" => decimal(NANO * 1_000_000, 1),
        "E" => decimal(NANO * NANO, 1),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs()).filter(|_| exponent.abs() <= 18)?;
            let (numerator, denominator) = if exponent < 0 { (1, power) } else { (power, 1) };
            (numerator, denominator, Format::Exponent)
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
        for bad in ["", "m", "1.2.3", "1X", "abc", "1 ", "--1", "1e", "1i"] {
            assert_eq!(Quantity::parse(bad), None, "{bad}");
        }
        assert!(Quantity::of("1Gi") > Quantity::of("1G"));
        assert_eq!(Quantity::of("500m").plus(Quantity::of("0.5")), Quantity::of("1"));
        assert_eq!(Quantity::of("1Gi").minus(Quantity::of("512Mi")).to_string(), "512Mi");
    }

    #[test]
    fn quantities_are_written_as_kubernetes_writes_them() {
        let check =
            |text: &str, expected: &str| assert_eq!(Quantity::canonical(text).as_deref(), Some(expected), "{text}");
        check("0.5", "500m");
        check("1000m", "1");
        check("1500m", "1500m");
        check("100m", "100m");
        check("1000", "1k");
        check("128974848", "128974848");
        check("129M", "129M");
        check("1024Mi", "1Gi");
        check("1.5Gi", "1536Mi");
        check("64Mi", "64Mi");
        check("512", "512");
        check("0.5Ki", "512");
        check("1e3", "1e3");
        check("1e4", "10e3");
        check("0", "0");
        check("0Mi", "0");
        check("-0.25", "-250m");
        check("100Ei", "9223372036854775807");
    }

    #[test]
    fn lists_are_rounded_to_thousandths() {
        let mut list = serde_json::json!({"cpu": "0.0001", "memory": "2048Mi", "x": 3});
        canonicalize_list(&mut list);
        assert_eq!(list, serde_json::json!({"cpu": "1m", "memory": "2Gi", "x": "3"}));
    }
}
