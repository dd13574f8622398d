//! Writing a database from the first byte to the last, page by page. What goes where is planned from sizes alone, so that
//! nothing needs to be at hand twice but the lengths of keys and values.

use bytes::Bytes;

use super::{BRANCH, BUCKET_HEAD, ELEMENT, FREELIST, IS_BUCKET, LEAF, MAGIC, META_PAGE, PAGE_HEAD, VERSION, fnv};

/// As on the machines that etcd mostly runs on; readers take it from the meta pages.
const PAGE: usize = 4096;
/// Of a part of the file, about.
const PART_BYTES: usize = 256 << 10;
/// The pages before the first bucket: two of meta data, and a list of free ones, of which there are none.
const FIRST_PAGE: u64 = 3;

/// The entries of a bucket, in key order.
pub(crate) trait Entries: Send {
    /// How many.
    fn count(&self) -> usize;
    /// One of them.
    fn entry(&self, number: usize) -> (Bytes, Bytes);
}

impl Entries for Vec<(Bytes, Bytes)> {
    fn count(&self) -> usize {
        self.len()
    }

    fn entry(&self, number: usize) -> (Bytes, Bytes) {
        self[number].clone()
    }
}

/// A database in the making: an iterator over the parts of the file.
pub(crate) struct Writer {
    /// In order of their names.
    buckets: Vec<(Bytes, Box<dyn Entries>, Tree)>,
    pages: u64,
    next: Next,
}

enum Next {
    Head,
    Leaves { bucket: usize, leaf: usize },
    Root,
    Done,
}

/// Where a bucket's pages are.
struct Tree {
    leaves: Vec<Leaf>,
    /// Levels of branches from the leaves up; the last has one page.
    levels: Vec<Vec<Branch>>,
}

struct Leaf {
    page: u64,
    first: usize,
    end: usize,
    bytes: usize,
    first_key: Bytes,
}

struct Branch {
    page: u64,
    /// Key and page of each child.
    children: Vec<(Bytes, u64)>,
}

fn pages_of(bytes: usize) -> u64 {
    bytes.div_ceil(PAGE) as u64
}

impl Tree {
    /// Lays out a bucket from `page` on; the first page behind it.
    fn plan(entries: &dyn Entries, mut page: u64) -> (Self, u64) {
        let mut leaves: Vec<Leaf> = Vec::new();
        for number in 0..entries.count() {
            let (key, value) = entries.entry(number);
            let bytes = ELEMENT + key.len() + value.len();
            match leaves.last_mut() {
                Some(leaf) if leaf.bytes + bytes <= PAGE => {
                    leaf.bytes += bytes;
                    leaf.end = number + 1;
                }
                _ => {
                    page += leaves.last().map_or(0, |leaf| pages_of(leaf.bytes));
                    let bytes = PAGE_HEAD + bytes;
                    leaves.push(Leaf { page, first: number, end: number + 1, bytes, first_key: key });
                }
            }
        }
        page += leaves.last().map_or(0, |leaf| pages_of(leaf.bytes));
        let mut below: Vec<(Bytes, u64)> = leaves.iter().map(|leaf| (leaf.first_key.clone(), leaf.page)).collect();
        let mut levels = Vec::new();
        while below.len() > 1 {
            let mut level: Vec<Branch> = Vec::new();
            let mut bytes = PAGE;
            for child in below {
                bytes += ELEMENT + child.0.len();
                if bytes > PAGE {
                    bytes = PAGE_HEAD + ELEMENT + child.0.len();
                    level.push(Branch { page, children: Vec::new() });
                    page += 1;
                }
                level.last_mut().expect("pushed above").children.push(child);
            }
            below = level.iter().map(|branch| (branch.children[0].0.clone(), branch.page)).collect();
            levels.push(level);
        }
        (Self { leaves, levels }, page)
    }

    /// The page at its top; `None` when it is empty.
    fn root(&self) -> Option<u64> {
        match self.levels.last() {
            Some(level) => level.first().map(|branch| branch.page),
            None => self.leaves.first().map(|leaf| leaf.page),
        }
    }
}

