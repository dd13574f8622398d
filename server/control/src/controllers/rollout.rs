//! How many pods each version of a Deployment is to have now.
//!
//! The bounds hold over the pods themselves, not over what ReplicaSets were told: a pod that is still to be deleted counts
//! against the surge, and one that is still to be deleted does not count as available.

use planted_bugs::planted;

use super::deployment::{Version, resize};
use crate::Plan;
use crate::objects::{Deployment, RollingUpdate};

/// Plans the sizes of all versions.
pub(super) fn scale(deployment: &Deployment, versions: &[Version], current: Option<usize>, plan: &mut Plan) {
    let sizes: Vec<Size> = versions.iter().map(Size::of).collect();
    let next = if deployment.paused {
        proportional(deployment, &sizes, current)
    } else {
        match (deployment.rolling, current) {
            (_, None) => return,
            (None, Some(new)) => recreate(deployment, versions, &sizes, new),
            (Some(bounds), Some(new)) => rolling(deployment.replicas, bounds, &sizes, new),
        }
    };
    for (version, replicas) in versions.iter().zip(next) {
        resize(deployment, version, replicas, plan);
    }
}

/// What a version was told, and what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    told: i64,
    active: i64,
    available: i64,
}

impl Size {
    fn of(version: &Version) -> Self {
        Self { told: version.set.replicas, active: version.active, available: version.available }
    }

    /// Pods that there may be before anything else happens.
    fn most(self) -> i64 {
        self.told.max(self.active)
    }

    /// Available pods that there will be at least, once what it was told is done.
    fn surely_available(self) -> i64 {
        (self.available - (self.active - self.told).max(0)).max(0)
    }
}

fn recreate(deployment: &Deployment, versions: &[Version], sizes: &[Size], new: usize) -> Vec<i64> {
    let old_gone = versions
        .iter()
        .enumerate()
        .all(|(i, v)| i == new || (v.active == 0 && v.terminating == 0 && v.set.replicas == 0));
    (0..sizes.len())
        .map(|i| match (i == new, old_gone) {
            (true, true) => deployment.replicas,
            (true, false) => sizes[i].told.min(deployment.replicas),
            (false, _) => 0,
        })
        .collect()
}

fn rolling(desired: i64, bounds: RollingUpdate, sizes: &[Size], new: usize) -> Vec<i64> {
    let mut next: Vec<i64> = sizes.iter().map(|size| size.told).collect();
    if next[new] > desired {
        next[new] = desired;
    } else {
        let others = |s: Size| if planted!(SurgeForgotten) { 0 } else { s.most() };
        let others: i64 = sizes.iter().enumerate().filter(|(i, _)| *i != new).map(|(_, s)| others(*s)).sum();
        // The new version's own pods that are still to go count too.
        let room = desired + bounds.surge - others - (sizes[new].active - next[new]).max(0);
        next[new] = desired.min(room).max(next[new]);
    }
    // What may go: pods beyond those that must be available. Those that serve nobody go without asking.
    let surely: i64 = sizes.iter().map(|size| size.surely_available()).sum();
    let mut spare = (surely - (desired - bounds.unavailable)).max(0);
    for (index, size) in sizes.iter().enumerate().filter(|(i, _)| *i != new) {
        // A ReplicaSet deletes what is not ready first, and what it was told to delete before is on its way: only those
        // beyond what is available now serve nobody.
        let idle = (next[index] - size.available).max(0);
        next[index] -= idle;
        let serving = next[index].min(spare);
        next[index] -= serving;
        spare -= serving;
    }
    next
}

