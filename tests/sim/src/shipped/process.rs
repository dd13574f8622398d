//! A world in a process of its own. Some of what these worlds stand on draws from the system when a process begins (tokio's
//! order of waking, for one), which the binary `sim` answers with the same bits each time: so a seed gives the same world only as
//! the first of its process. It also ends alone when it panics.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use planted_bugs::Bug;

use crate::judge::Finding;
use crate::run::{Verdict, Work};
use crate::shrink::Cuts;
use crate::trace::{Step, Trace};

/// Lives a seed through in a process of this binary, which is `sim`; of what happened it tells the last `steps`.
///
/// # Panics
/// When the process cannot be started.
pub fn live(binary: &Path, seed: u64, cuts: &Cuts, bug: Option<Bug>, steps: usize) -> Verdict {
    let mut command = Command::new(binary);
    command.args(["--shipped", "--alone", &seed.to_string(), "--steps", &steps.to_string()]).args(cuts.arguments());
    if let Some(bug) = bug {
        command.args(["--bug", bug.name()]);
    }
    let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    let told = String::from_utf8_lossy(&output.stdout);
    read(&told).unwrap_or_else(|| {
        let text = String::from_utf8_lossy(&output.stderr).lines().take(5).collect::<Vec<_>>().join(" / ");
        let finding = Finding { property: "nothing panics", at_us: 0, text: format!("{}: {text}", output.status) };
        Verdict { findings: vec![finding], hash: 0, trace: Trace::default(), work: Work::default() }
    })
}

/// The verdict as the process tells it.
pub fn tell(verdict: &Verdict, steps: usize) -> String {
    let mut text = String::new();
    let told = verdict.trace.steps();
    for Step { at_us, who, what, a, b } in &told[told.len().saturating_sub(steps)..] {
        let _ = writeln!(text, "step\t{at_us}\t{who}\t{a}\t{b}\t{what}");
    }
    for Finding { property, at_us, text: how } in &verdict.findings {
        let _ = writeln!(text, "finding\t{at_us}\t{property}\t{}", how.replace(['\n', '\t'], " "));
    }
    let Work { writes, reads, watched, revision, index, time_us } = verdict.work;
    let _ = writeln!(text, "end\t{}\t{writes}\t{reads}\t{watched}\t{revision}\t{index}\t{time_us}", verdict.hash);
    text
}

/// Words of a trace and names of properties are few, and kept for good.
#[derive(Default)]
struct Words(BTreeMap<String, &'static str>);

impl Words {
    fn keep(&mut self, word: &str) -> &'static str {
        if let Some(known) = self.0.get(word) {
            return known;
        }
        let kept: &'static str = Box::leak(word.to_owned().into_boxed_str());
        self.0.insert(word.to_owned(), kept);
        kept
    }
}

/// `None` when it ends before its end.
fn read(told: &str) -> Option<Verdict> {
    let mut words = Words::default();
    let (mut trace, mut findings) = (Trace::default(), Vec::new());
    for line in told.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        match *fields.first()? {
            "step" => trace.add(Step {
                at_us: number(1)?,
                who: number(2)?,
                a: number(3)?,
                b: number(4)?,
                what: words.keep(fields.get(5)?),
            }),
            "finding" => findings.push(Finding {
                at_us: number(1)?,
                property: words.keep(fields.get(2)?),
                text: (*fields.get(3)?).to_owned(),
            }),
            "end" => {
                let work = Work {
                    writes: number(2)?,
                    reads: number(3)?,
                    watched: number(4)?,
                    revision: number(5)?,
                    index: number(6)?,
                    time_us: number(7)?,
                };
                return Some(Verdict { findings, hash: number(1)?, trace, work });
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_comes_back_as_it_was_told() {
        let mut trace = Trace::default();
        trace.add(Step { at_us: 7, who: 1, what: "takes in", a: 2, b: 3 });
        let finding = Finding { property: "reads are linearizable", at_us: 9, text: "it\nwas not".to_owned() };
        let work = Work { writes: 1, time_us: 10, ..Work::default() };
        let verdict = Verdict { findings: vec![finding], hash: u64::MAX, trace, work };
        let told = tell(&verdict, 60);
        let read = read(&told).expect("whole");
        assert_eq!((read.hash, read.work.writes, read.trace.hash()), (u64::MAX, 1, verdict.trace.hash()));
        assert_eq!(read.findings[0].text, "it was not");
        assert!(super::read(&told[..told.len() / 2]).is_none(), "half of it");
    }
}
