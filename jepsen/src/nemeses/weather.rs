//! Bad weather on all links between masters: packets late, out of order, lost, doubled.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use rand::Rng;

use super::{Fault, Impact, Lane, Need, Nemesis};
use crate::cluster::network::Link;
use crate::world::World;

/// Every packet late by the same time.
pub static LATENCY: Nemesis = Nemesis {
    name: "latency",
    text: "every packet between masters 5 to 30 ms late, one way",
    lane: Lane::Network,
    need: Need::Network,
    lasts_ms: (1000, 6000),
    draw: |random, _| {
        let late = Duration::from_millis(random.random_range(5..=30));
        let link = Link { late_min: late, late_max: late, ..Link::default() };
        Box::new(Bad { text: format!("{late:?} late"), link, slows: false })
    },
};

/// Packets overtake each other.
pub static REORDERING: Nemesis = Nemesis {
    name: "reordering",
    text: "every packet between masters 0 to 20 ms late, so that they overtake each other, and some doubled",
    lane: Lane::Network,
    need: Need::Network,
    lasts_ms: (1000, 6000),
    draw: |random, _| {
        let late = Duration::from_millis(random.random_range(5..=20));
        let link = Link { late_max: late, doubled: random.random_range(0..100), ..Link::default() };
        Box::new(Bad { text: format!("reordered within {late:?}"), link, slows: false })
    },
};

/// Packets lost. TCP mends it in multiples of 200 ms, so that no promise about time holds.
pub static LOSS: Nemesis = Nemesis {
    name: "loss",
    text: "2 to 30 of a hundred packets between masters lost",
    lane: Lane::Network,
    need: Need::Network,
    lasts_ms: (1000, 6000),
    draw: |random, _| {
        let lost = random.random_range(20..=300);
        Box::new(Bad { text: format!("{lost} ‰ lost"), link: Link { lost, ..Link::default() }, slows: true })
    },
};

struct Bad {
    text: String,
    link: Link,
    slows: bool,
}

impl Fault for Bad {
    fn aim<'a>(&'a mut self, _world: &'a World) -> BoxFuture<'a, Impact> {
        async { Impact { text: self.text.clone(), slows: self.slows, ..Impact::default() } }.boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            world.cluster.site().weather().context("a site without weather")?.everywhere(self.link);
            Ok(())
        }
        .boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            world.cluster.site().weather().context("a site without weather")?.clear();
            Ok(())
        }
        .boxed()
    }
}
