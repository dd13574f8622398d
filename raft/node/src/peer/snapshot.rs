//! Snapshots between members: the files of a checkpoint, in chunks with checksums, going on where a transfer broke off.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api_proto::peer as pb;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::alias::SnapshotOf;
use openraft::raft::SnapshotResponse;
use raft_state::Keyring;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::checkpoint::Checkpoint;
use crate::ground::StateDisk;
use crate::metrics::{Metrics, increment};
use crate::peer::dial::Client;
use crate::simulated::blocking;
use crate::types::{TypeConfig, Vote};
use crate::wire::{self, Letterhead};

const CHUNK_BYTES: usize = 1 << 20;

/// Chunks read ahead of the network.
const CHUNKS_AHEAD: usize = 4;

/// Why a snapshot did not get through.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It cannot be read here.
    Unreadable(io::Error),
    /// The peer says that what arrived is damaged.
    Damaged(Status),
    /// Anything else.
    Peer(Status),
}

fn local(error: io::Error) -> Broken {
    Broken::Unreadable(error)
}

fn remote(status: Status) -> Broken {
    match status.code() {
        Code::DataLoss => Broken::Damaged(status),
        _ => Broken::Peer(status),
    }
}

/// Sends a checkpoint to a peer and waits until it is installed there.
pub(crate) async fn send(
    mut client: Client,
    header: Option<pb::Header>,
    letterhead: &Letterhead,
    vote: Vote,
    snapshot: SnapshotOf<TypeConfig, Checkpoint>,
) -> Result<SnapshotResponse<TypeConfig>, Broken> {
    let checkpoint = snapshot.snapshot;
    let folder = checkpoint.path().to_owned();
    let files = blocking(move || list(&folder)).await.map_err(local)?;
    let meta = wire::snapshot_meta_to(&snapshot.meta, files);
    let leader = Some(wire::vote_to(&vote));
    let offer = pb::SnapshotOffer { header: header.clone(), leader, meta: Some(meta.clone()) };
    let progress = client.offer_snapshot(offer).await.map_err(remote)?.into_inner();
    letterhead.check(progress.header.as_ref()).map_err(remote)?;
    let theirs = wire::vote_from(progress.vote.as_ref()).map_err(remote)?;
    if theirs > vote {
        return Ok(SnapshotResponse::new(theirs));
    }
    if progress.held.len() != meta.files.len() {
        return Err(Broken::Peer(Status::internal("the peer answers for other files")));
    }
    let (chunks, outgoing) = mpsc::channel(CHUNKS_AHEAD);
    let reading = tokio::spawn(async move {
        let first =
            pb::SnapshotChunk { header: header.clone(), leader, meta: Some(meta.clone()), ..Default::default() };
        // The receiver of the chunks goes away when the call ends; so does the reader then.
        if chunks.send(first).await.is_err() {
            return Ok(());
        }
        for (number, (file, held)) in meta.files.iter().zip(progress.held).enumerate() {
            let template = pb::SnapshotChunk {
                header: header.clone(),
                leader,
                file: u32::try_from(number).map_err(io::Error::other)?,
                ..Default::default()
            };
            if !read_file(&checkpoint.path().join(&file.name), held, &template, &chunks).await? {
                return Ok(());
            }
        }
        Ok(())
    });
    let answer = client.install_snapshot(ReceiverStream::new(outgoing)).await;
    let read: io::Result<()> = reading.await.map_err(|e| local(io::Error::other(e)))?;
    read.map_err(local)?;
    let answer = answer.map_err(remote)?.into_inner();
    letterhead.check(answer.header.as_ref()).map_err(remote)?;
    Ok(SnapshotResponse::new(wire::vote_from(answer.vote.as_ref()).map_err(remote)?))
}