/// A paused Deployment does not roll, but it does grow and shrink: every version by its share.
fn proportional(deployment: &Deployment, sizes: &[Size], current: Option<usize>) -> Vec<i64> {
    let mut next: Vec<i64> = sizes.iter().map(|size| size.told).collect();
    let total: i64 = next.iter().sum();
    let alive: Vec<usize> = (0..next.len()).filter(|i| next[*i] > 0).collect();
    match alive[..] {
        [] => {
            if let Some(new) = current {
                next[new] = deployment.replicas;
            }
        }
        [only] => next[only] = deployment.replicas,
        _ => {
            let surge = deployment.rolling.map_or(0, |r| r.surge);
            let allowed = if deployment.replicas > 0 { deployment.replicas + surge } else { 0 };
            let change = if total > allowed || total < deployment.replicas {
                allowed.min(deployment.replicas.max(total)) - total
            } else {
                0
            };
            let change = if total < deployment.replicas { deployment.replicas - total } else { change };
            let mut left = change;
            for index in &alive {
                let share = (change * sizes[*index].told / total.max(1)).clamp(-next[*index], change.abs());
                next[*index] += share;
                left -= share;
            }
            // What rounding left over goes to the largest.
            if let Some(largest) = alive.iter().copied().max_by_key(|i| sizes[*i].told) {
                next[largest] = (next[largest] + left).max(0);
            }
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(told: i64, active: i64, available: i64) -> Size {
        Size { told, active, available }
    }

    #[test]
    fn a_roll_stays_within_its_bounds_at_every_step() {
        let bounds = RollingUpdate { surge: 3, unavailable: 2 };
        let check = |old: Size, new: Size, expected: [i64; 2]| {
            assert_eq!(rolling(10, bounds, &[old, new], 1), expected, "{old:?} {new:?}");
        };
        check(size(10, 10, 10), size(0, 0, 0), [8, 3]);
        // Told to go, not gone yet: no room for more new ones, and nothing more may go.
        check(size(8, 10, 10), size(3, 3, 0), [8, 3]);
        check(size(8, 8, 8), size(3, 3, 0), [8, 5]);
        check(size(8, 8, 8), size(5, 5, 5), [3, 5]);
        check(size(0, 0, 0), size(10, 10, 9), [0, 10]);
        // Old pods that serve nobody go at once.
        check(size(10, 10, 0), size(0, 0, 0), [0, 3]);
        // Two that serve nobody are on their way out: that makes no others idle.
        check(size(8, 10, 8), size(0, 0, 0), [8, 3]);
    }

    /// A small world: ReplicaSets do what they are told one pod at a time, pods become available, in any order.
    #[test]
    fn whatever_happens_in_between_the_bounds_hold_and_it_ends() {
        for seed in 0..2000_u64 {
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut draw = |n: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % n
            };
            let desired = 1 + i64::try_from(draw(12)).unwrap();
            let surge = i64::try_from(draw(4)).unwrap();
            let unavailable = i64::try_from(draw(4)).unwrap().min(desired);
            let bounds = RollingUpdate { surge, unavailable: if surge + unavailable == 0 { 1 } else { unavailable } };
            // Some may not be available yet: the Deployment was scaled up a moment ago.
            let serving = desired - if draw(2) == 0 { 0 } else { i64::try_from(draw(4)).unwrap().min(desired) };
            let least = (desired - bounds.unavailable).min(serving);
            let mut sizes = [size(desired, desired, serving), size(0, 0, 0)];
            let mut steps = 0;
            while sizes != [size(0, 0, 0), size(desired, desired, desired)] {
                steps += 1;
                assert!(steps < 10_000, "seed {seed} does not end: {sizes:?}");
                let which = usize::from(draw(2) == 1);
                match draw(3) {
                    0 => {
                        let next = rolling(desired, bounds, &sizes, 1);
                        (sizes[0].told, sizes[1].told) = (next[0], next[1]);
                    }
                    1 => {
                        let s = &mut sizes[which];
                        if s.active < s.told {
                            s.active += 1;
                        } else if s.active > s.told {
                            if s.available == s.active {
                                s.available -= 1;
                            }
                            s.active -= 1;
                        }
                    }
                    _ => {
                        let s = &mut sizes[which];
                        s.available = (s.available + 1).min(s.active);
                    }
                }
                let active: i64 = sizes.iter().map(|s| s.active).sum();
                let available: i64 = sizes.iter().map(|s| s.available).sum();
                assert!(active <= desired + bounds.surge, "seed {seed}: {sizes:?}");
                assert!(available >= least, "seed {seed}: {sizes:?}");
            }
        }
    }
}
