//! A change of an object that is there: tried on what this member has of it, and again on newer states.
//!
//! What this member has may be old. A write is safe all the same: the log compares the object's revision. Whatever is answered
//! without one, that there is nothing to change or that the object speaks against it, stands when a quorum knows of nothing newer.

use std::sync::Arc;

use planted_bugs::planted;
use raft_state::port::ReadLevel;
use raft_state::{Entry, Refusal};

use super::write::Failure;
use crate::context::Context;
use crate::{Api, Status};

/// How often a change that names no revision is tried on a newer object.
const ATTEMPTS: usize = 20;

/// What an answer rests on.
pub(crate) enum Stands {
    /// A write, which the log has compared with the object as it was.
    InTheLog,
    /// The object as it was seen.
    AsSeen,
}

/// Tries until it is done, or refused for good.
pub(crate) async fn run<T, F>(
    api: &Api,
    context: &Context,
    name: &str,
    once: impl Fn(Arc<Entry>) -> F,
) -> Result<T, Status>
where
    F: Future<Output = Result<(T, Stands), Failure>>,
{
    let key = context.key(name);
    let mut snapshot = api.store.snapshot();
    let mut fresh = false;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let found = snapshot.get(key.as_bytes());
        let seen = found.map(|entry| entry.mod_revision);
        let tried = match found {
            Some(entry) => once(entry.clone()).await,
            None => Err(Failure::Refused(Refusal::NotFound)),
        };
        // A conflict was found by the log itself, after the request had come: the state that shows it is as good as one that a
        // quorum confirms, and this member has it already.
        let newer = match &tried {
            Err(Failure::Refused(Refusal::Conflict { mod_revision })) if attempt < ATTEMPTS => {
                ReadLevel::AtLeast(*mod_revision)
            }
            Ok((_, Stands::AsSeen)) if planted!(NoChangeAsSeen) => return answer(tried, context, name),
            Ok((_, Stands::AsSeen)) | Err(Failure::Judged(_) | Failure::Refused(Refusal::NotFound)) if !fresh => {
                ReadLevel::Linearizable
            }
            _ => return answer(tried, context, name),
        };
        let asks = matches!(newer, ReadLevel::Linearizable);
        snapshot = api.store.read(newer, context.deadline).await.map_err(|error| Status::reading(&error, None))?;
        fresh = true;
        if asks && snapshot.get(key.as_bytes()).map(|entry| entry.mod_revision) == seen {
            return answer(tried, context, name);
        }
    }
}

fn answer<T>(tried: Result<(T, Stands), Failure>, context: &Context, name: &str) -> Result<T, Status> {
    tried.map(|(done, _)| done).map_err(|failure| failure.status(context.kind, name))
}