/// Reads a file from `held` on into chunks; false when nobody takes them any more.
async fn read_file(
    path: &Path,
    held: u64,
    template: &pb::SnapshotChunk,
    chunks: &mpsc::Sender<pb::SnapshotChunk>,
) -> io::Result<bool> {
    let path = path.to_owned();
    let mut file = blocking(move || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(held))?;
        Ok(file)
    })
    .await?;
    let mut offset = held;
    loop {
        let (read, data) = blocking(move || {
            let mut data = Vec::with_capacity(CHUNK_BYTES);
            (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut data)?;
            Ok((file, data))
        })
        .await?;
        file = read;
        if data.is_empty() {
            return Ok(true);
        }
        let checksum = crc32c::crc32c(&data);
        let length = data.len() as u64;
        let chunk = pb::SnapshotChunk { offset, checksum, data: Bytes::from(data), ..template.clone() };
        if chunks.send(chunk).await.is_err() {
            return Ok(false);
        }
        offset += length;
    }
}

/// The files of a folder, by name, with their checksums.
fn list(folder: &Path) -> io::Result<Vec<pb::SnapshotFile>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|_| io::Error::other("a file name that is no text"))?;
        names.push(name);
    }
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let (bytes, checksum) = digest(&folder.join(&name))?;
            Ok(pb::SnapshotFile { name, bytes, checksum })
        })
        .collect()
}

/// Length and CRC-32C of a file.
fn digest(path: &Path) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let (mut bytes, mut checksum) = (0, 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, checksum));
        }
        bytes += read as u64;
        checksum = crc32c::crc32c_append(checksum, &buffer[..read]);
    }
}

/// Receives snapshots, one at a time.
#[derive(Clone)]
pub(crate) struct Receiver {
    /// Holds what is on its way, and what has come: each whole snapshot in a folder of its own, for whoever uses an earlier one,
    /// or removes it, knows it by its path.
    folder: PathBuf,
    /// Whole snapshots so far.
    whole: Arc<AtomicU64>,
    store: Arc<dyn StateDisk>,
    keyring: Arc<dyn Keyring>,
    metrics: Arc<Metrics>,
    /// What the files in the folder are parts of. Held during a transfer.
    offered: Arc<Mutex<Option<pb::SnapshotMeta>>>,
    /// Counts offers: the latest ends the transfer of any before.
    offers: watch::Sender<u64>,
}

impl Receiver {
    /// Transfers live in `folder` until the process ends; what an earlier process left there is forgotten.
    pub(crate) fn new(
        folder: PathBuf,
        store: Arc<dyn StateDisk>,
        keyring: Arc<dyn Keyring>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        empty(&folder)?;
        let (offered, offers) = (Arc::default(), watch::Sender::new(0));
        Ok(Self { folder, whole: Arc::default(), store, keyring, metrics, offered, offers })
    }

    /// Where the parts of what was offered last are.
    fn partial(&self) -> PathBuf {
        self.folder.join("partial")
    }

    /// How much of each file of an offer is here already.
    pub(crate) async fn held(&self, meta: Option<&pb::SnapshotMeta>) -> Result<Vec<u64>, Status> {
        let meta = meta.ok_or_else(|| Status::invalid_argument("an offer of nothing"))?.clone();
        if let Some(file) = meta.files.iter().find(|f| !is_plain(&f.name)) {
            return Err(Status::invalid_argument(format!("{:?} names no file of a snapshot", file.name)));
        }
        // There is one leader, and it sends one at a time: what is still on its way comes from nobody any more, and a
        // connection that was cut would take its time to say so.
        self.offers.send_modify(|count| *count += 1);
        let mut offered = self.offered.lock().await;
        let folder = self.partial();
        // Nothing can be gone on with where this does not come off.
        let resumes = offered.take().as_ref() == Some(&meta);
        let files = meta.files.clone();
        let held = blocking(move || {
            if !resumes {
                empty(&folder)?;
            }
            files.iter().map(|f| held_bytes(&folder.join(&f.name))).collect()
        });
        let held = held.await.map_err(|e| Status::internal(format!("receiving a snapshot: {e}")))?;
        *offered = Some(meta);
        Ok(held)
    }

