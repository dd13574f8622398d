//! Locks: writes that were fenced by the lock come in the order in which it was held.

use super::{Checker, Evidence, Verdict};
use crate::history::Op;

/// The row.
pub static CHECKER: Checker =
    Checker { name: "locks", text: "nobody writes under a lock that somebody else has taken since", check };

fn check(evidence: &Evidence) -> Verdict {
    // (revision, token, call): an acquisition is its own token.
    let mut held: Vec<(u64, u64, &Op)> = Vec::new();
    for op in evidence.of("lock") {
        let Some(revision) = op.result().and_then(|result| result["revision"].as_u64()) else { continue };
        let token = if op.f == "acquire" { Some(revision) } else { op.input.as_u64() };
        held.extend(token.map(|token| (revision, token, op)));
    }
    held.sort_by_key(|(revision, ..)| *revision);
    let mut verdict = Verdict::default();
    for pair in held.windows(2) {
        let ((at, token, before), (later, other, op)) = (pair[0], pair[1]);
        if other < token {
            let text = format!("the holder since {other} wrote at {later}, after the one since {token} at {at}");
            verdict.find(text, vec![before.clone(), op.clone()]);
        }
        if at == later && before.f == "acquire" && op.f == "acquire" {
            verdict.find(format!("two took the lock at revision {at}"), vec![before.clone(), op.clone()]);
        }
    }
    if !held.is_empty() {
        let taken = held.iter().filter(|(.., op)| op.f == "acquire").count();
        verdict.looked_at = format!("taken {taken} times, {} fenced writes", held.len() - taken);
    }
    verdict
}
