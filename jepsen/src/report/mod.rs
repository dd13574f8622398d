//! A round as one page that needs nothing else: what was done to the cluster, what clients felt, what was found.

mod chart;

use std::fmt::Write as _;
use std::time::Duration;

use crate::cluster;
use crate::edn;
use crate::round::Finished;

/// Calls of a history that a page shows.
const CALLS_MAX: usize = 60;
/// Anomalies of a checker that a page shows.
const ANOMALIES_MAX: usize = 20;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}\
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse}td,th{padding:.25em .8em;\
text-align:left;border-bottom:1px solid #ddd;vertical-align:top}pre{background:#f6f6f6;padding:.8em;overflow:auto;\
font-size:12px}.ok{color:#17692b}.bad{color:#a11;font-weight:600}svg{width:100%;height:auto}text{font:11px system-ui}\
.note{color:#666}";

/// The page. `title` says which round, `again` is the command that repeats it.
pub fn page(title: &str, again: &str, finished: &Finished) -> String {
    let mut html = String::new();
    let title = escape(title);
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
         <h1>{title}</h1><p>Again: <code>{}</code></p>",
        escape(again)
    );
    verdicts(&mut html, finished);
    html.push_str("<h2>What clients felt</h2>");
    html.push_str(&chart::latency(&finished.evidence));
    html.push_str(&chart::throughput(&finished.evidence));
    html.push_str(&chart::masters(&finished.evidence));
    effects(&mut html, finished);
    faults(&mut html, finished);
    elections(&mut html, finished);
    anomalies(&mut html, finished);
    html.push_str("</html>\n");
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn seconds(at: Duration) -> String {
    format!("{:.2} s", at.as_secs_f64())
}

fn verdicts(html: &mut String, finished: &Finished) {
    html.push_str("<h2>Verdict</h2><table><tr><th>property</th><th></th><th>looked at</th></tr>");
    for (checker, verdict) in &finished.verdicts {
        let (class, mark) = match (verdict.anomalies.len(), verdict.looked_at.is_empty()) {
            (0, true) => ("note", "nothing to look at".to_owned()),
            (0, false) => ("ok", "holds".to_owned()),
            (count, _) => ("bad", format!("{count} anomalies")),
        };
        let _ = write!(
            html,
            "<tr><td><b>{}</b><br><span class=note>{}</span></td><td class={class}>{mark}</td><td>{}</td></tr>",
            checker.name,
            escape(checker.text),
            escape(&verdict.looked_at)
        );
    }
    html.push_str("</table>");
}

fn effects(html: &mut String, finished: &Finished) {
    let table = crate::effects::table(&finished.evidence).join("\n");
    let _ = write!(html, "<h2>By fault, on the majority's side</h2><pre>{}</pre>", escape(&table));
}

fn faults(html: &mut String, finished: &Finished) {
    html.push_str(
        "<h2>Faults</h2><table><tr><th>from</th><th>to</th><th>all serve again</th><th>nemesis</th><th></th></tr>",
    );
    for fault in &finished.evidence.faults {
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            seconds(fault.begun),
            fault.ended.map(seconds).unwrap_or_default(),
            fault.recovered.map(seconds).unwrap_or_default(),
            fault.nemesis,
            escape(&fault.impact.text)
        );
    }
    html.push_str("</table>");
}

fn elections(html: &mut String, finished: &Finished) {
    html.push_str("<h2>Elections</h2><table><tr><th>seen at</th><th>leader</th><th>term</th></tr>");
    for (at, leader, term) in crate::timeline::elections(&finished.evidence.sights) {
        let _ = write!(html, "<tr><td>{}</td><td>{}</td><td>{term}</td></tr>", seconds(at), cluster::name(leader));
    }
    html.push_str("</table>");
}

fn anomalies(html: &mut String, finished: &Finished) {
    for (checker, verdict) in finished.verdicts.iter().filter(|(_, verdict)| !verdict.anomalies.is_empty()) {
        let _ = write!(html, "<h2>Not {}</h2>", checker.name);
        for anomaly in verdict.anomalies.iter().take(ANOMALIES_MAX) {
            let _ = write!(html, "<p class=bad>{}</p>", escape(&anomaly.text));
            if !anomaly.history.is_empty() {
                let text = edn::write(&anomaly.history);
                let lines: Vec<&str> = text.lines().take(CALLS_MAX * 2).collect();
                let _ = write!(html, "<pre>{}</pre>", escape(&lines.join("\n")));
            }
        }
        if verdict.anomalies.len() > ANOMALIES_MAX {
            let _ = write!(html, "<p>and {} more</p>", verdict.anomalies.len() - ANOMALIES_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::{self, Evidence};

    #[test]
    fn a_page_needs_nothing_else() {
        let mut verdict = checkers::Verdict::clean("3 <calls>");
        verdict.find("1 < 2 & so on", Vec::new());
        let finished = Finished {
            evidence: Evidence { masters: 3, length: Duration::from_secs(9), ..Evidence::default() },
            verdicts: vec![(checkers::ALL[0], verdict)],
            folder: None,
        };
        let page = page("round", "./x chaos", &finished);
        assert!(page.contains("3 &lt;calls&gt;") && page.contains("1 &lt; 2 &amp; so on"));
        assert!(!page.contains("http") || page.contains("http://www.w3.org/2000/svg"), "it loads nothing");
    }
}
