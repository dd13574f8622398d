//! Whom a fault strikes.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::cluster;
use crate::world::World;

/// A fault that may only strike while all masters vote is left out when they do not within this.
const ALL_VOTE_LIMIT: Duration = Duration::from_secs(10);

/// Drawn before the round; who leads is found out when the fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever leads, or this one when nobody does.
    Leader {
        /// Stands in.
        otherwise: usize,
    },
    /// These.
    Some(BTreeSet<usize>),
}

impl Who {
    /// Mostly the leader or one other; sometimes a whole minority; sometimes, when `all`, everybody.
    pub fn draw(random: &mut StdRng, masters: usize, all: bool) -> Self {
        let one = random.random_range(0..masters);
        match random.random_range(0..100) {
            0..45 => Self::Leader { otherwise: one },
            45..70 => Self::Some([one].into()),
            70..85 if all => Self::Some((0..masters).collect()),
            _ => {
                let mut order: Vec<usize> = (0..masters).collect();
                order.shuffle(random);
                order.truncate(masters.div_ceil(2) - 1);
                Self::Some(order.into_iter().collect())
            }
        }
    }

    /// One master at most.
    pub fn draw_one(random: &mut StdRng, masters: usize) -> Self {
        let one = random.random_range(0..masters);
        if random.random_bool(0.5) { Self::Leader { otherwise: one } } else { Self::Some([one].into()) }
    }

    /// Their indexes, now.
    pub async fn find(&self, world: &World) -> BTreeSet<usize> {
        match self {
            Self::Leader { otherwise } => {
                let leader = world.cluster.leader(Duration::from_millis(500)).await;
                [leader.unwrap_or(*otherwise)].into()
            }
            Self::Some(masters) => masters.clone(),
        }
    }

    /// As [`Who::find`], for a fault that costs a master its memory: nobody, while another has not come back from its own.
    /// Two of three without memory are more than any majority survives.
    pub async fn find_spare(&self, world: &World) -> BTreeSet<usize> {
        let votes = (0..world.cluster.masters()).map(|index| world.cluster.votes(index, ALL_VOTE_LIMIT));
        if futures::future::join_all(votes).await.into_iter().all(|votes| votes) {
            self.find(world).await
        } else {
            BTreeSet::new()
        }
    }
}

/// `m1, m3`
pub fn names(masters: &BTreeSet<usize>) -> String {
    masters.iter().map(|index| cluster::name(*index)).collect::<Vec<_>>().join(", ")
}
