//! Reading buckets. Nothing in a file is trusted: offsets, counts and depths are checked.

use super::{
    BRANCH, BUCKET_HEAD, ELEMENT, IS_BUCKET, LEAF, MAGIC, META, PAGE_HEAD, VERSION, fnv, u16_at, u32_at, u64_at,
};
use crate::Error;

/// Deeper than any tree of 64-bit page numbers.
const DEPTH_MAX: usize = 64;
/// A page with all that overflows from it: more than any request of etcd's.
const PAGE_BYTES_MAX: u64 = 1 << 30;

/// Something that can be read anywhere.
pub trait ReadAt {
    /// Fills a buffer from an offset.
    ///
    /// # Errors
    /// When the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()>;
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        let start = usize::try_from(offset).ok();
        let bytes = start.and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(bytes.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for std::fs::File {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

/// A database.
pub(crate) struct Database<'a, F: ?Sized> {
    file: &'a F,
    /// Of the database, without what may follow it.
    length: u64,
    page_size: u64,
    root: u64,
    pages: u64,
}

struct Meta {
    page_size: u32,
    root: u64,
    pages: u64,
    transaction: u64,
}

impl Meta {
    fn read<F: ReadAt + ?Sized>(file: &F, offset: u64) -> Option<Self> {
        let mut bytes = [0; META];
        file.read_at(offset + PAGE_HEAD as u64, &mut bytes).ok()?;
        let valid =
            u32_at(&bytes, 0)? == MAGIC && u32_at(&bytes, 4)? == VERSION && u64_at(&bytes, 56)? == fnv(&bytes[..56]);
        let page_size = u32_at(&bytes, 8)?;
        let plausible = page_size.is_power_of_two() && (512..=1 << 20).contains(&page_size);
        (valid && plausible).then_some(Self {
            page_size,
            root: u64_at(&bytes, 16)?,
            pages: u64_at(&bytes, 40)?,
            transaction: u64_at(&bytes, 48)?,
        })
    }
}

/// Whether a file begins as bbolt's do.
pub(crate) fn is_database(first: &[u8]) -> bool {
    u32_at(first, PAGE_HEAD) == Some(MAGIC)
}

fn damaged(at: u64, what: impl Into<String>) -> Error {
    Error::damaged(at, what)
}

impl<'a, F: ReadAt + ?Sized> Database<'a, F> {
    /// Opens a database of `length` bytes.
    pub(crate) fn open(file: &'a F, length: u64) -> Result<Self, Error> {
        let first = Meta::read(file, 0);
        let second = match &first {
            Some(meta) => Meta::read(file, u64::from(meta.page_size)),
            // Without the first one its page size must be guessed.
            None => (9..=20).find_map(|bits| Meta::read(file, 1 << bits)),
        };
        let newest = [first, second].into_iter().flatten().max_by_key(|meta| meta.transaction);
        let meta = newest.ok_or_else(|| damaged(0, "neither of the database's meta pages is sound"))?;
        let page_size = u64::from(meta.page_size);
        if meta.pages.checked_mul(page_size).is_none_or(|bytes| bytes > length) {
            return Err(Error::CutShort { at: length });
        }
        Ok(Self { file, length, page_size, root: meta.root, pages: meta.pages })
    }

    /// Visits the entries of a bucket in key order; false when there is no such bucket.
    pub(crate) fn bucket(
        &self,
        name: &[u8],
        mut visit: impl FnMut(u64, &[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let mut found = None;
        self.tree(self.root, DEPTH_MAX, &mut |at, flags, key, value| {
            if key == name && flags & IS_BUCKET != 0 {
                found = Some((at, value.to_vec()));
            }
            Ok(())
        })?;
        let Some((at, bucket)) = found else { return Ok(false) };
        let mut entries = |at: u64, flags: u32, key: &[u8], value: &[u8]| match flags & IS_BUCKET {
            0 => visit(at, key, value),
            _ => Err(damaged(at, "a bucket in a bucket")),
        };
        match u64_at(&bucket, 0).ok_or_else(|| damaged(at, "a bucket without a head"))? {
            0 => self.page(at, bucket.get(BUCKET_HEAD..).unwrap_or_default(), 0, &mut entries)?,
            root => self.tree(root, DEPTH_MAX, &mut entries)?,
        }
        Ok(true)
    }

    fn tree(&self, page: u64, depth: usize, visit: &mut Visit<'_>) -> Result<(), Error> {
        let at = page.saturating_mul(self.page_size);
        if depth == 0 {
            return Err(damaged(at, "a tree without an end"));
        }
        if page < 2 || page >= self.pages {
            return Err(damaged(at, "a page outside of the database"));
        }
        let mut head = [0; PAGE_HEAD];
        self.file.read_at(at, &mut head)?;
        let overflow = u64::from(u32_at(&head, 12).unwrap_or_default());
        let length = (1 + overflow) * self.page_size;
        if length > PAGE_BYTES_MAX || at + length > self.length {
            return Err(damaged(at, "a page longer than the database"));
        }
        if u64_at(&head, 0) != Some(page) {
            return Err(damaged(at, "another page's number"));
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| damaged(at, "a page of absurd length"))?];
        self.file.read_at(at, &mut bytes)?;
        self.page(at, &bytes, depth, visit)
    }

    fn page(&self, at: u64, bytes: &[u8], depth: usize, visit: &mut Visit<'_>) -> Result<(), Error> {
        let outside = || damaged(at, "an element outside of its page");
        let flags = u16_at(bytes, 8).ok_or_else(outside)?;
        let count = usize::from(u16_at(bytes, 10).ok_or_else(outside)?);
        for number in 0..count {
            let element = PAGE_HEAD + number * ELEMENT;
            let word = |at: usize| u32_at(bytes, element + at).map(|word| word as usize).ok_or_else(outside);
            let part = |start: usize, length: usize| bytes.get(start..start.checked_add(length)?);
            match flags {
                LEAF => {
                    let (kind, key, key_bytes, value_bytes) = (word(0)?, element + word(4)?, word(8)?, word(12)?);
                    let kind = u32::try_from(kind).map_err(|_| outside())?;
                    let value = part(key + key_bytes, value_bytes).ok_or_else(outside)?;
                    visit(at, kind, part(key, key_bytes).ok_or_else(outside)?, value)?;
                }
                BRANCH if depth > 0 => {
                    self.tree(u64_at(bytes, element + 8).ok_or_else(outside)?, depth - 1, visit)?;
                }
                _ => return Err(damaged(at, format!("a page of kind {flags:#x} where entries should be"))),
            }
        }
        Ok(())
    }
}

type Visit<'v> = dyn FnMut(u64, u32, &[u8], &[u8]) -> Result<(), Error> + 'v;
