//! What happened in a world, step by step, and the hash over it.

use std::fmt;

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// When, microseconds.
    pub at_us: u64,
    /// Which member; 0 for the world or a client.
    pub who: u64,
    /// What: a fixed word.
    pub what: &'static str,
    /// Of the step.
    pub a: u64,
    /// Of the step.
    pub b: u64,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, us) = (self.at_us / 1_000_000, self.at_us % 1_000_000);
        write!(f, "{s:>4}.{us:06}  m{:<3} {:<22} {:>8} {:>8}", self.who, self.what, self.a, self.b)
    }
}

/// All steps.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    steps: Vec<Step>,
    hash: u64,
}

impl Trace {
    /// Adds a step.
    pub fn add(&mut self, step: Step) {
        let mut hash = self.hash;
        let word = step.what.bytes().fold(0_u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
        for part in [step.at_us, step.who, word, step.a, step.b] {
            hash = (hash.rotate_left(5) ^ part).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
        self.hash = hash;
        self.steps.push(step);
    }

    /// Over all steps: equal in every run of the same seed.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// All steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}
