//! What a cluster looks like in lines of text.

use super::Nodes;
use crate::backups;
use crate::observe::cluster::{Cluster, Seen};
use crate::observe::report::Report;

/// How a piece of a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As the terminal writes.
    Plain,
    /// Headings.
    Faint,
    /// What matters.
    Strong,
    /// As it should be.
    Good,
    /// To be looked at.
    Bad,
}

/// A line in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<(String, Tone)>);

impl Line {
    fn of(text: impl Into<String>, tone: Tone) -> Self {
        Self(vec![(text.into(), tone)])
    }

    fn and(mut self, text: impl Into<String>, tone: Tone) -> Self {
        self.0.push((text.into(), tone));
        self
    }

    /// Without colours.
    pub fn plain(&self) -> String {
        self.0.iter().map(|(text, _)| text.as_str()).collect::<String>().trim_end().to_owned()
    }

    /// With colours, at most so many columns.
    pub fn coloured(&self, width: usize) -> String {
        let mut left = width;
        let mut line = String::new();
        for (text, tone) in &self.0 {
            let text: String = text.chars().take(left).collect();
            left -= text.chars().count();
            let code = match tone {
                Tone::Plain => "",
                Tone::Faint => "\x1b[2m",
                Tone::Strong => "\x1b[1m",
                Tone::Good => "\x1b[32m",
                Tone::Bad => "\x1b[31m",
            };
            line.push_str(code);
            line.push_str(&text);
            if !code.is_empty() {
                line.push_str("\x1b[0m");
            }
        }
        line
    }
}

/// A table's columns: title, width, whether it stands at the right.
const COLUMNS: [(&str, usize, bool); 14] = [
    ("MEMBER", 10, false),
    ("STATE", 11, false),
    ("TERM", 6, true),
    ("LOG", 10, true),
    ("APPLIED", 10, true),
    ("LAG", 7, true),
    ("ENTRIES/S", 10, true),
    ("REQUESTS/S", 11, true),
    ("COMMIT 50/99%", 17, true),
    ("FSYNC 50/99%", 17, true),
    ("WATCHES", 8, true),
    ("MEMORY", 8, true),
    ("CPU", 6, true),
    ("ELECTED", 8, true),
];

/// The whole screen.
pub(super) fn lines(cluster: &Cluster, nodes: Nodes) -> Vec<Line> {
    let reports: Vec<&Report> = cluster.members.iter().filter_map(|member| member.report.as_ref()).collect();
    let leader = reports.iter().find(|report| report.leads).copied();
    let mut lines = vec![summary(cluster, leader), totals(&reports, leader, nodes), Line::default(), heading()];
    lines.extend(cluster.members.iter().map(|member| row(member, leader)));
    lines.push(Line::default());
    lines.extend(leader.and_then(|leader| Some(backups(leader.backups.as_ref()?, &leader.name))));
    lines.extend(manager(leader));
    lines
}

fn summary(cluster: &Cluster, leader: Option<&Report>) -> Line {
    let asked = cluster.members.iter().find(|member| member.id == cluster.asked);
    let through = asked.map_or("?", |member| member.name.as_str());
    let up = cluster.members.iter().filter(|member| member.report.is_some()).count();
    let head = match leader {
        Some(leader) => Line::of("leader ", Tone::Plain).and(leader.name.clone(), Tone::Strong),
        None => Line::of("no leader", Tone::Bad),
    };
    let tone = if up == cluster.members.len() { Tone::Plain } else { Tone::Bad };
    let term = leader.map_or(0, |leader| leader.term);
    head.and(format!("   term {term}"), Tone::Plain)
        .and(format!("   {up} of {} members answer", cluster.members.len()), tone)
        .and(format!("   seen through {through}"), Tone::Faint)
}

