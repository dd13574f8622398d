//! The file system as the kernel sees it.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::State;
use super::files::{Body, Content, Folder, Inode, Refusal};

/// Nothing is kept by the kernel: what the disk holds may change under it.
const TTL: Duration = Duration::ZERO;
/// A slow sync must not keep others waiting.
const THREADS: usize = 4;
const BLOCK: u32 = 4096;
/// Names of a file, as far as the kernel is told. It counts one off with each that goes, whatever it has been told meanwhile, and gives no
/// further name to a file that has none left by its count ("no such file"): so it is told of more than can go at once.
const LINKS: u32 = 1 << 16;
/// How closely the end of a sync that is late is timed.
const TICK: Duration = Duration::from_millis(5);

/// Mounts, and serves from threads of its own.
pub(super) fn spawn(state: Arc<State>, folder: &Path) -> io::Result<BackgroundSession> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("chaos".to_owned())];
    config.n_threads = Some(THREADS);
    config.clone_fd = true;
    fuser::spawn_mount(Mount(state), folder, &config)
}

struct Mount(Arc<State>);

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::NotFound => Errno::ENOENT,
        Refusal::Exists => Errno::EEXIST,
        Refusal::NotAFolder => Errno::ENOTDIR,
        Refusal::IsAFolder => Errno::EISDIR,
        Refusal::NotEmpty => Errno::ENOTEMPTY,
        Refusal::Full => Errno::ENOSPC,
    }
}

fn attributes(number: u64, inode: &Inode) -> FileAttr {
    let size = inode.size();
    let kind = if matches!(inode.body, Body::Folder(_)) { FileType::Directory } else { FileType::RegularFile };
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: inode.mode,
        nlink: LINKS,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

/// Permission bits of a mode.
fn permissions(mode: u32, umask: u32) -> u16 {
    u16::try_from(mode & !umask & 0o7777).unwrap_or(0o600)
}

impl Mount {
    fn sync(&self, ino: INodeNo, reply: ReplyEmpty) {
        let begun = Instant::now();
        // Looked at again and again: a disk that is quick again finishes what it was late with.
        while begun.elapsed() < *self.0.lag.lock() {
            std::thread::sleep(TICK);
        }
        answer(reply, self.0.files.lock().sync(ino.0));
    }

    fn enter(&self, reply: ReplyEntry, made: impl FnOnce(&mut super::Files) -> Result<u64, Refusal>) {
        let mut files = self.0.files.lock();
        let found = made(&mut files).and_then(|number| Ok(attributes(number, files.get(number)?)));
        match found {
            Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }
}

fn answer(reply: ReplyEmpty, done: Result<(), Refusal>) {
    match done {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(errno(refusal)),
    }
}

impl Filesystem for Mount {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.enter(reply, |files| files.lookup(parent.0, name));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.0.files.lock().get(ino.0) {
            Ok(inode) => reply.attr(&TTL, &attributes(ino.0, inode)),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut files = self.0.files.lock();
        let done = size.map_or(Ok(()), |size| files.resize(ino.0, size)).and_then(|()| {
            let inode = files.get_mut(ino.0)?;
            if let Some(mode) = mode {
                inode.mode = permissions(mode, 0);
            }
            Ok(attributes(ino.0, inode))
        });
        match done {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let body = Body::Folder(Folder::default());
        self.enter(reply, |files| files.make(parent.0, name, permissions(mode, umask), body));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.0.files.lock().unlink(parent.0, name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.0.files.lock().remove_folder(parent.0, name));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replaces = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        answer(reply, self.0.files.lock().rename((parent.0, name), (newparent.0, newname), replaces));
    }

    fn link(&self, _: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        self.enter(reply, |files| files.link(ino.0, newparent.0, newname).map(|()| ino.0));
    }

    fn open(&self, _: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.0.files.lock().get_mut(ino.0) {
            Ok(inode) => {
                inode.opened += 1;
                reply.opened(FileHandle(0), FopenFlags::empty());
            }
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let mut files = self.0.files.lock();
        let body = Body::File(Content::default());
        let made = files.make(parent.0, name, permissions(mode, umask), body).and_then(|number| {
            let inode = files.get_mut(number)?;
            inode.opened += 1;
            Ok(attributes(number, inode))
        });
        match made {
            Ok(attributes) => {
                reply.created(&TTL, &attributes, Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.0.files.lock().read(ino.0, offset, size) {
            Ok(data) => reply.data(data),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.0.files.lock().write(ino.0, offset, data) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn flush(&self, _: &Request, _ino: INodeNo, _fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        // Closing a file promises nothing.
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if let Ok(inode) = self.0.files.lock().get_mut(ino.0) {
            // The handles of a process that died with the power were forgotten already.
            inode.opened = inode.opened.saturating_sub(1);
        }
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.sync(ino, reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.sync(ino, reply);
    }

    fn fallocate(
        &self,
        _: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _offset: u64,
        _length: u64,
        _mode: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EOPNOTSUPP);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let files = self.0.files.lock();
        let folder = match files.folder(ino.0) {
            Ok(folder) => folder,
            Err(refusal) => return reply.error(errno(refusal)),
        };
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (place, (name, number)) in folder.names.iter().enumerate().skip(skipped) {
            let folder = files.get(*number).is_ok_and(|inode| matches!(inode.body, Body::Folder(_)));
            let kind = if folder { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(*number), place as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let free = if self.0.files.lock().full { 0 } else { 1 << 20 };
        reply.statfs(1 << 20, free, free, 1 << 20, 1 << 20, BLOCK, 255, BLOCK);
    }
}
