//! Cron schedules, as `robfig/cron` reads them: judged here, walked through where jobs are made.

/// Bounds of a field and the names that stand for its numbers.
struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { min: 0, max: 59, names: &[] };
const HOURS: Bounds = Bounds { min: 0, max: 23, names: &[] };
const DAYS: Bounds = Bounds { min: 1, max: 31, names: &[] };
const MONTHS: Bounds = Bounds {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAYS: Bounds = Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

const DESCRIPTORS: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Whether a schedule can be read.
///
/// # Errors
/// Says why not.
pub(super) fn check(schedule: &str) -> Result<(), String> {
    let schedule = match schedule.split_once(' ') {
        Some((zone, rest)) if zone.starts_with("TZ=") || zone.starts_with("CRON_TZ=") => rest.trim(),
        _ => schedule,
    };
    if schedule.starts_with('@') {
        let every = schedule.strip_prefix("@every ").is_some_and(is_duration);
        return match every || DESCRIPTORS.contains(&schedule) {
            true => Ok(()),
            false => Err(format!("unrecognized descriptor: {schedule}")),
        };
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (field, bounds) in fields.iter().zip([MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS]) {
        for expression in field.split(',') {
            range(expression, &bounds)?;
        }
    }
    Ok(())
}

/// `*`, `1`, `1-5`, `*/15`, `1-31/2`
fn range(expression: &str, bounds: &Bounds) -> Result<(), String> {
    let (span, step) = match expression.split('/').collect::<Vec<_>>()[..] {
        [span] => (span, None),
        [span, step] => (span, Some(step)),
        _ => return Err(format!("too many slashes: {expression}")),
    };
    let (start, end) = match span.split('-').collect::<Vec<_>>()[..] {
        ["*" | "?"] => (bounds.min, bounds.max),
        [one] => {
            let start = number(one, bounds)?;
            (start, if step.is_some() { bounds.max } else { start })
        }
        [start, end] => (number(start, bounds)?, number(end, bounds)?),
        _ => return Err(format!("too many hyphens: {expression}")),
    };
    if let Some(step) = step {
        match step.parse::<u32>() {
            Ok(0) => return Err(format!("step of range should be a positive number: {expression}")),
            Ok(_) => {}
            Err(_) => {
                return Err(format!("failed to parse int from {step}: strconv.Atoi: parsing {step:?}: invalid syntax"));
            }
        }
    }
    if start < bounds.min {
        return Err(format!("beginning of range ({start}) below minimum ({}): {expression}", bounds.min));
    }
    if end > bounds.max {
        return Err(format!("end of range ({end}) above maximum ({}): {expression}", bounds.max));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {expression}"));
    }
    Ok(())
}

fn number(text: &str, bounds: &Bounds) -> Result<u32, String> {
    let lower = text.to_lowercase();
    if let Some(place) = bounds.names.iter().position(|name| *name == lower) {
        return Ok(bounds.min + u32::try_from(place).unwrap_or(0));
    }
    text.parse().map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"))
}

/// A duration as Go writes it: `1h30m`.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let unit = ["ns", "us", "ms", "s", "m", "h"].iter().find(|unit| {
            let after = &rest[digits..];
            after.starts_with(**unit) && after[unit.len()..].starts_with(|c: char| c.is_ascii_digit())
                || after == **unit
        });
        match unit {
            Some(unit) if digits > 0 => rest = &rest[digits + unit.len()..],
            _ => return false,
        }
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_as_kubernetes_reads_them() {
        for sound in
            ["* * * * *", "*/15 0-6 1,15 jan-mar MON", "0 0 ? * 0", "@every 1h30m", "@midnight", "5/10 * * * *"]
        {
            assert_eq!(check(sound), Ok(()), "{sound}");
        }
        let check = |schedule: &str, expected: &str| assert_eq!(check(schedule).unwrap_err(), expected);
        check("60 * * * *", "end of range (60) above maximum (59): 60");
        check("* * 0 * *", "beginning of range (0) below minimum (1): 0");
        check("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1");
        check("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax");
        check("*/0 * * * *", "step of range should be a positive number: */0");
        check("@often", "unrecognized descriptor: @often");
    }
}
