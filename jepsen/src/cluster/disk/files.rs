//! Files as a disk holds them: what was written, and what of it survives a loss of power.
//!
//! As POSIX has it and no better: a file's content survives once the file was synced, its name once the folder was.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::ops::Range;

use rand::Rng;
use rand::rngs::StdRng;

/// Of a file or folder.
pub(super) type Number = u64;
/// The root folder's.
pub(super) const ROOT: Number = 1;
/// What a disk writes at once: un-synced writes survive in pieces of this size, or not.
const PAGE: usize = 4096;
/// Unlinked files are looked for every so many removals.
const SWEEP_EVERY: u32 = 64;

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NotFound,
    Exists,
    NotAFolder,
    IsAFolder,
    NotEmpty,
    Full,
}

/// A file's content.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    dirty: Vec<Range<usize>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Folder {
    pub(super) names: BTreeMap<OsString, Number>,
    synced: BTreeMap<OsString, Number>,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    File(Content),
    Folder(Folder),
}

#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) body: Body,
    pub(super) mode: u16,
    pub(super) opened: u32,
}

impl Inode {
    pub(super) fn size(&self) -> u64 {
        match &self.body {
            Body::File(content) => content.bytes.len() as u64,
            Body::Folder(_) => 0,
        }
    }
}

/// All files of a disk.
#[derive(Debug)]
pub(super) struct Files {
    inodes: BTreeMap<Number, Inode>,
    next: Number,
    removals: u32,
    /// No file may grow and none be made.
    pub(super) full: bool,
}

impl Default for Files {
    fn default() -> Self {
        let root = Inode { body: Body::Folder(Folder::default()), mode: 0o755, opened: 0 };
        Self { inodes: [(ROOT, root)].into(), next: ROOT + 1, removals: 0, full: false }
    }
}

