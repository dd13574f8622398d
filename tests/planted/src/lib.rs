//! Bugs planted on purpose, so that the machines that look for bugs are known to find some.
//!
//! A site in the code is one line: `if planted!(NoEpochFence) { … }`. Without the feature `active` the condition is the
//! constant `false` and the line compiles to nothing. With it, `TRIREME_PLANTED_BUG` names the one bug that is alive in
//! a process, and [`plant`] the one of a thread (the simulator runs one world a thread).

mod list;

pub use list::{ALL, Bug, Machines};

/// Whether a bug is alive here: `planted!(NoFsync)`.
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::is_alive($crate::Bug::$bug)
    };
}

/// The environment variable that names the bug of a process; `none` for a process without.
pub const VARIABLE: &str = "TRIREME_PLANTED_BUG";

/// Whether this build has planted bugs at all.
pub const ACTIVE: bool = cfg!(feature = "active");

#[cfg(not(feature = "active"))]
mod alive {
    use crate::Bug;

    /// Never: this build has no planted bugs.
    #[inline(always)]
    pub const fn is_alive(_bug: Bug) -> bool {
        false
    }

    /// Never: this build has no planted bugs.
    #[inline(always)]
    pub const fn one_in(_n: u64) -> bool {
        false
    }
}

#[cfg(feature = "active")]
mod alive {
    use std::cell::Cell;
    use std::sync::OnceLock;

    use crate::{Bug, VARIABLE};

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
        static DRAWS: Cell<u64> = const { Cell::new(0) };
    }

    static OF_PROCESS: OnceLock<Option<Bug>> = OnceLock::new();

    /// The bug of this process, by its environment.
    ///
    /// # Panics
    /// When the variable names no bug: a run that plants nothing proves nothing.
    pub fn of_process() -> Option<Bug> {
        *OF_PROCESS.get_or_init(|| {
            let name = std::env::var(VARIABLE).ok().filter(|name| !name.is_empty() && name != "none")?;
            Some(Bug::named(&name).unwrap_or_else(|| panic!("{VARIABLE}={name} names no bug")))
        })
    }

    /// Plants a bug for what this thread does, or none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
        DRAWS.set(0);
    }

    /// Whether a bug is alive on this thread.
    pub fn is_alive(bug: Bug) -> bool {
        PLANTED.get() == Some(bug) || of_process() == Some(bug)
    }

    /// True now and then, by a count of the thread: for bugs that do not show every time.
    pub fn one_in(n: u64) -> bool {
        let draw = DRAWS.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        DRAWS.set(draw);
        let mixed = (draw ^ (draw >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 29)).is_multiple_of(n)
    }
}

pub use alive::*;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_a_name_of_its_own_and_a_machine_that_must_find_it() {
        for bug in ALL {
            assert_eq!(Bug::named(bug.name()), Some(*bug));
            let machines = bug.machines();
            assert!(
                machines.sim || machines.shipped || machines.managers || machines.jepsen,
                "nobody looks for {}",
                bug.name()
            );
        }
        let of_sim = ALL.iter().filter(|bug| bug.machines().sim || bug.machines().managers).count();
        assert!(of_sim >= 24, "only {of_sim} bugs for the simulator");
    }

    #[test]
    #[cfg(feature = "active")]
    fn one_bug_lives_at_a_time() {
        plant(Some(Bug::NoFsync));
        assert!(planted!(NoFsync) && !planted!(NoEpochFence));
        plant(None);
        assert!(!planted!(NoFsync));
    }
}
