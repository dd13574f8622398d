//! Reads and writes.

use api_proto::v1;
use api_proto::v1::store_client::StoreClient;
use bytes::Bytes;
use tonic::transport::Channel;

use crate::masters::{ANSWER_BYTES_MAX, Repeat};
use crate::{Client, Error, List, Watch};

/// How fresh a read is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// It reflects every write acknowledged before the call.
    #[default]
    Linearizable,
    /// What the master has at hand.
    Local,
    /// This revision or a later one.
    AtLeast(u64),
    /// Exactly this revision.
    Exact(u64),
}

impl From<Freshness> for v1::Freshness {
    fn from(freshness: Freshness) -> Self {
        use v1::freshness::Level;
        Self {
            level: match freshness {
                Freshness::Linearizable => None,
                Freshness::Local => Some(Level::Local(true)),
                Freshness::AtLeast(revision) => Some(Level::AtLeast(revision)),
                Freshness::Exact(revision) => Some(Level::Exact(revision)),
            },
        }
    }
}

pub(crate) fn store(channel: Channel) -> StoreClient<Channel> {
    StoreClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX).max_encoding_message_size(ANSWER_BYTES_MAX)
}

/// The keys with a prefix.
pub(crate) fn prefix(prefix: impl Into<Bytes>) -> v1::KeyRange {
    v1::KeyRange { start: prefix.into(), end: Some(v1::key_range::End::Prefix(true)) }
}

fn one(key: Bytes) -> v1::KeyRange {
    v1::KeyRange { start: key, end: None }
}

impl Client {
    /// The entry of a key, and the revision of the state that was read.
    ///
    /// # Errors
    /// When no master answers, or the revision is compacted.
    pub async fn get(&self, key: impl Into<Bytes>, freshness: Freshness) -> Result<(Option<v1::Entry>, u64), Error> {
        let request = v1::GetRequest { key: key.into(), freshness: Some(freshness.into()) };
        let send = |channel, request| async move { store(channel).get(request).await };
        let response = self.masters.call(Repeat::Freely, request, send).await?;
        Ok((response.entry, response.revision))
    }

    /// The entries with a prefix, as a stream; all as of one revision.
    pub fn list(&self, prefix: impl Into<Bytes>, freshness: Freshness) -> List {
        List::new(self.masters.clone(), prefix.into(), freshness)
    }

    /// The changes of a prefix with revisions above `after`; from now on without one.
    pub fn watch(&self, prefix: impl Into<Bytes>, after: Option<u64>) -> Watch {
        Watch::new(self.masters.clone(), self::prefix(prefix), after, false)
    }

    /// As [`Client::watch`], of any keys, and with the entries before each change when asked for.
    pub fn watch_keys(&self, keys: v1::KeyRange, after: Option<u64>, with_previous: bool) -> Watch {
        Watch::new(self.masters.clone(), keys, after, with_previous)
    }

    /// A transaction.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when it may have been applied; with any other error it was not.
    pub async fn txn(&self, txn: v1::TxnRequest) -> Result<v1::TxnResponse, Error> {
        let send = |channel, request| async move { store(channel).txn(request).await };
        self.masters.call(Repeat::WhenUntouched, txn, send).await
    }

    /// Writes a key; the revision that it took.
    ///
    /// # Errors
    /// As [`Client::txn`].
    pub async fn put(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<u64, Error> {
        let put = v1::op::Op::Put(v1::PutOp { key: key.into(), value: value.into(), lease: 0 });
        Ok(self.txn(v1::TxnRequest { then: vec![v1::Op { op: Some(put) }], ..Default::default() }).await?.revision)
    }

    /// Writes a key when its last change has this revision (0: when it is not there). `None` when it has another.
    ///
    /// # Errors
    /// As [`Client::txn`].
    pub async fn put_at(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        mod_revision: u64,
    ) -> Result<Option<u64>, Error> {
        let key = key.into();
        let wanted = i64::try_from(mod_revision).map_err(|_| Error::Setup("no revision is so high".to_owned()))?;
        let compare = v1::Compare {
            keys: Some(one(key.clone())),
            relation: v1::compare::Relation::Equal.into(),
            operand: Some(v1::compare::Operand::ModRevision(wanted)),
        };
        let put = v1::op::Op::Put(v1::PutOp { key, value: value.into(), lease: 0 });
        let txn =
            v1::TxnRequest { compares: vec![compare], then: vec![v1::Op { op: Some(put) }], ..Default::default() };
        let response = self.txn(txn).await?;
        Ok(response.succeeded.then_some(response.revision))
    }

    /// Deletes a key; whether it was there.
    ///
    /// # Errors
    /// As [`Client::txn`].
    pub async fn delete(&self, key: impl Into<Bytes>) -> Result<bool, Error> {
        let delete = v1::op::Op::Delete(v1::DeleteOp { keys: Some(one(key.into())) });
        let txn = v1::TxnRequest { then: vec![v1::Op { op: Some(delete) }], ..Default::default() };
        let response = self.txn(txn).await?;
        Ok(matches!(
            response.results.first().and_then(|r| r.result.as_ref()),
            Some(v1::op_result::Result::Delete(v1::DeleteResult { deleted: 1.. }))
        ))
    }
}
