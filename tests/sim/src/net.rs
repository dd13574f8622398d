//! The network between members: letters are lost, late, doubled and overtaken as the faults of the moment say.

use std::collections::{BTreeMap, BTreeSet};

use crate::consensus::Id;
use crate::rng::Rng;

/// How a link treats letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Of a thousand letters, so many are lost.
    pub loss_permille: u64,
    /// Of a thousand letters, so many come twice.
    pub double_permille: u64,
    /// Shortest and longest way, microseconds.
    pub delay_us: (u64, u64),
    /// Whether letters overtake each other.
    pub overtaking: bool,
}

impl Default for Weather {
    fn default() -> Self {
        Self { loss_permille: 0, double_permille: 0, delay_us: (100, 1_000), overtaking: false }
    }
}

/// The network.
pub struct Net {
    /// As it is now.
    pub weather: Weather,
    cut: BTreeSet<(Id, Id)>,
    /// When the last letter of a link arrives.
    last_us: BTreeMap<(Id, Id), u64>,
    rng: Rng,
}

impl Net {
    /// A network in fair weather.
    pub fn new(rng: Rng) -> Self {
        Self { weather: Weather::default(), cut: BTreeSet::new(), last_us: BTreeMap::new(), rng }
    }

    /// Nothing passes from one to the other until the links are mended.
    pub fn cut(&mut self, from: Id, to: Id) {
        self.cut.insert((from, to));
    }

    /// All links work again.
    pub fn mend(&mut self) {
        self.cut.clear();
    }

    /// When copies of a letter that is sent now arrive.
    pub fn arrivals(&mut self, now_us: u64, from: Id, to: Id) -> Vec<u64> {
        let weather = self.weather;
        if self.cut.contains(&(from, to)) || self.rng.permille(weather.loss_permille) {
            return Vec::new();
        }
        let copies = if self.rng.permille(weather.double_permille) { 2 } else { 1 };
        let (low, high) = weather.delay_us;
        (0..copies)
            .map(|_| {
                let mut at = now_us + self.rng.between(low, high);
                let last = self.last_us.entry((from, to)).or_insert(0);
                if !weather.overtaking {
                    at = at.max(*last + 1);
                }
                *last = at.max(*last);
                at
            })
            .collect()
    }

    /// Whether a letter that is on its way now still arrives.
    pub fn passes(&self, from: Id, to: Id) -> bool {
        !self.cut.contains(&(from, to))
    }
}
