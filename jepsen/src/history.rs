//! What clients saw: every call with its beginning, its end, and what it ended with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It happened, with this result.
    Ok(Value),
    /// It did not happen, because the server looked and refused: what it found is a kind of result.
    Refused {
        /// `Conflict`, `NotFound` … as `metav1.Status` has it.
        reason: String,
        /// For people.
        why: String,
    },
    /// It did not happen, and will not.
    Fail(String),
    /// It may have happened, or may happen yet.
    Info(String),
}

/// One call of a client.
#[derive(Clone, Debug)]
pub struct Op {
    /// Calls of one process never overlap; a process ends with its first *info*.
    pub process: u64,
    /// Who called.
    pub workload: &'static str,
    /// What: `read`, `write`, `cas` …
    pub f: &'static str,
    /// On what; histories of different keys are judged apart where the checker may.
    pub key: String,
    /// With what.
    pub input: Value,
    /// Index of the master that was asked.
    pub master: usize,
    /// Since the beginning of the round.
    pub invoked: Duration,
    /// `None` while there is no answer.
    pub completed: Option<Duration>,
    /// How it ended; *info* while there is no answer.
    pub end: End,
}

impl Op {
    /// The result, when it happened for certain.
    pub fn result(&self) -> Option<&Value> {
        match &self.end {
            End::Ok(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it certainly did not happen.
    pub fn failed(&self) -> bool {
        matches!(self.end, End::Fail(_) | End::Refused { .. })
    }

    /// When it was certainly over, for a call that certainly happened or certainly did not.
    pub fn over(&self) -> Option<Duration> {
        match self.end {
            End::Info(_) => None,
            _ => self.completed,
        }
    }
}

/// Takes notes for all clients of a round.
pub struct Recorder {
    begun: Instant,
    processes: AtomicU64,
    ops: Mutex<Vec<Op>>,
}

/// A call that is under way.
#[must_use = "a call without an end is an info"]
#[derive(Clone, Copy, Debug)]
pub struct Ticket(usize);

/// What a call is, before it is made.
#[derive(Clone, Debug)]
pub struct Call {
    /// Process that calls.
    pub process: u64,
    /// Workload.
    pub workload: &'static str,
    /// Function.
    pub f: &'static str,
    /// Key.
    pub key: String,
    /// Input.
    pub input: Value,
    /// Master asked.
    pub master: usize,
}

impl Recorder {
    /// A blank page; times count from `begun`.
    pub fn new(begun: Instant) -> Self {
        Self { begun, processes: AtomicU64::new(0), ops: Mutex::default() }
    }

    /// Since the beginning.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// A process that made no call yet.
    pub fn process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes a call that is about to be sent.
    pub fn invoke(&self, call: Call) -> Ticket {
        let Call { process, workload, f, key, input, master } = call;
        let mut ops = self.ops.lock();
        let end = End::Info("there was no answer before the round ended".to_owned());
        ops.push(Op { process, workload, f, key, input, master, invoked: self.now(), completed: None, end });
        Ticket(ops.len() - 1)
    }

    /// Notes how a call ended.
    pub fn complete(&self, ticket: Ticket, end: End) {
        let mut ops = self.ops.lock();
        let now = self.now();
        let op = &mut ops[ticket.0];
        op.completed = Some(now);
        op.end = end;
    }

    /// How many calls there were: all, those that failed, those of unknown outcome.
    pub fn counts(&self) -> (usize, usize, usize) {
        let ops = self.ops.lock();
        let failed = ops.iter().filter(|op| op.failed()).count();
        let unknown = ops.iter().filter(|op| op.completed.is_some() && matches!(op.end, End::Info(_))).count();
        (ops.len(), failed, unknown)
    }

    /// All calls, in the order in which they began.
    pub fn ops(&self) -> Vec<Op> {
        self.ops.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(process: u64) -> Call {
        Call { process, workload: "register", f: "read", key: "k".to_owned(), input: Value::Null, master: 0 }
    }

    #[test]
    fn a_call_without_an_answer_is_an_info() {
        let recorder = Recorder::new(Instant::now());
        let first = recorder.invoke(call(0));
        let _ = recorder.invoke(call(1));
        recorder.complete(first, End::Ok(json!(1)));
        let ops = recorder.ops();
        assert_eq!((ops[0].result(), ops[0].over().is_some()), (Some(&json!(1)), true));
        assert!(matches!(ops[1].end, End::Info(_)) && ops[1].over().is_none());
        assert_eq!(recorder.counts(), (2, 0, 0));
    }
}
