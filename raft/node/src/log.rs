//! stub
use std::fmt::Debug; use std::io; use std::ops::RangeBounds; use std::sync::Arc;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage}; use openraft::{OptionalSend, RaftLogReader};
use crate::types::*;
pub(crate) struct Size; 
impl Size { pub(crate) fn bytes_after(&self,_:Option<u64>)->u64{0} pub(crate) fn keeping(&self,_:Option<u64>,_:u64)->Option<u64>{None} }
#[derive(Clone)] pub(crate) struct Log;
impl Log { pub(crate) fn size(&self)->Arc<Size>{Arc::new(Size)} }
impl RaftLogReader<TypeConfig> for Log {
 async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(&mut self, _range: RB) -> Result<Vec<Entry>, io::Error> { Ok(vec![]) }
 async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> { Ok(None) }
}
impl RaftLogStorage<TypeConfig> for Log {
 type LogReader = Self;
 async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> { Ok(LogState::default()) }
 async fn get_log_reader(&mut self) -> Self { self.clone() }
 async fn save_vote(&mut self, _vote: &Vote) -> Result<(), io::Error> { Ok(()) }
 async fn append<I>(&mut self, _entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error> where I: IntoIterator<Item = Entry> + OptionalSend, I::IntoIter: OptionalSend { callback.io_completed(Ok(())); Ok(()) }
 async fn truncate_after(&mut self, _last: Option<LogId>) -> Result<(), io::Error> { Ok(()) }
 async fn purge(&mut self, _upto: LogId) -> Result<(), io::Error> { Ok(()) }
}
