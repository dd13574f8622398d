//! RFC 3339 as Go's `time.Parse` reads it, with its words for what it cannot read.

/// How finely a type keeps time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// `metav1.Time`: written in whole seconds, read with any fraction.
    Seconds,
    /// `metav1.MicroTime`: exactly six decimals.
    Micros,
}

impl Precision {
    fn layout(self) -> &'static str {
        match self {
            Self::Seconds => "2006-01-02T15:04:05Z07:00",
            Self::Micros => "2006-01-02T15:04:05.000000Z07:00",
        }
    }
}

/// The canonical form (UTC), or `Ok(None)` when the text is canonical already.
///
/// # Errors
/// With Go's message.
pub(crate) fn canonical(text: &str, precision: Precision) -> Result<Option<String>, String> {
    let utc = scan(text, precision)?;
    let wrong = |what: &str| format!("parsing time {text:?}: {what} out of range");
    let us = api_kinds::time::parse(text).ok_or_else(|| wrong("day"))?;
    let as_written = match precision {
        Precision::Seconds => utc && text.len() == 20,
        Precision::Micros => utc,
    };
    if as_written {
        return Ok(None);
    }
    Ok(Some(match precision {
        Precision::Seconds => api_kinds::time::rfc3339(us),
        Precision::Micros => api_kinds::time::rfc3339_micro(us),
    }))
}

/// Checks the form, element by element; whether the zone is `Z`.
fn scan(text: &str, precision: Precision) -> Result<bool, String> {
    let mut scanner = Scanner { text, rest: text, layout: precision.layout() };
    scanner.digits(4, "2006", None)?;
    scanner.literal('-', "-")?;
    scanner.digits(2, "01", Some((1, 12, "month")))?;
    scanner.literal('-', "-")?;
    scanner.digits(2, "02", Some((1, 31, "day")))?;
    scanner.literal('T', "T")?;
    scanner.digits(2, "15", Some((0, 23, "hour")))?;
    scanner.literal(':', ":")?;
    scanner.digits(2, "04", Some((0, 59, "minute")))?;
    scanner.literal(':', ":")?;
    scanner.digits(2, "05", Some((0, 59, "second")))?;
    scanner.fraction(precision)?;
    let utc = scanner.zone()?;
    if scanner.rest.is_empty() {
        Ok(utc)
    } else {
        Err(format!("parsing time {text:?}: extra text: {:?}", scanner.rest))
    }
}

struct Scanner<'a> {
    text: &'a str,
    rest: &'a str,
    layout: &'static str,
}

impl Scanner<'_> {
    fn fail(&self, element: &str) -> String {
        format!("parsing time {:?} as {:?}: cannot parse {:?} as {element:?}", self.text, self.layout, self.rest)
    }

    fn digits(&mut self, count: usize, element: &str, range: Option<(u32, u32, &str)>) -> Result<(), String> {
        let Some(digits) = self.rest.get(..count).filter(|d| d.bytes().all(|b| b.is_ascii_digit())) else {
            return Err(self.fail(element));
        };
        if let Some((min, max, what)) = range {
            let value: u32 = digits.parse().map_err(|_| self.fail(element))?;
            if value < min || value > max {
                return Err(format!("parsing time {:?}: {what} out of range", self.text));
            }
        }
        self.rest = &self.rest[count..];
        Ok(())
    }

    fn literal(&mut self, literal: char, element: &str) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(literal).ok_or_else(|| self.fail(element))?;
        Ok(())
    }

    fn fraction(&mut self, precision: Precision) -> Result<(), String> {
        let after = self.rest.strip_prefix(['.', ',']);
        let digits = after.map_or(0, |after| after.bytes().take_while(u8::is_ascii_digit).count());
        match precision {
            Precision::Seconds if digits > 0 => self.rest = &self.rest[1 + digits..],
            Precision::Seconds => {}
            Precision::Micros if digits >= 6 => self.rest = &self.rest[7..],
            Precision::Micros => return Err(self.fail(".000000")),
        }
        Ok(())
    }

    fn zone(&mut self) -> Result<bool, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(true);
        }
        let zone = self.rest.as_bytes();
        let well_formed = zone.len() >= 6
            && (zone[0] == b'+' || zone[0] == b'-')
            && zone[3] == b':'
            && [1, 2, 4, 5].iter().all(|at| zone[*at].is_ascii_digit());
        if !well_formed {
            return Err(self.fail("Z07:00"));
        }
        self.rest = &self.rest[6..];
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_as_go_does() {
        let check = |text: &str, precision, expected: Result<&str, &str>| {
            let result = canonical(text, precision).map(|written| written.unwrap_or_else(|| text.to_owned()));
            assert_eq!(result, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        };
        let (seconds, micros) = (Precision::Seconds, Precision::Micros);
        check("2024-02-29T10:00:00Z", seconds, Ok("2024-02-29T10:00:00Z"));
        check("2024-01-01T01:00:00+01:00", seconds, Ok("2024-01-01T00:00:00Z"));
        check("2024-01-01T00:00:00.123Z", seconds, Ok("2024-01-01T00:00:00Z"));
        check("2024-01-01T00:00:00.123456Z", micros, Ok("2024-01-01T00:00:00.123456Z"));
        check(
            "yesterday",
            seconds,
            Err("parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\""),
        );
        check("2024-13-01T00:00:00Z", seconds, Err("parsing time \"2024-13-01T00:00:00Z\": month out of range"));
        check("2023-02-29T00:00:00Z", seconds, Err("parsing time \"2023-02-29T00:00:00Z\": day out of range"));
        check(
            "2024-01-01T00:00:00Z",
            micros,
            Err(
                "parsing time \"2024-01-01T00:00:00Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\"",
            ),
        );
        check("2024-01-01T00:00:00Zx", seconds, Err("parsing time \"2024-01-01T00:00:00Zx\": extra text: \"x\""));
        check(
            "2024-01-01",
            seconds,
            Err("parsing time \"2024-01-01\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"T\""),
        );
    }
}
