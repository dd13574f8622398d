//! A folder of backups.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use rustix::fs::{Advice, fadvise};
use tokio::sync::mpsc;

use super::place::{CHUNKS_AHEAD, Found, Incoming, Outgoing};

/// Of a file that is being written.
const PARTIAL: &str = "partial";
/// Read at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// See the module.
pub struct Folder {
    path: PathBuf,
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("the work was cut short")?
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What lies there. A folder that is not there yet holds nothing.
    pub(super) async fn list(&self) -> Result<Vec<Found>> {
        let path = self.path.clone();
        blocking(move || {
            let entries = match fs::read_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                other => other.with_context(|| format!("reading {}", path.display()))?,
            };
            let mut found = Vec::new();
            for entry in entries {
                let entry = entry.with_context(|| format!("reading {}", path.display()))?;
                // Another master may prune at the same time.
                if let (Some(name), Ok(meta)) = (entry.file_name().to_str(), entry.metadata()) {
                    found.push(Found { name: name.to_owned(), bytes: meta.len() });
                }
            }
            Ok(found)
        })
        .await
    }

    pub(super) async fn put(&self, name: &str, chunks: Outgoing) -> Result<()> {
        let (folder, name) = (self.path.clone(), name.to_owned());
        blocking(move || {
            fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
            let partial = folder.join(format!("{name}.{PARTIAL}"));
            let written = write(&partial, chunks).and_then(|()| {
                fs::rename(&partial, folder.join(&name))?;
                File::open(&folder)?.sync_all()
            });
            if written.is_err() {
                // Half a backup is no use to anybody.
                let _ = fs::remove_file(&partial);
            }
            written.with_context(|| format!("in {}", folder.display()))
        })
        .await
    }

    pub(super) async fn get(&self, name: &str) -> Result<Incoming> {
        let path = self.path.join(name);
        let file = blocking(move || File::open(&path).with_context(|| format!("opening {}", path.display()))).await?;
        let (send, receive) = mpsc::channel(CHUNKS_AHEAD);
        tokio::task::spawn_blocking(move || read(file, &send));
        Ok(receive)
    }

    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.with_context(|| format!("removing {}", path.display())),
        })
        .await
    }
}

/// Onto the disk, and out of the system's memory, so that reading it again reads the disk.
fn write(path: &Path, mut chunks: Outgoing) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    while let Some(chunk) = chunks.blocking_recv() {
        file.write_all(&chunk)?;
    }
    file.sync_all()?;
    // Where that cannot be had, what is read is still what the system believes to be there.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    Ok(())
}

/// Sends a file until its end, or until nobody takes it any more.
fn read(mut file: File, send: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = file.read(&mut chunk);
        let sent = match read {
            Ok(0) => return,
            Ok(length) => {
                chunk.truncate(length);
                send.blocking_send(Ok(chunk.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => send.blocking_send(Err(error)),
        };
        if sent.is_err() {
            return;
        }
    }
}
