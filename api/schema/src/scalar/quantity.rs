//! The canonical form of quantities (`resource.Quantity`): the largest suffix that leaves no fraction, in the family of
//! suffixes that the text came with.

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Decimal,
    Binary,
    Exponent,
}

/// What Kubernetes says of everything that is no quantity.
pub(crate) const MALFORMED: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const NANO: i128 = 1_000_000_000;
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// The canonical form of a quantity, or `Ok(None)` when the text is canonical already.
///
/// # Errors
/// With Kubernetes' message when it is no quantity.
pub(crate) fn canonical(text: &str) -> Result<Option<String>, &'static str> {
    if plainly_canonical(text.as_bytes()) {
        return Ok(None);
    }
    let (nano, family) = parse(text.trim()).ok_or(MALFORMED)?;
    let written = write(nano, family);
    Ok((written != text).then_some(written))
}

/// The common cases, told at a glance: `250m`, `3`, `100Mi` with an odd number.
fn plainly_canonical(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, suffix) = text.split_at(digits);
    if number.is_empty() || number[0] == b'0' || number.len() > 15 {
        return false;
    }
    match suffix {
        b"" | b"m" | b"k" | b"M" | b"G" | b"T" => !number.ends_with(b"000"),
        // An odd number has no factor of 1024, however large.
        b"Ki" | b"Mi" | b"Gi" | b"Ti" => number[number.len() - 1] % 2 == 1,
        _ => false,
    }
}

/// The amount in billionths, rounded up, and how it was written.
fn parse(text: &str) -> Option<(i128, Family)> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (numerator, denominator, family) = multiplier(suffix)?;
    let mut value: i128 = 0;
    let mut scale: i128 = 1;
    for digit in whole.bytes() {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    for digit in fraction.bytes().take(18) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        scale *= 10;
    }
    // Reduced first, so that large suffixes do not overflow.
    let (numerator, scale) = reduce(numerator.checked_mul(NANO)?, scale.checked_mul(denominator)?);
    let product = value.checked_mul(numerator)?;
    let nano = product / scale + i128::from(product % scale != 0);
    Some((if negative { -nano } else { nano }, family))
}

fn reduce(numerator: i128, denominator: i128) -> (i128, i128) {
    let (mut a, mut b) = (numerator, denominator);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (numerator / a, denominator / a)
}

fn multiplier(suffix: &str) -> Option<(i128, i128, Family)> {
    if let Some(place) = DECIMAL.iter().position(|known| *known == suffix) {
        let place = u32::try_from(place).ok()?;
        let power = |thousands: u32| 1000_i128.pow(thousands);
        return Some(if place < 3 {
            (1, power(3 - place), Family::Decimal)
        } else {
            (power(place - 3), 1, Family::Decimal)
        });
    }
    if let Some(place) = BINARY.iter().position(|known| *known == suffix) {
        return Some((1 << (10 * place), 1, Family::Binary));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs()).filter(|_| exponent.abs() <= 20)?;
    Some(if exponent < 0 { (1, power, Family::Exponent) } else { (power, 1, Family::Exponent) })
}

fn write(nano: i128, family: Family) -> String {
    if nano == 0 {
        return "0".to_owned();
    }
    let ones = nano / NANO;
    // Small amounts would be rounded in the binary family.
    if family == Family::Binary && nano.abs() >= 1024 * NANO {
        let mut value = ones + i128::from(nano % NANO != 0) * nano.signum();
        let mut place = 0;
        while value % 1024 == 0 && place + 1 < BINARY.len() {
            value /= 1024;
            place += 1;
        }
        return format!("{value}{}", BINARY[place]);
    }
    let mut value = nano;
    let mut place = 0;
    while value % 1000 == 0 && place + 1 < DECIMAL.len() {
        value /= 1000;
        place += 1;
    }
    match family {
        Family::Exponent if place == 3 => value.to_string(),
        Family::Exponent => format!("{value}e{}", place as i32 * 3 - 9),
        _ => format!("{value}{}", DECIMAL[place]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_as_kubernetes_writes_them() {
        let check = |text: &str, expected: &str| {
            let written = canonical(text).unwrap();
            assert_eq!(written.as_deref().unwrap_or(text), expected, "{text}");
        };
        check("1", "1");
        check("1000m", "1");
        check("0.5", "500m");
        check("1.5", "1500m");
        check("100m", "100m");
        check("2000", "2k");
        check("1024Mi", "1Gi");
        check("1.5Gi", "1536Mi");
        check("1500Mi", "1500Mi");
        check("512Mi", "512Mi");
        check("64Mi", "64Mi");
        check("0.5Ki", "512");
        check("1e3", "1e3");
        check("12e6", "12e6");
        check("1.5e3", "1500");
        check("0", "0");
        check("0Mi", "0");
        check("-1000m", "-1");
        check("+3", "3");
        check("100E", "100E");
        check(".5", "500m");
        check("1n", "1n");
        check("0.1n", "1n");
        check("128974848", "128974848");
        check("129e6", "129e6");
        check("123Mi", "123Mi");
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for bad in ["", "m", "1.2.3", "1X", "abc", "--1", "1 Gi", "1e", "Mi"] {
            assert_eq!(canonical(bad), Err(MALFORMED), "{bad}");
        }
    }
}
