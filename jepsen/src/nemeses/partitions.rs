//! Partitions: links between masters on which nothing comes through. Clients still reach every master.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio::task::JoinHandle;

use super::{Fault, Impact, Lane, Need, Nemesis};
use crate::cluster;
use crate::world::World;

/// A majority and a minority.
pub static HALVES: Nemesis = row("halves", "a majority and a minority that do not reach each other", Shape::Halves);
/// One that both sides reach.
pub static BRIDGE: Nemesis =
    row("bridge", "two sides that do not reach each other, and one master that reaches both", Shape::Bridge);
/// One direction of some links.
pub static ONE_WAY: Nemesis =
    row("one-way", "packets from some masters do not reach the others, the answers would", Shape::OneWay);
/// The leader against all.
pub static LEADER_ALONE: Nemesis =
    row("leader-alone", "nobody reaches the leader, nor does it reach anybody", Shape::LeaderAlone);
/// Cut and mended again and again.
pub static FLAPPING: Nemesis =
    row("flapping", "a partition that comes and goes several times a second", Shape::Flapping);

const fn row(name: &'static str, text: &'static str, shape: Shape) -> Nemesis {
    Nemesis {
        name,
        text,
        lane: Lane::Network,
        need: Need::Network,
        lasts_ms: (500, 6000),
        draw: match shape {
            Shape::Halves => |random, masters| drawn(Shape::Halves, random, masters),
            Shape::Bridge => |random, masters| drawn(Shape::Bridge, random, masters),
            Shape::OneWay => |random, masters| drawn(Shape::OneWay, random, masters),
            Shape::LeaderAlone => |random, masters| drawn(Shape::LeaderAlone, random, masters),
            Shape::Flapping => |random, masters| drawn(Shape::Flapping, random, masters),
        },
    }
}

fn drawn(shape: Shape, random: &mut StdRng, masters: usize) -> Box<dyn Fault> {
    let mut order: Vec<usize> = (0..masters).collect();
    order.shuffle(random);
    let beat = Duration::from_millis(random.random_range(50..400));
    Box::new(Partition { shape, order, beat, cut: BTreeSet::new(), flapping: None })
}

#[derive(Clone, Copy)]
enum Shape {
    Halves,
    Bridge,
    OneWay,
    LeaderAlone,
    Flapping,
}

struct Partition {
    shape: Shape,
    order: Vec<usize>,
    beat: Duration,
    cut: BTreeSet<(usize, usize)>,
    flapping: Option<JoinHandle<()>>,
}

/// All links from one side to the other; and back, unless `one_way`.
fn between(left: &[usize], right: &[usize], one_way: bool) -> BTreeSet<(usize, usize)> {
    let there = left.iter().flat_map(|a| right.iter().map(|b| (*a, *b)));
    let back = right.iter().flat_map(|a| left.iter().map(|b| (*a, *b)));
    there.chain(back.filter(|_| !one_way)).collect()
}

impl Partition {
    fn links(&self, leader: usize) -> BTreeSet<(usize, usize)> {
        let minority = self.order.len().div_ceil(2) - 1;
        match self.shape {
            Shape::Halves | Shape::Flapping => between(&self.order[..minority], &self.order[minority..], false),
            Shape::Bridge => between(&self.order[..minority], &self.order[minority + 1..], false),
            Shape::OneWay => between(&self.order[..minority], &self.order[minority..], true),
            Shape::LeaderAlone => {
                let others: Vec<usize> = self.order.iter().copied().filter(|index| *index != leader).collect();
                between(&[leader], &others, false)
            }
        }
    }

    fn text(&self, leader: usize) -> String {
        let minority = self.order.len().div_ceil(2) - 1;
        let side = |members: &[usize]| members.iter().map(|index| cluster::name(*index)).collect::<Vec<_>>().join(" ");
        let (left, right) = (side(&self.order[..minority]), side(&self.order[minority..]));
        match self.shape {
            Shape::Halves => format!("{left} | {right}"),
            Shape::Flapping => format!("{left} | {right}, flapping"),
            Shape::Bridge => {
                format!("{left} | {} | {}", cluster::name(self.order[minority]), side(&self.order[minority + 1..]))
            }
            Shape::OneWay => format!("{left} unheard by {right}"),
            Shape::LeaderAlone => format!("{} alone", cluster::name(leader)),
        }
    }
}

impl Fault for Partition {
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact> {
        async {
            let leader = world.cluster.leader(Duration::from_millis(500)).await.unwrap_or(self.order[0]);
            self.cut = self.links(leader);
            Impact { text: self.text(leader), cut: self.cut.clone(), ..Impact::default() }
        }
        .boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            let weather = world.cluster.site().weather().context("a site without weather")?;
            weather.cut(&self.cut);
            if matches!(self.shape, Shape::Flapping) {
                let (weather, cut, beat) = (weather.clone(), self.cut.clone(), self.beat);
                self.flapping = Some(tokio::spawn(async move {
                    let mut tick = tokio::time::interval(beat);
                    for number in 0u64.. {
                        tick.tick().await;
                        weather.cut(if number.is_multiple_of(2) { &cut } else { const { &BTreeSet::new() } });
                    }
                }));
            }
            Ok(())
        }
        .boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            if let Some(flapping) = self.flapping.take() {
                flapping.abort();
                let _ = flapping.await;
            }
            world.cluster.site().weather().context("a site without weather")?.cut(&BTreeSet::new());
            Ok(())
        }
        .boxed()
    }
}
