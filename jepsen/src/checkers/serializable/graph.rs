//! Who must come before whom.

use std::collections::{BTreeMap, BTreeSet};

use super::{Step, Transaction};

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The other appended right after it.
    Appended,
    /// The other read what it appended.
    Read,
    /// It did not see what the other appended.
    Missed,
    /// It was over before the other began.
    Time,
}

impl Why {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Appended => "appended before",
            Self::Read => "was read by",
            Self::Missed => "did not see",
            Self::Time => "was over before",
        }
    }
}

/// One must come before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The earlier.
    pub from: usize,
    /// The later.
    pub to: usize,
    /// Why.
    pub why: Why,
}

/// All that must be.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// For each transaction: those that come after it.
    pub after: Vec<BTreeMap<usize, Why>>,
}

impl Graph {
    fn add(&mut self, from: usize, to: usize, why: Why) {
        if from != to {
            let kept = self.after[from].entry(to).or_insert(why);
            *kept = (*kept).min(why);
        }
    }

    /// From what was read, and from real time.
    pub(super) fn of(transactions: &[Transaction<'_>], orders: &BTreeMap<String, Vec<u64>>) -> Self {
        let mut graph = Self { after: vec![BTreeMap::new(); transactions.len()] };
        let mut writers: BTreeMap<(&str, u64), usize> = BTreeMap::new();
        for (number, transaction) in transactions.iter().enumerate() {
            for step in &transaction.steps {
                if let Step::Append(key, element) = step {
                    writers.insert((key, *element), number);
                }
            }
        }
        for (key, order) in orders {
            for pair in order.windows(2) {
                let writer = |element: u64| writers.get(&(key.as_str(), element)).copied();
                if let (Some(from), Some(to)) = (writer(pair[0]), writer(pair[1])) {
                    graph.add(from, to, Why::Appended);
                }
            }
        }
        let unseen = unseen(&writers, orders);
        for (number, transaction) in transactions.iter().enumerate() {
            for step in &transaction.steps {
                let Step::Read(key, elements) = step else { continue };
                if let Some(writer) = elements.last().and_then(|end| writers.get(&(key.as_str(), *end))) {
                    graph.add(*writer, number, Why::Read);
                }
                let next = orders.get(key).and_then(|order| order.get(elements.len()));
                if let Some(writer) = next.and_then(|element| writers.get(&(key.as_str(), *element))) {
                    graph.add(number, *writer, Why::Missed);
                } else if next.is_none() {
                    for writer in unseen.get(key.as_str()).into_iter().flatten() {
                        graph.add(number, *writer, Why::Missed);
                    }
                }
            }
        }
        graph.real_time(transactions);
        graph
    }

    /// Whoever was over before another began. Only the last of those before are linked: the rest follows.
    fn real_time(&mut self, transactions: &[Transaction<'_>]) {
        let mut moments = Vec::new();
        for (number, transaction) in transactions.iter().enumerate() {
            moments.push((transaction.op.invoked, true, number));
            if let Some(completed) = transaction.op.completed.filter(|_| transaction.certain) {
                moments.push((completed, false, number));
            }
        }
        // At the same moment they overlap: beginnings first.
        moments.sort_by_key(|(at, begins, number)| (*at, !*begins, *number));
        let mut before: BTreeSet<usize> = BTreeSet::new();
        let mut known: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (_, begins, number) in moments {
            if begins {
                for earlier in &before {
                    self.add(*earlier, number, Why::Time);
                }
                known.insert(number, before.clone());
            } else {
                for earlier in known.remove(&number).unwrap_or_default() {
                    before.remove(&earlier);
                }
                before.insert(number);
            }
        }
    }
}

/// By list, who appended what nobody ever read. Lists only grow: it comes after all that was read, or not at all.
fn unseen<'a>(
    writers: &BTreeMap<(&'a str, u64), usize>,
    orders: &BTreeMap<String, Vec<u64>>,
) -> BTreeMap<&'a str, BTreeSet<usize>> {
    let mut seen: BTreeSet<(&str, u64)> = BTreeSet::new();
    for (key, order) in orders {
        seen.extend(order.iter().map(|element| (key.as_str(), *element)));
    }
    let mut unseen: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for ((key, element), writer) in writers {
        if !seen.contains(&(*key, *element)) {
            unseen.entry(key).or_default().insert(*writer);
        }
    }
    unseen
}
