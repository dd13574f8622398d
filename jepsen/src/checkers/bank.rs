//! The bank: every look at all accounts finds the same sum, and nobody in debt.

use super::{Checker, Evidence, Verdict};
use crate::workloads::{ACCOUNTS, BALANCE};

/// The row.
pub static CHECKER: Checker = Checker { name: "bank", text: "no money is made or lost, and nobody is in debt", check };

fn check(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    let mut looks = 0;
    let total = BALANCE * i64::try_from(ACCOUNTS).unwrap_or(0);
    for op in evidence.of("bank").filter(|op| op.f == "read") {
        let Some(balances) = op.result().and_then(|result| result.as_array()) else { continue };
        let balances: Vec<i64> = balances.iter().filter_map(serde_json::Value::as_i64).collect();
        looks += 1;
        let sum: i64 = balances.iter().sum();
        if balances.len() != ACCOUNTS || sum != total {
            verdict.find(format!("{} accounts hold {sum}, not {total}", balances.len()), vec![op.clone()]);
        }
        if balances.iter().any(|balance| *balance < 0) {
            verdict.find(format!("somebody is in debt: {balances:?}"), vec![op.clone()]);
        }
    }
    if looks > 0 {
        let moved = evidence.of("bank").filter(|op| op.f == "transfer" && op.result().is_some()).count();
        verdict.looked_at = format!("{moved} transfers, {looks} looks");
    }
    verdict
}
