//! How many bytes of the log lie where.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Bytes of the log up to each append. Shared between the log and whoever decides when it is shortened.
#[derive(Debug, Default)]
pub(crate) struct Size {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The last index of an append, and the bytes of everything up to it. Ascending in both.
    marks: VecDeque<(u64, u64)>,
    /// Bytes up to what was purged.
    purged: u64,
}

impl Inner {
    fn upto(&self, index: Option<u64>) -> u64 {
        let Some(index) = index else { return self.purged };
        let at = self.marks.partition_point(|(last, _)| *last <= index);
        at.checked_sub(1).and_then(|at| self.marks.get(at)).map_or(self.purged, |(_, bytes)| *bytes)
    }

    fn total(&self) -> u64 {
        self.marks.back().map_or(self.purged, |(_, bytes)| *bytes)
    }
}

impl Size {
    /// An append that ends at `last`.
    pub(crate) fn add(&self, last: u64, bytes: u64) {
        let mut inner = self.inner.lock();
        let total = inner.total() + bytes;
        inner.marks.push_back((last, total));
    }

    /// Everything behind `last` is gone.
    pub(crate) fn truncate(&self, last: Option<u64>) {
        let mut inner = self.inner.lock();
        while inner.marks.back().is_some_and(|(index, _)| Some(*index) > last) {
            inner.marks.pop_back();
        }
    }

    /// Everything up to `upto` is gone.
    pub(crate) fn purge(&self, upto: u64) {
        let mut inner = self.inner.lock();
        while let Some((last, bytes)) = inner.marks.front().copied()
            && last <= upto
        {
            inner.purged = bytes;
            inner.marks.pop_front();
        }
    }

    /// Bytes behind an index, or in all.
    pub(crate) fn bytes_after(&self, index: Option<u64>) -> u64 {
        let inner = self.inner.lock();
        inner.total() - inner.upto(index)
    }

    /// The highest index up to which the log can go while so many bytes are kept between it and `below`.
    pub(crate) fn keeping(&self, below: Option<u64>, bytes: u64) -> Option<u64> {
        let inner = self.inner.lock();
        let limit = inner.upto(below).checked_sub(bytes)?;
        let at = inner.marks.partition_point(|(_, upto)| *upto <= limit);
        at.checked_sub(1).and_then(|at| inner.marks.get(at)).map(|(last, _)| *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_between_appends() {
        let size = Size::default();
        for last in [10, 20, 30, 40] {
            size.add(last, 100);
        }
        assert_eq!(size.bytes_after(None), 400);
        assert_eq!(size.bytes_after(Some(20)), 200);
        assert_eq!(size.bytes_after(Some(25)), 200);
        assert_eq!(size.bytes_after(Some(99)), 0);
        assert_eq!(size.keeping(Some(40), 150), Some(20));
        assert_eq!(size.keeping(Some(30), 100), Some(20));
        assert_eq!(size.keeping(Some(30), 400), None);
        assert_eq!(size.keeping(None, 0), None);
        size.purge(20);
        assert_eq!(size.bytes_after(None), 200);
        assert_eq!(size.keeping(Some(40), 150), None);
        size.truncate(Some(30));
        assert_eq!(size.bytes_after(None), 100);
        size.add(35, 50);
        assert_eq!(size.bytes_after(Some(30)), 50);
    }
}
