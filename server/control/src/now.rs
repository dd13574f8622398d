//! Time as controllers know it: by a clock on the wall, which stamps objects and may jump, and by one that only goes forward.
//!
//! How long something has been so is measured as Kubernetes' own controllers measure it: from when this manager saw it first,
//! by the steady clock. So neither a jump of the leader's wall clock nor that of a node's makes anything older than it is, and a
//! new leader begins anew.

/// A moment by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, microseconds since the epoch: what objects are stamped with. It may jump.
    pub wall_us: i64,
    /// A clock that only goes forward, microseconds since this manager's term began: what waiting is measured by.
    pub steady_us: i64,
}

impl Moment {
    /// When the steady clock will show what the wall clock shows at `wall_us`, if that does not jump.
    pub fn steady_at(&self, wall_us: i64) -> i64 {
        self.steady_us.saturating_add(wall_us.saturating_sub(self.wall_us))
    }
}

/// Something that a controller saw of a key, and when this manager saw it first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// What: equal as long as nothing new was seen.
    pub of: String,
    /// Since when, by the steady clock, microseconds.
    pub since_us: i64,
}

/// Now, as a controller is told it when it looks at a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, microseconds since the epoch.
    pub wall_us: i64,
    /// The steady clock, microseconds.
    pub steady_us: i64,
    /// What the last plan about this key had seen, in this term.
    pub last: Option<Sight>,
}

impl Now {
    /// The sight of something: the last one, if that was of the same, else a new one.
    pub fn sight(&self, of: String) -> Sight {
        match &self.last {
            Some(last) if last.of == of => last.clone(),
            _ => Sight { of, since_us: self.steady_us },
        }
    }

    /// When the wall clock shows that so much time has passed since a sight, if it does not jump; `None` when it has.
    pub fn until(&self, sight: &Sight, length_us: i64) -> Option<i64> {
        let left_us = sight.since_us.saturating_add(length_us).saturating_sub(self.steady_us);
        (left_us > 0).then(|| self.wall_us.saturating_add(left_us))
    }
}
