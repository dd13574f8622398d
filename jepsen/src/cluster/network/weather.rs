//! What befalls packets, link by link.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;

/// One way from one master to another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// Nothing comes through.
    pub cut: bool,
    /// So many packets of a thousand are lost.
    pub lost: u32,
    /// So many of a thousand come twice.
    pub doubled: u32,
    /// Every packet is late by so much at least …
    pub late_min: Duration,
    /// … and at most: a spread puts them out of order.
    pub late_max: Duration,
}

/// All links. Clients' links to masters are always fair.
pub struct Weather {
    masters: usize,
    usual: Link,
    links: Mutex<Vec<Link>>,
}

impl Weather {
    /// As usual, everywhere.
    pub(super) fn new(masters: usize, usual: Link) -> Self {
        Self { masters, usual, links: Mutex::new(vec![usual; masters * masters]) }
    }

    /// Cuts these links, from → to, and mends all others.
    pub fn cut(&self, cut: &BTreeSet<(usize, usize)>) {
        for (number, link) in self.links.lock().iter_mut().enumerate() {
            link.cut = cut.contains(&(number / self.masters, number % self.masters));
        }
    }

    /// The same on all links. Does not touch what is cut.
    pub fn everywhere(&self, like: Link) {
        for link in self.links.lock().iter_mut() {
            *link = Link { cut: link.cut, ..like };
        }
    }

    /// As it was in the beginning. Does not touch what is cut.
    pub fn clear(&self) {
        self.everywhere(self.usual);
    }

    /// The weather on a link now.
    pub(super) fn on(&self, from: usize, to: usize) -> Link {
        if from >= self.masters || to >= self.masters {
            return Link::default();
        }
        self.links.lock()[from * self.masters + to]
    }
}
