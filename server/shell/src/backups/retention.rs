//! Which backups are no longer kept.

use std::time::Duration;

use super::Kept;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// So many of the newest; at least one.
    pub count: usize,
    /// None older than this, but for the newest.
    pub age: Option<Duration>,
}

impl Retention {
    /// Those of `all` that may go. `now_s`: seconds since 1970.
    pub fn expired<'a>(&self, all: &'a [Kept], now_s: u64) -> Vec<&'a Kept> {
        let mut newest_first: Vec<&Kept> = all.iter().collect();
        newest_first.sort_by_key(|kept| std::cmp::Reverse((kept.taken_s, kept.revision)));
        let is_old = |kept: &Kept| self.age.is_some_and(|age| kept.taken_s.saturating_add(age.as_secs()) < now_s);
        let too_many = |at: usize| at >= self.count.max(1);
        let ranked = newest_first.into_iter().enumerate();
        ranked.filter(|(at, kept)| *at > 0 && (too_many(*at) || is_old(kept))).map(|(_, kept)| kept).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_none_is_too_old_but_the_newest_of_all() {
        let check = |taken: &[u64], count: usize, age_s: Option<u64>, expected: &[u64]| {
            let all: Vec<Kept> =
                taken.iter().map(|at| Kept { name: at.to_string(), taken_s: *at, revision: *at, bytes: 1 }).collect();
            let retention = Retention { count, age: age_s.map(Duration::from_secs) };
            let expired: Vec<u64> = retention.expired(&all, 100).iter().map(|kept| kept.taken_s).collect();
            assert_eq!(expired, expected, "{count} of {taken:?}, none older than {age_s:?}");
        };
        check(&[], 2, None, &[]);
        check(&[10, 30, 20], 3, None, &[]);
        check(&[10, 30, 20], 2, None, &[10]);
        check(&[10, 30, 20], 0, None, &[20, 10]);
        check(&[10, 90, 95], 9, Some(20), &[10]);
        check(&[10, 20], 9, Some(20), &[10]);
        check(&[80], 9, Some(20), &[]);
    }
}