impl Files {
    pub(super) fn get(&self, number: Number) -> Result<&Inode, Refusal> {
        self.inodes.get(&number).ok_or(Refusal::NotFound)
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Result<&mut Inode, Refusal> {
        self.inodes.get_mut(&number).ok_or(Refusal::NotFound)
    }

    pub(super) fn folder(&self, number: Number) -> Result<&Folder, Refusal> {
        match &self.get(number)?.body {
            Body::Folder(folder) => Ok(folder),
            Body::File(_) => Err(Refusal::NotAFolder),
        }
    }

    fn folder_mut(&mut self, number: Number) -> Result<&mut Folder, Refusal> {
        match &mut self.get_mut(number)?.body {
            Body::Folder(folder) => Ok(folder),
            Body::File(_) => Err(Refusal::NotAFolder),
        }
    }

    fn content_mut(&mut self, number: Number) -> Result<&mut Content, Refusal> {
        match &mut self.get_mut(number)?.body {
            Body::File(content) => Ok(content),
            Body::Folder(_) => Err(Refusal::IsAFolder),
        }
    }

    pub(super) fn lookup(&self, parent: Number, name: &OsStr) -> Result<Number, Refusal> {
        self.folder(parent)?.names.get(name).copied().ok_or(Refusal::NotFound)
    }

    /// Makes a file or a folder.
    pub(super) fn make(&mut self, parent: Number, name: &OsStr, mode: u16, body: Body) -> Result<Number, Refusal> {
        if self.full {
            return Err(Refusal::Full);
        }
        let number = self.next;
        let names = &mut self.folder_mut(parent)?.names;
        if names.contains_key(name) {
            return Err(Refusal::Exists);
        }
        names.insert(name.to_owned(), number);
        self.next += 1;
        self.inodes.insert(number, Inode { body, mode, opened: 0 });
        Ok(number)
    }

    pub(super) fn link(&mut self, number: Number, parent: Number, name: &OsStr) -> Result<(), Refusal> {
        self.get(number)?;
        let names = &mut self.folder_mut(parent)?.names;
        if names.contains_key(name) {
            return Err(Refusal::Exists);
        }
        names.insert(name.to_owned(), number);
        Ok(())
    }

    pub(super) fn unlink(&mut self, parent: Number, name: &OsStr) -> Result<(), Refusal> {
        self.folder_mut(parent)?.names.remove(name).ok_or(Refusal::NotFound)?;
        self.removals += 1;
        if self.removals.is_multiple_of(SWEEP_EVERY) {
            self.sweep();
        }
        Ok(())
    }

    pub(super) fn remove_folder(&mut self, parent: Number, name: &OsStr) -> Result<(), Refusal> {
        let number = self.lookup(parent, name)?;
        if !self.folder(number)?.names.is_empty() {
            return Err(Refusal::NotEmpty);
        }
        self.unlink(parent, name)
    }

    pub(super) fn rename(
        &mut self,
        from: (Number, &OsStr),
        to: (Number, &OsStr),
        replaces: bool,
    ) -> Result<(), Refusal> {
        let number = self.lookup(from.0, from.1)?;
        if let Ok(other) = self.lookup(to.0, to.1) {
            if !replaces {
                return Err(Refusal::Exists);
            }
            if matches!(&self.get(other)?.body, Body::Folder(folder) if !folder.names.is_empty()) {
                return Err(Refusal::NotEmpty);
            }
        }
        self.folder_mut(from.0)?.names.remove(from.1);
        self.folder_mut(to.0)?.names.insert(to.1.to_owned(), number);
        Ok(())
    }

    pub(super) fn read(&self, number: Number, offset: u64, size: u32) -> Result<&[u8], Refusal> {
        let Body::File(content) = &self.get(number)?.body else { return Err(Refusal::IsAFolder) };
        let length = content.bytes.len();
        let begin = usize::try_from(offset).unwrap_or(length).min(length);
        Ok(&content.bytes[begin..(begin + size as usize).min(length)])
    }

    pub(super) fn write(&mut self, number: Number, offset: u64, data: &[u8]) -> Result<(), Refusal> {
        let full = self.full;
        let content = self.content_mut(number)?;
        let begin = usize::try_from(offset).map_err(|_| Refusal::Full)?;
        let end = begin + data.len();
        if full && end > content.bytes.len() {
            return Err(Refusal::Full);
        }
        if end > content.bytes.len() {
            content.bytes.resize(end, 0);
        }
        content.bytes[begin..end].copy_from_slice(data);
        match content.dirty.last_mut() {
            Some(last) if last.end == begin => last.end = end,
            _ => content.dirty.push(begin..end),
        }
        Ok(())
    }

    pub(super) fn resize(&mut self, number: Number, size: u64) -> Result<(), Refusal> {
        let full = self.full;
        let content = self.content_mut(number)?;
        let size = usize::try_from(size).map_err(|_| Refusal::Full)?;
        let old = content.bytes.len();
        if full && size > old {
            return Err(Refusal::Full);
        }
        content.bytes.resize(size, 0);
        if size > old {
            content.dirty.push(old..size);
        }
        Ok(())
    }

    /// fsync of a file or a folder: what it is now survives.
    pub(super) fn sync(&mut self, number: Number) -> Result<(), Refusal> {
        // A folder has one name: no disk brings back the one that it was moved from beside the one that it was moved to.
        let inside = self.folder(number).into_iter().flat_map(|folder| folder.names.values());
        let folders: BTreeSet<Number> = inside.copied().filter(|inner| self.folder(*inner).is_ok()).collect();
        if !folders.is_empty() {
            for (other, inode) in &mut self.inodes {
                if let Body::Folder(folder) = &mut inode.body
                    && *other != number
                {
                    folder.synced.retain(|_, inner| !folders.contains(inner));
                }
            }
        }
        match &mut self.get_mut(number)?.body {
            Body::Folder(folder) => folder.synced.clone_from(&folder.names),
            Body::File(content) => {
                let length = content.bytes.len();
                content.synced.resize(length, 0);
                for range in std::mem::take(&mut content.dirty) {
                    let range = range.start.min(length)..range.end.min(length);
                    content.synced[range.clone()].copy_from_slice(&content.bytes[range]);
                }
            }
        }
        Ok(())
    }

    /// The power fails: what was not synced is gone, but for the pages that had reached the disk by chance, each with
    /// this likelihood in a hundred.
    pub(super) fn lose_power(&mut self, random: &mut StdRng, kept_percent: u32) {
        for inode in self.inodes.values_mut() {
            inode.opened = 0;
            match &mut inode.body {
                Body::Folder(folder) => folder.names.clone_from(&folder.synced),
                Body::File(content) => content.forget(random, kept_percent),
            }
        }
        self.sweep();
    }

    /// Flips one bit of what survives, in a file whose name ends so. Says where.
    pub(super) fn flip(&mut self, random: &mut StdRng, endings: &[&str]) -> Option<(Number, usize, String)> {
        let mut candidates: Vec<(Number, String)> = Vec::new();
        for inode in self.inodes.values() {
            let Body::Folder(folder) = &inode.body else { continue };
            for (name, number) in &folder.names {
                let name = name.to_string_lossy().into_owned();
                let fits = endings.iter().any(|ending| name.ends_with(ending));
                if fits && self.inodes.get(number).is_some_and(|inode| inode.size() > 0) {
                    candidates.push((*number, name));
                }
            }
        }
        if candidates.is_empty() {
            return None;
        }
        let (number, name) = candidates.swap_remove(random.random_range(0..candidates.len()));
        let length = usize::try_from(self.get(number).ok()?.size()).ok()?;
        let bit = random.random_range(0..length * 8);
        let content = self.content_mut(number).ok()?;
        content.flip(bit);
        Some((number, bit, name))
    }

    /// The byte in which a bit is.
    pub(super) fn byte(&self, number: Number, bit: usize) -> Option<u8> {
        self.read(number, bit as u64 / 8, 1).ok()?.first().copied()
    }

    /// Flips a bit of a file, if the file is still there.
    pub(super) fn flip_back(&mut self, number: Number, bit: usize) {
        if let Ok(content) = self.content_mut(number) {
            content.flip(bit);
        }
    }

    /// Forgets files that no folder holds, neither now nor after a loss of power, and that nobody has open.
    fn sweep(&mut self) {
        let mut held: BTreeSet<Number> = [ROOT].into();
        let mut open: Vec<Number> = vec![ROOT];
        open.extend(self.inodes.iter().filter(|(_, inode)| inode.opened > 0).map(|(number, _)| *number));
        held.extend(&open);
        while let Some(number) = open.pop() {
            if let Some(Inode { body: Body::Folder(folder), .. }) = self.inodes.get(&number) {
                let inside = folder.names.values().chain(folder.synced.values());
                open.extend(inside.copied().filter(|number| held.insert(*number)));
            }
        }
        self.inodes.retain(|number, _| held.contains(number));
    }
}

impl Content {
    fn flip(&mut self, bit: usize) {
        for bytes in [&mut self.bytes, &mut self.synced] {
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    fn forget(&mut self, random: &mut StdRng, kept_percent: u32) {
        let written = std::mem::replace(&mut self.bytes, self.synced.clone());
        for range in std::mem::take(&mut self.dirty) {
            for page in range.start / PAGE..range.end.div_ceil(PAGE) {
                let begin = (page * PAGE).max(range.start);
                let end = ((page + 1) * PAGE).min(range.end).min(written.len());
                if begin < end && random.random_ratio(kept_percent.min(100), 100) {
                    if self.bytes.len() < end {
                        self.bytes.resize(end, 0);
                    }
                    self.bytes[begin..end].copy_from_slice(&written[begin..end]);
                }
            }
        }
        self.synced.clone_from(&self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::choices;

    fn file(files: &mut Files, name: &str) -> Number {
        files.make(ROOT, OsStr::new(name), 0o644, Body::File(Content::default())).unwrap()
    }

    fn content(files: &Files, name: &str) -> Option<Vec<u8>> {
        let number = files.lookup(ROOT, OsStr::new(name)).ok()?;
        Some(files.read(number, 0, 1000).unwrap().to_vec())
    }

    #[test]
    fn what_was_not_synced_is_forgotten() {
        let mut files = Files::default();
        let number = file(&mut files, "log");
        files.write(number, 0, b"one").unwrap();
        files.sync(number).unwrap();
        files.sync(ROOT).unwrap();
        files.write(number, 3, b"two").unwrap();
        file(&mut files, "nameless");
        assert_eq!(content(&files, "log").unwrap(), b"onetwo");
        files.lose_power(&mut choices(1, ""), 0);
        assert_eq!(content(&files, "log").unwrap(), b"one");
        assert_eq!(content(&files, "nameless"), None, "its folder was not synced");
    }

    #[test]
    fn some_of_it_may_have_reached_the_disk() {
        let mut files = Files::default();
        let number = file(&mut files, "log");
        files.sync(ROOT).unwrap();
        files.write(number, 0, b"one").unwrap();
        files.lose_power(&mut choices(1, ""), 100);
        assert_eq!(content(&files, "log").unwrap(), b"one");
    }

    #[test]
    fn a_rename_survives_with_its_folder() {
        let mut files = Files::default();
        let number = file(&mut files, "new");
        files.write(number, 0, b"2").unwrap();
        files.sync(number).unwrap();
        file(&mut files, "current");
        files.sync(ROOT).unwrap();
        files.rename((ROOT, OsStr::new("new")), (ROOT, OsStr::new("current")), true).unwrap();
        let before = content(&files, "current");
        files.lose_power(&mut choices(1, ""), 0);
        assert_eq!((before, content(&files, "current")), (Some(b"2".to_vec()), Some(Vec::new())));
    }

    #[test]
    fn a_full_disk_takes_what_is_there_already() {
        let mut files = Files::default();
        let number = file(&mut files, "log");
        files.write(number, 0, b"one").unwrap();
        files.full = true;
        assert_eq!(files.write(number, 0, b"two"), Ok(()));
        assert_eq!(files.write(number, 1, b"two"), Err(Refusal::Full));
        assert_eq!(files.make(ROOT, OsStr::new("b"), 0, Body::File(Content::default())), Err(Refusal::Full));
    }

    #[test]
    fn an_open_file_outlives_its_name() {
        let mut files = Files::default();
        let number = file(&mut files, "a");
        files.get_mut(number).unwrap().opened = 1;
        files.unlink(ROOT, OsStr::new("a")).unwrap();
        files.sweep();
        assert!(files.get(number).is_ok());
        files.get_mut(number).unwrap().opened = 0;
        files.sweep();
        assert!(files.get(number).is_err());
    }

    #[test]
    fn a_folder_that_was_moved_has_one_name_after_a_loss_of_power() {
        let mut files = Files::default();
        let make = |files: &mut Files, parent: Number, name: &str| {
            files.make(parent, OsStr::new(name), 0o755, Body::Folder(Folder::default())).unwrap()
        };
        let (from, to) = (make(&mut files, ROOT, "from"), make(&mut files, ROOT, "to"));
        let moved = make(&mut files, from, "received");
        for number in [ROOT, from, to] {
            files.sync(number).unwrap();
        }
        files.rename((from, OsStr::new("received")), (to, OsStr::new("state-1")), true).unwrap();
        files.sync(to).unwrap();
        files.lose_power(&mut choices(1, ""), 0);
        assert_eq!(files.lookup(to, OsStr::new("state-1")), Ok(moved));
        assert_eq!(files.lookup(from, OsStr::new("received")), Err(Refusal::NotFound));
    }
}