fn page(id: u64, flags: u16, count: usize, bytes: usize) -> Vec<u8> {
    let overflow = u32::try_from(pages_of(bytes) - 1).expect("an entry is far below 16 TiB");
    let count = u16::try_from(count).expect("4096 bytes hold fewer elements");
    let mut page = Vec::with_capacity(bytes);
    page.extend_from_slice(&id.to_le_bytes());
    page.extend_from_slice(&flags.to_le_bytes());
    page.extend_from_slice(&count.to_le_bytes());
    page.extend_from_slice(&overflow.to_le_bytes());
    page
}

/// Fills a page up to its end.
fn pad(mut page: Vec<u8>) -> Vec<u8> {
    page.resize(page.len().div_ceil(PAGE) * PAGE, 0);
    page
}

fn push_words(page: &mut Vec<u8>, words: &[usize]) {
    for word in words {
        page.extend_from_slice(&u32::try_from(*word).expect("offsets within a page's pages").to_le_bytes());
    }
}

fn leaf_page(id: u64, flags: u32, entries: &[(Bytes, Bytes)]) -> Vec<u8> {
    let bytes = PAGE_HEAD + entries.iter().map(|(key, value)| ELEMENT + key.len() + value.len()).sum::<usize>();
    let mut page = page(id, LEAF, entries.len(), bytes);
    let mut data = PAGE_HEAD + entries.len() * ELEMENT;
    for (key, value) in entries {
        let offset = data - page.len();
        push_words(&mut page, &[flags as usize, offset, key.len(), value.len()]);
        data += key.len() + value.len();
    }
    for (key, value) in entries {
        page.extend_from_slice(key);
        page.extend_from_slice(value);
    }
    page
}

fn branch_page(branch: &Branch) -> Vec<u8> {
    let mut page = page(branch.page, BRANCH, branch.children.len(), PAGE);
    let mut data = PAGE_HEAD + branch.children.len() * ELEMENT;
    for (key, child) in &branch.children {
        let offset = data - page.len();
        push_words(&mut page, &[offset, key.len()]);
        page.extend_from_slice(&child.to_le_bytes());
        data += key.len();
    }
    for (key, _) in &branch.children {
        page.extend_from_slice(key);
    }
    pad(page)
}

/// A bucket as its parent holds it.
fn bucket_value(root: Option<u64>) -> Bytes {
    let mut value = root.unwrap_or(0).to_le_bytes().to_vec();
    value.resize(BUCKET_HEAD, 0);
    if root.is_none() {
        value.extend_from_slice(&leaf_page(0, 0, &[]));
    }
    value.into()
}

impl Writer {
    /// A database of these buckets, whose names ascend.
    pub(crate) fn new(buckets: Vec<(Bytes, Box<dyn Entries>)>) -> Self {
        let mut page = FIRST_PAGE;
        let mut planned = Vec::new();
        for (name, entries) in buckets {
            let (tree, next) = Tree::plan(&*entries, page);
            page = next;
            planned.push((name, entries, tree));
        }
        let mut writer = Self { buckets: planned, pages: page, next: Next::Head };
        writer.pages += pages_of(writer.root_page().len());
        writer
    }

    /// Bytes of the whole file.
    pub(crate) fn bytes(&self) -> u64 {
        self.pages * PAGE as u64
    }

    /// Behind all buckets.
    fn root(&self) -> u64 {
        let after = |tree: &Tree| {
            let branch = tree.levels.last().and_then(|level| level.last()).map(|branch| branch.page + 1);
            branch.or_else(|| tree.leaves.last().map(|leaf| leaf.page + pages_of(leaf.bytes)))
        };
        self.buckets.iter().rev().find_map(|(.., tree)| after(tree)).unwrap_or(FIRST_PAGE)
    }

    fn root_page(&self) -> Vec<u8> {
        let entries: Vec<(Bytes, Bytes)> =
            self.buckets.iter().map(|(name, _, tree)| (name.clone(), bucket_value(tree.root()))).collect();
        pad(leaf_page(self.root(), IS_BUCKET, &entries))
    }

    fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        for transaction in 0..2_u64 {
            let mut meta = Vec::new();
            for word in [MAGIC, VERSION, PAGE as u32, 0] {
                meta.extend_from_slice(&word.to_le_bytes());
            }
            // Root page and its sequence, list of free pages, pages in all, transaction.
            for number in [self.root(), 0, 2, self.pages, transaction] {
                meta.extend_from_slice(&number.to_le_bytes());
            }
            meta.extend_from_slice(&fnv(&meta).to_le_bytes());
            head.extend(pad([page(transaction, META_PAGE, 0, PAGE), meta].concat()));
        }
        head.extend(pad(page(2, FREELIST, 0, PAGE)));
        head
    }

    /// Some leaves of a bucket from one on; behind the last come its branches.
    fn leaves(&self, bucket: usize, from: usize) -> (Vec<u8>, Next) {
        let (_, entries, tree) = &self.buckets[bucket];
        let mut part = Vec::new();
        for (number, leaf) in tree.leaves.iter().enumerate().skip(from) {
            if part.len() >= PART_BYTES {
                return (part, Next::Leaves { bucket, leaf: number });
            }
            let held: Vec<(Bytes, Bytes)> = (leaf.first..leaf.end).map(|number| entries.entry(number)).collect();
            part.extend(pad(leaf_page(leaf.page, 0, &held)));
        }
        for branch in tree.levels.iter().flatten() {
            part.extend(branch_page(branch));
        }
        let next =
            if bucket + 1 < self.buckets.len() { Next::Leaves { bucket: bucket + 1, leaf: 0 } } else { Next::Root };
        (part, next)
    }
}

impl Iterator for Writer {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let (part, next) = match self.next {
            Next::Head if self.buckets.is_empty() => (self.head(), Next::Root),
            Next::Head => (self.head(), Next::Leaves { bucket: 0, leaf: 0 }),
            Next::Leaves { bucket, leaf } => self.leaves(bucket, leaf),
            Next::Root => (self.root_page(), Next::Done),
            Next::Done => return None,
        };
        self.next = next;
        Some(part.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::{Database, is_database};
    use super::*;
    use crate::Error;

    fn bucket(count: usize, value: impl Fn(usize) -> usize) -> Vec<(Bytes, Bytes)> {
        (0..count).map(|n| (format!("key-{n:08}").into(), vec![n as u8; value(n)].into())).collect()
    }

    fn file(buckets: &[(&'static str, Vec<(Bytes, Bytes)>)]) -> Vec<u8> {
        let buckets = buckets.iter().map(|(name, entries)| {
            let entries: Box<dyn Entries> = Box::new(entries.clone());
            (Bytes::from_static(name.as_bytes()), entries)
        });
        Writer::new(buckets.collect()).flatten().collect()
    }

    fn entries(file: &[u8], name: &str) -> Result<Option<Vec<(Bytes, Bytes)>>, Error> {
        let mut found = Vec::new();
        let there = Database::open(file, file.len() as u64)?.bucket(name.as_bytes(), |_, key, value| {
            found.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            Ok(())
        })?;
        Ok(there.then_some(found))
    }

    #[test]
    fn what_was_written_is_read_whatever_its_size() {
        let check = |name: &str, held: Vec<(Bytes, Bytes)>| {
            let file = file(&[("a", Vec::new()), ("b", held.clone()), ("c", bucket(3, |_| 1))]);
            assert!(is_database(&file) && file.len().is_multiple_of(PAGE), "{name}");
            assert_eq!(entries(&file, "b").unwrap().as_ref(), Some(&held), "{name}");
            assert_eq!(entries(&file, "a").unwrap(), Some(Vec::new()), "{name}");
            assert_eq!(entries(&file, "c").unwrap().map(|c| c.len()), Some(3), "{name}");
            assert_eq!(entries(&file, "d").unwrap(), None, "{name}");
        };
        check("nothing", Vec::new());
        check("one", bucket(1, |_| 10));
        check("a page's worth", bucket(1, |_| PAGE - PAGE_HEAD - ELEMENT - 12));
        check("a byte more", bucket(1, |_| PAGE - PAGE_HEAD - ELEMENT - 11));
        check("two levels", bucket(2000, |_| 100));
        check("three levels", bucket(200_000, |_| 20));
        check("values over several pages", bucket(50, |n| n * 1000));
    }

    #[test]
    fn a_database_that_was_cut_or_altered_is_never_read_beyond_its_bounds() {
        let file = file(&[("b", bucket(500, |n| n % 90))]);
        for at in (0..file.len()).step_by(PAGE / 4) {
            assert!(entries(&file[..at], "b").is_err(), "cut at {at}");
        }
        // Whatever comes of it, reading ends, and within the file.
        for at in (0..file.len()).step_by(7).chain(0..200) {
            let mut bad = file.clone();
            bad[at] ^= 0xff;
            let _ = entries(&bad, "b");
        }
    }
}
