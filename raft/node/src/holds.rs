//! Which part of the log is kept beyond its measure, because a member that is being sent a snapshot needs what comes after it.
//! Where the log grows faster than a snapshot travels, it would be cut off below the member's feet again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// How long a member that has its snapshot may take to get the first entries after it.
const GRACE: Duration = Duration::from_secs(2);

/// See the module. Clones share what they hold.
#[derive(Clone, Default)]
pub(crate) struct Holds {
    /// How many need what comes after this index.
    inner: Arc<Mutex<BTreeMap<u64, usize>>>,
}

/// Holds while it is there.
pub(crate) struct Hold {
    holds: Holds,
    index: u64,
}

impl Holds {
    /// From now on what comes after this index is kept.
    pub(crate) fn hold(&self, index: u64) -> Hold {
        *self.inner.lock().entry(index).or_default() += 1;
        Hold { holds: self.clone(), index }
    }

    /// What comes after this is to be kept.
    pub(crate) fn lowest(&self) -> Option<u64> {
        self.inner.lock().first_key_value().map(|(index, _)| *index)
    }
}

impl Hold {
    /// Lets go of it after a while.
    pub(crate) fn linger(self) {
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            drop(self);
        });
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut inner = self.holds.inner.lock();
        if let Some(count) = inner.get_mut(&self.index) {
            *count -= 1;
            if *count == 0 {
                inner.remove(&self.index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_of_all_holds_counts() {
        let holds = Holds::default();
        assert_eq!(holds.lowest(), None);
        let (a, b, c) = (holds.hold(9), holds.hold(4), holds.hold(4));
        assert_eq!(holds.lowest(), Some(4));
        drop(b);
        assert_eq!(holds.lowest(), Some(4), "another needs it still");
        drop(c);
        assert_eq!(holds.lowest(), Some(9));
        drop(a);
        assert_eq!(holds.lowest(), None);
    }
}
