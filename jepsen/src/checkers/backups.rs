//! Backups: one that was made is whole, and holds what had been committed before it began.

use super::{Checker, Evidence, Verdict};
use crate::history::End;

/// The row.
pub static CHECKER: Checker = Checker {
    name: "backups",
    text: "a backup that was made can be read, and holds all that was committed before it began",
    check,
};

fn check(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    let (mut made, mut failed) = (0, 0);
    for op in evidence.of("backup") {
        match &op.end {
            End::Ok(found) => {
                made += 1;
                let (held, committed) = (found["revision"].as_u64().unwrap_or(0), op.input.as_u64().unwrap_or(0));
                if held < committed {
                    let text = format!("a backup is as of revision {held}, and {committed} was committed before");
                    verdict.find(text, vec![op.clone()]);
                }
            }
            End::Refused { why, .. } => verdict.find(format!("a backup is damaged: {why}"), vec![op.clone()]),
            End::Fail(_) | End::Info(_) => failed += 1,
        }
    }
    if made + failed > 0 {
        verdict.looked_at = format!("{made} backups, {failed} that did not come about");
    }
    verdict
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::history::Op;

    #[test]
    fn a_backup_holds_what_was_committed() {
        let holds = |end: End, expected: usize| {
            let op = Op {
                process: 0,
                workload: "backup",
                f: "save",
                key: String::new(),
                input: json!(40),
                master: 0,
                invoked: Duration::ZERO,
                completed: Some(Duration::from_secs(1)),
                end,
            };
            let found = check(&Evidence { ops: vec![op], ..Evidence::default() });
            assert_eq!(found.anomalies.len(), expected, "{}", found.looked_at);
        };
        holds(End::Ok(json!({"revision": 40})), 0);
        holds(End::Ok(json!({"revision": 39})), 1);
        holds(End::Refused { reason: "Damaged".to_owned(), why: "cut short".to_owned() }, 1);
        holds(End::Fail("nobody leads".to_owned()), 0);
    }
}
