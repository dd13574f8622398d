//! Times as Kubernetes writes them, and ages as its tables print them.

use jiff::Timestamp;

/// `metav1.Time`: RFC 3339 in UTC, whole seconds. From microseconds since the epoch.
pub fn rfc3339(us: i64) -> String {
    let at = Timestamp::from_second(us.div_euclid(1_000_000)).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.MicroTime`: RFC 3339 in UTC with six decimals.
pub fn rfc3339_micro(us: i64) -> String {
    let at = Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Reads RFC 3339, with or without decimals and with any offset; microseconds since the epoch.
pub fn parse(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

/// An age as kubectl's tables print it (`duration.HumanDuration`): `45s`, `3m20s`, `7h5m`, `2d3h`, `40d`, `3y`.
pub fn human_duration(us: i64) -> String {
    let seconds = us.div_euclid(1_000_000);
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    if seconds < 0 {
        return "0s".to_owned();
    }
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |large: i64, unit: char, small: i64, small_unit: char| {
        if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{small_unit}") }
    };
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        pair(minutes, 'm', seconds % 60, 's')
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        pair(hours, 'h', minutes % 60, 'm')
    } else if hours < 48 {
        format!("{hours}h")
    } else if hours < 192 {
        pair(days, 'd', hours % 24, 'h')
    } else if days < 730 {
        format!("{days}d")
    } else if days < 365 * 8 {
        pair(days / 365, 'y', days % 365, 'd')
    } else {
        format!("{}y", days / 365)
    }
}

/// The age of an object with this `creationTimestamp`, or `<unknown>`.
pub fn age(created: Option<&str>, now_us: i64) -> String {
    created.and_then(parse).map_or_else(|| "<unknown>".to_owned(), |us| human_duration(now_us - us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_as_kubernetes_does() {
        let us = 1_700_000_000_123_456;
        assert_eq!(rfc3339(us), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339_micro(us), "2023-11-14T22:13:20.123456Z");
        assert_eq!(parse("2023-11-14T22:13:20.123456Z"), Some(us));
        assert_eq!(parse("2023-11-14T23:13:20+01:00"), Some(1_700_000_000_000_000));
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn ages_are_those_of_kubectl() {
        let check = |seconds: i64, expected: &str| assert_eq!(human_duration(seconds * 1_000_000), expected);
        check(0, "0s");
        check(119, "119s");
        check(120, "2m");
        check(200, "3m20s");
        check(3600, "60m");
        check(7 * 3600 + 300, "7h5m");
        check(47 * 3600, "47h");
        check(2 * 86_400 + 3 * 3600, "2d3h");
        check(40 * 86_400, "40d");
        check(-5, "<invalid>");
    }
}