fn totals(reports: &[&Report], leader: Option<&Report>, nodes: Nodes) -> Line {
    let any = leader.or_else(|| reports.first().copied());
    let object = |resource: &str| any.and_then(|report| report.objects.get(resource)).copied().unwrap_or(0);
    let revision = reports.iter().map(|report| report.revision).max().unwrap_or(0);
    let objects: usize = any.map_or(0, |report| report.objects.values().sum());
    let watches: u64 = reports.iter().map(|report| report.watches).sum();
    let tone = if nodes.ready == nodes.all { Tone::Plain } else { Tone::Bad };
    Line::of(format!("revision {revision}   objects {objects}   watches {watches}   "), Tone::Plain)
        .and(format!("nodes {} of {} ready", nodes.ready, nodes.all), tone)
        .and(format!("   pods {}   deployments {}", object("pods"), object("deployments.apps")), Tone::Plain)
}

fn heading() -> Line {
    Line::of(cells(COLUMNS.map(|(title, ..)| title.to_owned())), Tone::Faint)
}

fn cells(texts: [String; 14]) -> String {
    let cell = |(text, (_, width, right)): (String, (&str, usize, bool))| {
        if right { format!("{text:>width$}") } else { format!("{text:<width$}") }
    };
    texts.into_iter().zip(COLUMNS).map(cell).collect()
}

fn row(member: &Seen, leader: Option<&Report>) -> Line {
    let Some(report) = &member.report else {
        let why = member.error.as_deref().unwrap_or("does not answer");
        return Line::of(format!("{:<10}", member.name), Tone::Plain).and(format!("gone: {why}"), Tone::Bad);
    };
    let (state, tone) = match (report.leads, report.ready) {
        (true, _) => ("leader", Tone::Strong),
        (false, true) => (report.role.as_str(), Tone::Good),
        (false, false) => ("not ready", Tone::Bad),
    };
    let lag = leader.filter(|leader| leader.id != report.id).map(|leader| leader.lag.get(&report.id).copied());
    let recent = &report.recent;
    let texts = [
        String::new(),
        String::new(),
        report.term.to_string(),
        report.last_index.to_string(),
        report.applied_index.to_string(),
        // A leader does not know what a member holds that has not answered it yet.
        lag.map_or_else(String::new, |lag| lag.map_or_else(|| "-".to_owned(), |entries| entries.to_string())),
        format!("{:.0}", recent.entries_per_s),
        format!("{:.0}", recent.requests_per_s),
        if report.leads { quantiles(recent.commit_p50_us, recent.commit_p99_us) } else { String::new() },
        quantiles(recent.fsync_p50_us, recent.fsync_p99_us),
        report.watches.to_string(),
        format!("{} MB", report.process.resident_bytes / 1_000_000),
        format!("{:.0}%", recent.cpu * 100.0),
        report.elections_won.to_string(),
    ];
    let rest: String = cells(texts).chars().skip(21).collect();
    Line::of(format!("{:<10}", member.name), Tone::Strong).and(format!("{state:<11}"), tone).and(rest, Tone::Plain)
}

fn quantiles(p50_us: u64, p99_us: u64) -> String {
    if p99_us == 0 { "-".to_owned() } else { format!("{} / {}", short(p50_us), short(p99_us)) }
}