    /// Takes the chunks of the snapshot offered last, and checks it whole.
    pub(crate) async fn receive(
        &self,
        letterhead: &Letterhead,
        mut chunks: impl Stream<Item = Result<pb::SnapshotChunk, Status>> + Unpin,
    ) -> Result<(u64, Vote, SnapshotOf<TypeConfig, Checkpoint>), Status> {
        let mut offers = self.offers.subscribe();
        let mut offered = self.offered.lock().await;
        let mut next = async || {
            tokio::select! {
                biased;
                _ = offers.changed() => Err(Status::aborted("another snapshot is offered")),
                chunk = chunks.next() => chunk.transpose(),
            }
        };
        let first = next().await?.ok_or_else(|| Status::invalid_argument("a snapshot of nothing"))?;
        let from = letterhead.check(first.header.as_ref())?;
        let vote = wire::vote_from(first.leader.as_ref())?;
        let Some(meta) = first.meta.filter(|meta| offered.as_ref() == Some(meta)) else {
            return Err(Status::aborted("another snapshot was offered"));
        };
        while let Some(chunk) = next().await? {
            letterhead.check(chunk.header.as_ref())?;
            let file = meta.files.get(chunk.file as usize);
            let name = file.ok_or_else(|| Status::invalid_argument("a chunk of no file"))?.name.clone();
            let path = self.partial().join(&name);
            blocking(move || store(&path, &chunk))
                .await
                .map_err(|e| broken(&e, format!("receiving {name} of a snapshot: {e}")))?;
        }
        let raft_meta = wire::snapshot_meta_from(&meta)?;
        let whole = self.folder.join(self.whole.fetch_add(1, Ordering::Relaxed).to_string());
        let (folder, target) = (self.partial(), whole.clone());
        let verified = blocking(move || verify_and_move(&folder, &meta.files, &target)).await;
        // Whatever is here now belongs to no offer any more.
        *offered = None;
        verified.map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData => self.refuse(&format!("it is not what was sent: {e}")),
            _ => Status::internal(format!("keeping a snapshot: {e}")),
        })?;
        let received = Checkpoint::received(whole, self.store.clone(), self.keyring.clone()).await;
        let snapshot = received.map_err(|e| self.refuse(&format!("it was damaged when it was sent: {e}")))?;
        let holds = snapshot.holds().map_err(|e| self.refuse(&e.to_string()))?;
        if holds.as_ref() != Some(&raft_meta) {
            return Err(self.refuse(&format!("it holds {holds:?}, and {raft_meta:?} was offered")));
        }
        Ok((from, vote, SnapshotOf::<TypeConfig, _> { meta: raft_meta, snapshot }))
    }

    /// Nothing of it is installed, and the sender looks at its own files.
    fn refuse(&self, why: &str) -> Status {
        tracing::error!("a snapshot is refused: {why}");
        increment(&self.metrics.snapshots_refused);
        Status::data_loss(format!("the snapshot is refused: {why}"))
    }
}

/// What went wrong with a chunk: damage is looked for at the sender, a full disk here is no fault of its.
fn broken(error: &io::Error, what: String) -> Status {
    match error.kind() {
        io::ErrorKind::InvalidData => Status::data_loss(what),
        _ => Status::internal(what),
    }
}

/// Makes a folder that holds nothing, whatever was there.
fn empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    fs::create_dir_all(folder)
}

/// A name that stays in its folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

fn held_bytes(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(e),
    }
}

fn store(path: &Path, chunk: &pb::SnapshotChunk) -> io::Result<()> {
    if crc32c::crc32c(&chunk.data) != chunk.checksum {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum of a chunk is wrong"));
    }
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path)?;
    if file.metadata()?.len() != chunk.offset {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk out of order"));
    }
    file.write_all(&chunk.data)
}

