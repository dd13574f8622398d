//! stub
use std::io; use std::path::{Path,PathBuf}; use std::sync::Arc;
use openraft::storage::{EntryResponder, RaftStateMachine}; use openraft::{OptionalSend, RaftSnapshotBuilder};
use futures::{Stream, StreamExt};
use raft_state::*; use raft_state::port::*;
use tokio::sync::watch;
use crate::types::*;
use openraft::alias::SnapshotOf;
#[derive(Clone,Copy,Debug,Default)] pub(crate) struct Applied { pub index: u64, pub revision: Revision, pub epoch: Epoch }
#[derive(Clone,Debug)] pub(crate) struct Checkpoint { path: PathBuf }
impl Checkpoint { pub(crate) fn path(&self)->&Path{&self.path} pub(crate) fn received(path: PathBuf)->Self{Self{path}} }
pub(crate) struct View; impl View { pub(crate) fn snapshot(&self)->Snapshot{unreachable!()} pub(crate) async fn exact(&self,_:Revision)->Result<Snapshot,ReadError>{unreachable!()} pub(crate) fn watch(&self,_:&[u8],_:Revision)->Result<Box<dyn Cursor>,WatchError>{unreachable!()} }
pub(crate) struct Machine{rx:watch::Receiver<Applied>}
impl Machine { pub(crate) fn view(&self)->Arc<View>{Arc::new(View)} pub(crate) fn applied(&self)->watch::Receiver<Applied>{self.rx.clone()} }
pub(crate) struct B;
impl RaftSnapshotBuilder<TypeConfig> for B { type SnapshotData=Checkpoint; async fn build_snapshot(&mut self)->Result<SnapshotOf<TypeConfig,Checkpoint>,io::Error>{unreachable!()} }
impl RaftStateMachine<TypeConfig> for Machine { type SnapshotData=Checkpoint; type SnapshotBuilder=B;
 async fn applied_state(&mut self)->Result<(Option<LogId>,StoredMembership),io::Error>{Ok((None,StoredMembership::default()))}
 async fn apply<S>(&mut self, mut entries:S)->Result<(),io::Error> where S: Stream<Item=Result<EntryResponder<TypeConfig>,io::Error>>+Unpin+OptionalSend { while let Some(e)=entries.next().await { let (_,r)=e?; if let Some(r)=r { r.send(()) } } Ok(()) }
 async fn get_snapshot_builder(&mut self)->B{B}
 async fn install_snapshot(&mut self,_m:&SnapshotMeta,_s:Checkpoint)->Result<(),io::Error>{Ok(())}
 async fn get_current_snapshot(&mut self)->Result<Option<SnapshotOf<TypeConfig,Checkpoint>>,io::Error>{Ok(None)}
}
pub(crate) fn encode(_:crate::registry::Ids,_:&[Command])->bytes::Bytes{unreachable!()}
pub(crate) fn open(_:&Path,_:Arc<dyn crate::Keyring>,_:Arc<crate::metrics::Metrics>,_:Arc<crate::watchdog::Flushes>,_:Arc<crate::registry::Registry>,_:crate::exit::Exit)->Result<(crate::log::Log,Machine),String>{unreachable!()}
