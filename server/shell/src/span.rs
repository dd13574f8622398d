//! Lengths of time as people write them: `30s`, `15m`, `6h`, `1d`.

use std::time::Duration;

/// Reads one.
///
/// # Errors
/// When it is none, or zero.
pub fn parse(text: &str) -> Result<Duration, String> {
    let bad = || "a length of time is a number and s, m, h or d: 30s, 15m, 6h, 1d".to_owned();
    let unit = text.chars().next_back().ok_or_else(bad)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    let length = count.checked_mul(seconds).filter(|length| *length > 0).ok_or_else(bad)?;
    Ok(Duration::from_secs(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse(text).ok().map(|length| length.as_secs()), expected, "{text}");
        };
        check("30s", Some(30));
        check("15m", Some(900));
        check("6h", Some(21_600));
        check("1d", Some(86_400));
        check("0s", None);
        check("6", None);
        check("h", None);
        check("", None);
        check("6 h", None);
        check("99999999999999999999d", None);
        check("6ä", None);
    }
}