fn short(us: u64) -> String {
    match us {
        0..1000 => format!("{us} µs"),
        1000..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", us / 1000),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// A folder is told as the leader sees it: another master's may be another folder.
fn backups(report: &backups::Report, leader: &str) -> Line {
    let last = match i64::try_from(report.last_s) {
        Ok(last_s) if last_s > 0 => format!("last at {}", api_kinds::time::rfc3339(last_s.saturating_mul(1_000_000))),
        _ => "none yet".to_owned(),
    };
    let of_whom = if report.place.starts_with("s3://") { String::new() } else { format!(" of {leader}") };
    let line =
        Line::of(format!("backups     {last}, {} kept in {}{of_whom}   ", report.kept, report.place), Tone::Plain);
    if report.failing.is_empty() { line } else { line.and(format!("failing: {}", report.failing), Tone::Bad) }
}

fn manager(leader: Option<&Report>) -> Vec<Line> {
    let Some((leader, now)) = leader.and_then(|leader| Some((leader, leader.manager.as_ref()?))) else {
        return vec![Line::of("no manager is in office", Tone::Bad)];
    };
    let tone = if now.pods_unschedulable > 0 { Tone::Bad } else { Tone::Plain };
    let mut lines = vec![
        Line::of(format!("scheduler   {} bound   {} to place   ", now.bound, now.pods_active), Tone::Plain)
            .and(format!("{} backing off   {} fit nowhere", now.pods_backoff, now.pods_unschedulable), tone),
        Line::of(format!("controllers at {}, epoch {}", leader.name, now.epoch), Tone::Plain),
        Line::of(format!("  {:<32}{:>9}{:>11}{:>9}", "CONTROLLER", "WAITING", "IN FLIGHT", "FAILING"), Tone::Faint),
    ];
    for queue in &now.controllers {
        let tone = if queue.failing > 0 { Tone::Bad } else { Tone::Plain };
        let text = format!("  {:<32}{:>9}{:>11}{:>9}", queue.name, queue.ready, queue.in_flight, queue.failing);
        lines.push(Line::of(text, tone));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::report::{Manager, Queue};

    fn member(id: u64, report: Option<Report>) -> Seen {
        Seen { id, name: format!("m{id}"), voter: true, report, ..Seen::default() }
    }

    fn report(id: u64) -> Report {
        Report { id, name: format!("m{id}"), role: "follower".to_owned(), ready: true, term: 3, ..Report::default() }
    }

    fn screen(members: Vec<Seen>) -> String {
        let cluster = Cluster { asked: 2, members, ..Cluster::default() };
        lines(&cluster, Nodes { ready: 4, all: 5 }).iter().map(|line| line.plain() + "\n").collect()
    }

    #[test]
    fn a_cluster_is_told_in_lines() {
        let manager = Manager {
            epoch: 9,
            controllers: vec![Queue { name: "deployment-controller".to_owned(), failing: 2, ..Queue::default() }],
            pods_unschedulable: 7,
            ..Manager::default()
        };
        let backups = backups::Report {
            place: "s3://b/".to_owned(),
            last_s: 1_795_823_601,
            kept: 3,
            failing: "AccessDenied".to_owned(),
            ..backups::Report::default()
        };
        let (lag, backups) = ([(2, 12)].into(), Some(backups));
        let leader = Report { leads: true, lag, manager: Some(manager), backups, revision: 400, ..report(1) };
        let screen = screen(vec![member(1, Some(leader)), member(2, Some(report(2))), member(3, None)]);
        let check = |words: &[&str]| {
            let fits = |line: &str| words.iter().all(|word| line.contains(word));
            assert!(screen.lines().any(fits), "no line holds {words:?}:\n{screen}");
        };
        check(&["leader m1", "term 3", "2 of 3 members answer", "through m2"]);
        check(&["revision 400", "nodes 4 of 5 ready"]);
        check(&["m1", "leader"]);
        check(&["m2", "follower", "12"]);
        check(&["m3", "gone: does not answer"]);
        check(&["7 fit nowhere"]);
        check(&["backups", "last at 2026-11-27T23:53:21Z, 3 kept in s3://b/", "failing: AccessDenied"]);
        check(&["deployment-controller", "2"]);
    }

    #[test]
    fn without_a_leader_nothing_is_made_up() {
        let screen = screen(vec![member(2, Some(report(2)))]);
        assert!(screen.starts_with("no leader"), "{screen}");
        assert!(screen.contains("no manager is in office"), "{screen}");
    }

    #[test]
    fn a_line_is_cut_at_the_terminals_edge() {
        let line = Line::of("abc", Tone::Plain).and("def", Tone::Good);
        assert_eq!(line.coloured(4), "abc\x1b[32md\x1b[0m");
    }
}
