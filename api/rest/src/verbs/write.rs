//! What all writes share: proposing one command, and what comes back.

use api_kinds::Kind;
use bytes::Bytes;
use raft_state::{Action, Command, Expect, ObjectCommand, Outcome, Refusal, Revision};
use serde_json::{Map, Value};

use crate::context::Context;
use crate::object::Encoded;
use crate::{Api, Status};

/// What a write came to.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// The object as clients get it.
    pub(crate) bytes: Bytes,
    /// Its revision; that of the object as it was when nothing changed.
    pub(crate) revision: Revision,
    /// Whether it is new.
    pub(crate) created: bool,
    /// For the client.
    pub(crate) warnings: Vec<String>,
}

/// Why a command was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The state said no: perhaps another try, on a fresher object, fares better.
    Refused(Refusal),
    /// The object as it was seen speaks against it. This is worth as much as that is.
    Judged(Status),
    /// It has no outcome.
    Status(Status),
}

impl Failure {
    pub(crate) fn status(self, kind: &Kind, name: &str) -> Status {
        match self {
            Self::Refused(refusal) => Status::refused(&refusal, kind, name),
            Self::Judged(status) | Self::Status(status) => status,
        }
    }
}

/// Proposes one command on an object.
pub(crate) async fn propose(
    api: &Api,
    context: &Context,
    key: String,
    expect: Expect,
    action: Action,
) -> Result<Revision, Failure> {
    let command = Command::Object(ObjectCommand { key: Bytes::from(key), epoch: context.epoch, expect, action });
    let outcomes = api
        .store
        .propose(vec![command], context.deadline)
        .await
        .map_err(|error| Failure::Status(Status::proposing(&error)))?;
    match outcomes.into_iter().next() {
        Some(Outcome::Done { revision }) => Ok(revision),
        Some(Outcome::Refused(refusal)) => Err(Failure::Refused(refusal)),
        other => Err(Failure::Status(Status::internal(format!("an object command came to {other:?}")))),
    }
}

/// Proposes to write an object.
pub(crate) async fn put(
    api: &Api,
    context: &Context,
    name: &str,
    expect: Expect,
    encoded: &Encoded,
) -> Result<Revision, Failure> {
    let key = context.key(name);
    let payload = encoded.payload(context.kind, key.as_bytes(), &*api.config.keyring);
    propose(api, context, key, expect, Action::Put(payload)).await
}

/// `metadata` of an object, made when it is missing.
pub(crate) fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(Map::new());
    }
    match &mut object["metadata"] {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}
