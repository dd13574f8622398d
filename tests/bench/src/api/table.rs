//! The figures of both sides beside each other, with what was aimed at.

use serde_json::Value;

/// One figure.
struct Row {
    label: &'static str,
    /// Where it stands in what was measured.
    pointer: &'static str,
    /// Times kube-apiserver's, where something is aimed at: above 1 at least, below 1 at most.
    aim: Option<f64>,
}

const fn row(label: &'static str, pointer: &'static str, aim: Option<f64>) -> Row {
    Row { label, pointer, aim }
}

const ROWS: &[Row] = &[
    row("ready after, s", "/ready_s", None),
    row("creates per second", "/create/per_second", Some(10.0)),
    row("  server CPU each, µs", "/create/cpu_us", Some(0.1)),
    row("  client CPU each, µs", "/create/client_cpu_us", None),
    row("  p50, ms", "/create/p50_ms", None),
    row("  p99, ms", "/create/p99_ms", None),
    row("gets per second", "/get/per_second", Some(10.0)),
    row("  server CPU each, µs", "/get/cpu_us", Some(0.1)),
    row("  client CPU each, µs", "/get/client_cpu_us", None),
    row("  p50, ms", "/get/p50_ms", None),
    row("  p99, ms", "/get/p99_ms", None),
    row("LIST of all pods, s", "/list/seconds", Some(0.2)),
    row("  MB", "/list/mb", None),
    row("  server CPU each, µs", "/list/cpu_us", None),
    row("memory idle, largest API server, MB", "/idle_mb/largest", None),
    row("memory idle, all processes, MB", "/idle_mb/sum", None),
    row("memory with pods, largest API server, MB", "/loaded_mb/largest", Some(0.125)),
    row("memory with pods, all processes, MB", "/loaded_mb/sum", None),
    row("watched creates per second", "/watch/creates_per_second", None),
    row("watch events per second", "/watch/events_per_second", None),
    row("  server CPU each, µs", "/watch/cpu_us", None),
    row("  watchers cut off", "/watch/cut_off", None),
    row("Deployment to bound, pods per second", "/bound/per_second", None),
    row("  server CPU each, µs", "/bound/cpu_us", None),
    row("with agents: bound per second", "/with_agents/bound_per_second", None),
    row("with agents: running per second", "/with_agents/running_per_second", None),
];

/// Prints the table.
pub(super) fn print(ours: &Value, theirs: &Value) {
    println!();
    println!("{:<42}{:>12}{:>16}{:>9}  aim", "", "Trireme", "kube-apiserver", "ratio");
    for Row { label, pointer, aim } in ROWS {
        let read = |side: &Value| side.pointer(pointer).and_then(Value::as_f64);
        let (ours, theirs) = (read(ours), read(theirs));
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), figure);
        let ratio = ours.zip(theirs).filter(|(_, theirs)| *theirs > 0.0).map(|(ours, theirs)| ours / theirs);
        println!(
            "{label:<42}{:>12}{:>16}{:>9}  {}",
            shown(ours),
            shown(theirs),
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            aim.map_or_else(String::new, |aim| verdict(aim, ratio)),
        );
    }
    println!();
}

fn figure(value: f64) -> String {
    if value.abs() < 100.0 && value.fract() != 0.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn verdict(aim: f64, ratio: Option<f64>) -> String {
    let Some(ratio) = ratio else { return format!("{aim}") };
    let is_met = if aim > 1.0 { ratio >= aim } else { ratio <= aim };
    format!("{aim} {}", if is_met { "met" } else { "missed" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_above_one_is_a_floor_and_one_below_a_ceiling() {
        let check = |aim, ratio, expected: &str| assert_eq!(verdict(aim, ratio), expected);
        check(10.0, Some(10.0), "10 met");
        check(10.0, Some(9.9), "10 missed");
        check(0.2, Some(0.1), "0.2 met");
        check(0.2, Some(0.21), "0.2 missed");
        check(0.2, None, "0.2");
    }
}