/// Checks every file, syncs it, and moves the folder out of the way of the next transfer.
fn verify_and_move(folder: &Path, files: &[pb::SnapshotFile], target: &Path) -> io::Result<()> {
    for expected in files {
        let path = folder.join(&expected.name);
        let file = fs::OpenOptions::new().append(true).create(true).open(&path)?;
        if digest(&path)? != (expected.bytes, expected.checksum) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is not what was offered", expected.name),
            ));
        }
        file.sync_all()?;
    }
    File::open(folder)?.sync_all()?;
    fs::rename(folder, target)?;
    match folder.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tests_solo::TestKeyring;

    use super::*;
    use crate::types::SnapshotMeta;

    #[test]
    fn names_stay_in_their_folder() {
        for (name, expected) in [
            ("000012.sst", true),
            ("MANIFEST-000004", true),
            ("", false),
            ("..", false),
            ("a/b", false),
            ("/etc", false),
        ] {
            assert_eq!(is_plain(name), expected, "{name:?}");
        }
    }

    fn meta(index: u64, files: &[(&str, &[u8])]) -> pb::SnapshotMeta {
        let file = |(name, bytes): &(&str, &[u8])| pb::SnapshotFile {
            name: (*name).to_owned(),
            bytes: bytes.len() as u64,
            checksum: crc32c::crc32c(bytes),
        };
        pb::SnapshotMeta {
            last: Some(pb::LogId { term: 1, leader: 1, index }),
            files: files.iter().map(file).collect(),
            ..Default::default()
        }
    }

    fn receiver(folder: &Path) -> Receiver {
        let keyring = Arc::new(TestKeyring);
        let (store, ..) = raft_log::StateStore::open(&folder.join("state"), keyring.clone()).expect("a state");
        Receiver::new(folder.join("incoming"), Arc::new(store), keyring, Arc::default()).expect("a receiver")
    }

    #[tokio::test]
    async fn a_transfer_goes_on_where_it_broke_off_but_only_with_the_same_snapshot() {
        let folder = tempfile::tempdir().expect("a folder");
        let receiver = receiver(folder.path());
        let offer = meta(7, &[("a", b"abcdef"), ("b", b"x")]);
        assert_eq!(receiver.held(Some(&offer)).await.expect("an answer"), [0, 0]);
        fs::write(receiver.partial().join("a"), b"abc").expect("a part");
        assert_eq!(receiver.held(Some(&offer)).await.expect("an answer"), [3, 0]);
        let newer = meta(8, &[("a", b"abcdef")]);
        assert_eq!(receiver.held(Some(&newer)).await.expect("an answer"), [0]);
        assert!(receiver.held(Some(&meta(9, &[("../x", b"")]))).await.is_err());
    }

    #[tokio::test]
    async fn an_offer_that_found_no_room_is_made_again_from_the_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let receiver = receiver(folder.path());
        let offer = meta(7, &[("a", b"abcdef")]);
        // No folder can be made there, as on a full disk.
        fs::write(receiver.partial(), b"").expect("a file in its place");
        let refused = receiver.held(Some(&offer)).await.expect_err("there is no room");
        assert_eq!(refused.code(), Code::Internal, "the sender is not to blame");
        fs::remove_file(receiver.partial()).expect("room");
        assert_eq!(receiver.held(Some(&offer)).await.expect("an answer"), [0]);
        assert!(receiver.partial().exists(), "chunks have a place");
    }

    #[tokio::test]
    async fn who_still_has_an_earlier_snapshot_takes_nothing_from_a_later_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let receiver = receiver(folder.path());
        let letterhead = Letterhead { cluster: "c".to_owned(), id: 1, retired: Default::default() };
        let sender = Letterhead { id: 2, ..letterhead.clone() };
        let mut received = Vec::new();
        for number in 0..2 {
            let source = folder.path().join(format!("source-{number}"));
            receiver.store.checkpoint(&source).expect("a checkpoint");
            let files = list(&source).expect("its files");
            let meta = wire::snapshot_meta_to(&SnapshotMeta::default(), files);
            receiver.held(Some(&meta)).await.expect("an answer");
            let first = pb::SnapshotChunk {
                header: sender.to(1),
                leader: Some(wire::vote_to(&Vote::new_committed(1, 2))),
                meta: Some(meta.clone()),
                ..pb::SnapshotChunk::default()
            };
            let chunks = meta.files.iter().zip(0..).map(|(file, number)| {
                let data = fs::read(source.join(&file.name)).expect("a file");
                let (checksum, header) = (crc32c::crc32c(&data), sender.to(1));
                pb::SnapshotChunk { header, file: number, checksum, data: data.into(), ..first.clone() }
            });
            let chunks = futures::stream::iter([first.clone()].into_iter().chain(chunks).map(Ok));
            let (_, _, snapshot) = receiver.receive(&letterhead, chunks).await.expect("a snapshot");
            received.push(snapshot.snapshot);
        }
        let later = received.pop().expect("the second");
        // The first was not installed, for something newer had come.
        drop(received);
        assert!(later.path().join("CURRENT").exists(), "it is whole");
    }

    #[tokio::test]
    async fn an_offer_ends_a_transfer_whose_sender_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let receiver = receiver(folder.path());
        let offer = meta(7, &[("a", b"abcdef")]);
        receiver.held(Some(&offer)).await.expect("an answer");
        let letterhead = Letterhead { cluster: "c".to_owned(), id: 1, retired: Default::default() };
        let sender = Letterhead { id: 2, ..letterhead.clone() };
        let leader = Some(wire::vote_to(&Vote::new_committed(1, 2)));
        let first =
            pb::SnapshotChunk { header: sender.to(1), leader, meta: Some(offer), ..pb::SnapshotChunk::default() };
        // Nothing more ever comes, and nobody says so.
        let silent = futures::stream::iter([Ok(first)]).chain(futures::stream::pending());
        let hanging = tokio::spawn({
            let receiver = receiver.clone();
            async move { receiver.receive(&letterhead, silent).await.map(drop).map_err(|status| status.code()) }
        });
        while receiver.offered.try_lock().is_ok() {
            tokio::task::yield_now().await;
        }
        assert_eq!(receiver.held(Some(&meta(8, &[("a", b"abcdef")]))).await.expect("an answer"), [0]);
        assert_eq!(hanging.await.expect("a task"), Err(Code::Aborted));
    }

    #[test]
    fn only_what_was_offered_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let (incoming, target) = (folder.path().join("incoming"), folder.path().join("complete"));
        fs::create_dir_all(&incoming).expect("a folder");
        fs::write(incoming.join("a"), b"abcdeX").expect("a file");
        let files = meta(7, &[("a", b"abcdef"), ("empty", b"")]).files;
        assert!(verify_and_move(&incoming, &files, &target).is_err());
        fs::write(incoming.join("a"), b"abcdef").expect("a file");
        verify_and_move(&incoming, &files, &target).expect("whole");
        assert_eq!(fs::read(target.join("a")).expect("a file"), b"abcdef");
        assert_eq!(fs::read(target.join("empty")).expect("a file"), b"");
        assert!(!incoming.exists());
    }

    #[test]
    fn chunks_are_stored_in_order_and_undamaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let chunk = |offset: u64, data: &'static [u8], checksum: u32| pb::SnapshotChunk {
            offset,
            data: Bytes::from_static(data),
            checksum,
            ..Default::default()
        };
        let good = crc32c::crc32c(b"abc");
        assert!(store(&path, &chunk(0, b"abc", good ^ 1)).is_err(), "damaged");
        store(&path, &chunk(0, b"abc", good)).expect("the first");
        assert!(store(&path, &chunk(0, b"abc", good)).is_err(), "again");
        store(&path, &chunk(3, b"abc", good)).expect("the second");
        assert_eq!(digest(&path).expect("a file"), (6, crc32c::crc32c(b"abcabc")));
    }
}
