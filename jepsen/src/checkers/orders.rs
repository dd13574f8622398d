//! Orders of an operator: masters join, leave, lose their votes and get them back. Each is carried out, unless a fault of the
//! network lay in its way.

use std::time::Duration;

use super::{Checker, Evidence, Verdict};
use crate::history::{End, Op};

/// The row.
pub static CHECKER: Checker = Checker {
    name: "orders",
    text: "every order about members is carried out, but for those that a fault of the network kept from all leaders",
    check,
};

fn check(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    let (mut done, mut prevented) = (0, 0);
    for op in evidence.of("orders") {
        match &op.end {
            End::Ok(_) => done += 1,
            _ if prevents(evidence, op) => prevented += 1,
            End::Info(why) | End::Fail(why) | End::Refused { why, .. } => {
                verdict.find(format!("{} {}: {why}", op.f, op.input.as_str().unwrap_or_default()), vec![op.clone()]);
            }
        }
    }
    if done + prevented > 0 || !verdict.anomalies.is_empty() {
        verdict.looked_at = format!("{done} orders carried out, {prevented} prevented");
    }
    verdict
}

/// Whether something else was in force while an order was under way, that cuts links or slows all.
fn prevents(evidence: &Evidence, order: &Op) -> bool {
    let until = order.completed.unwrap_or(Duration::MAX);
    evidence.faults.iter().any(|fault| {
        let over = fault.recovered.unwrap_or(Duration::MAX);
        let is_own = fault.nemesis == "demote" || fault.nemesis == "join";
        let weighs = fault.impact.slows || !fault.impact.cut.is_empty() || !fault.impact.out.is_empty();
        !is_own && weighs && fault.begun <= until && over >= order.invoked
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::nemeses::{Impact, Struck};

    #[test]
    fn only_another_fault_excuses_an_order() {
        let second = Duration::from_secs(1);
        let found = |end: End, fault: Option<(&'static str, u32)>| {
            let op = Op {
                process: 0,
                workload: "orders",
                f: "join",
                key: String::new(),
                input: json!("m4"),
                master: 3,
                invoked: second * 10,
                completed: Some(second * 20),
                end,
            };
            let faults = fault.map(|(nemesis, begun)| Struck {
                nemesis,
                impact: Impact { slows: true, ..Impact::default() },
                begun: second * begun,
                ended: Some(second * (begun + 3)),
                recovered: Some(second * (begun + 4)),
            });
            let faults = faults.into_iter().collect();
            check(&Evidence { ops: vec![op], faults, ..Evidence::default() }).anomalies.len()
        };
        let failed = || End::Info("nobody leads".to_owned());
        assert_eq!(found(End::Ok(json!("serves")), None), 0);
        assert_eq!(found(failed(), None), 1);
        assert_eq!(found(failed(), Some(("loss", 8))), 0);
        assert_eq!(found(failed(), Some(("loss", 2))), 1, "it was over");
        assert_eq!(found(failed(), Some(("demote", 8))), 1, "itself");
    }
}
