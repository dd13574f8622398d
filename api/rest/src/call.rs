//! The API in process: what the leader's controllers and scheduler use. The same verbs as over HTTP, without HTTP.

use std::time::Instant;

use api_kinds::registry;
use api_schema::FieldValidation;
use raft_state::{Epoch, Revision};
use serde_json::Value;

use crate::context::Context;
use crate::verbs::delete::{self, Options};
use crate::verbs::patch::{self, Patch};
use crate::verbs::update::{self, Change};
use crate::verbs::{create, decode};
use crate::{Api, Identity, Status, events, sub};

/// Who calls, and until when.
#[derive(Clone, Debug)]
pub struct Caller {
    /// As whom.
    pub identity: Identity,
    /// Field manager.
    pub manager: String,
    /// The manager's epoch: the call is void once a newer one is open.
    pub epoch: Option<Epoch>,
    /// No answer after this.
    pub deadline: Instant,
    /// Whether the kinds' own rules are waived: for the objects that every cluster has, and nothing else.
    pub trusted: bool,
}

/// An object by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Empty for core.
    pub group: &'static str,
    /// `pods`
    pub plural: &'static str,
    /// Empty for cluster-wide kinds.
    pub namespace: String,
    /// Empty when the object has a generateName.
    pub name: String,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Create.
    Create(Value),
    /// Replace.
    Update(Value),
    /// JSON merge patch of the object, or of a subresource.
    Merge {
        /// Empty, or `status`.
        subresource: &'static str,
        /// RFC 7386.
        patch: Value,
        /// Only at this revision.
        at: Option<Revision>,
    },
    /// Delete.
    Delete {
        /// Only this incarnation.
        uid: Option<String>,
        /// Only at this revision.
        at: Option<Revision>,
        /// Seconds.
        grace_period_s: Option<i64>,
        /// `Foreground`, `Background`, `Orphan`.
        propagation: Option<&'static str>,
    },
    /// Bind a pod to a node.
    Bind {
        /// Of the pod.
        uid: String,
        /// Where to.
        node: String,
    },
    /// Set the finalizers of a namespace's spec.
    Finalize(Value),
}

/// An event to report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// `Pod`
    pub kind: String,
    /// `v1`
    pub api_version: String,
    /// Of the object.
    pub namespace: String,
    /// Of the object.
    pub name: String,
    /// Of the object.
    pub uid: String,
    /// `Normal` or `Warning`
    pub severity: String,
    /// `Scheduled`
    pub reason: String,
    /// For people.
    pub message: String,
    /// Who reports: `default-scheduler`
    pub component: String,
}

impl Api {
    /// Does one thing and returns the revision that the store has reached with it (0 when that does not matter).
    ///
    /// # Errors
    /// As over HTTP.
    pub async fn call(&self, caller: &Caller, address: &Address, verb: Verb) -> Result<Revision, Status> {
        let context = self.context(caller, address)?;
        let name = &address.name;
        match verb {
            Verb::Create(mut object) => {
                decode::shape(context.kind, &mut object, &[], FieldValidation::Ignore)?;
                create::run(self, &context, object).await.map(|written| written.revision)
            }
            Verb::Update(mut object) => {
                decode::shape(context.kind, &mut object, &[], FieldValidation::Ignore)?;
                let make = |_: &Value| Ok(object.clone());
                let change = Change { subresource: "", make: &make, tracked: false };
                update::run(self, &context, name, change).await.map(|written| written.revision)
            }
            Verb::Merge { subresource, mut patch, at } => {
                if let Some(at) = at {
                    patch["metadata"]["resourceVersion"] = at.to_string().into();
                }
                let written = patch::run(self, &context, name, subresource, &Patch::Merge(patch)).await?;
                Ok(written.revision)
            }
            Verb::Delete { uid, at, grace_period_s, propagation } => {
                let options = Options {
                    grace_period_s,
                    propagation: propagation.map(str::to_owned),
                    uid,
                    resource_version: at.map(|at| at.to_string()),
                    dry_run: false,
                };
                delete::run(self, &context, name, &options).await?;
                // The delete is applied here: whatever is seen from now on is without it.
                Ok(self.store.snapshot().revision())
            }
            Verb::Bind { uid, node } => {
                sub::bind(self, &context, name, &uid, &node).await.map(|written| written.revision)
            }
            Verb::Finalize(finalizers) => {
                sub::finalize(self, &context, name, finalizers).await.map(|written| written.revision)
            }
        }
    }

    /// Reports an event; an equal one that is still there is counted up.
    ///
    /// # Errors
    /// As over HTTP.
    pub async fn report(&self, caller: &Caller, report: &Report) -> Result<(), Status> {
        let name = events::name(report);
        let namespace = events::namespace(report).to_owned();
        let address = Address { group: "", plural: "events", namespace, name: name.clone() };
        let context = self.context(caller, &address)?;
        let now_us = self.now_us();
        let make = |old: &Value| Ok(events::again(old, now_us));
        let exists = self.store.snapshot().get(context.key(&name).as_bytes()).is_some();
        if exists {
            let change = Change { subresource: "", make: &make, tracked: false };
            match update::run(self, &context, &name, change).await {
                Err(status) if status.reason == "NotFound" => {}
                other => return other.map(drop),
            }
        }
        match create::run(self, &context, events::first(report, now_us)).await {
            Err(status) if status.reason == "AlreadyExists" => {
                let change = Change { subresource: "", make: &make, tracked: false };
                update::run(self, &context, &name, change).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    fn context(&self, caller: &Caller, address: &Address) -> Result<Context, Status> {
        let kind = registry::by_plural(address.group, address.plural).ok_or_else(Status::no_such_path)?;
        Ok(Context {
            identity: caller.identity.clone(),
            kind,
            namespace: address.namespace.clone(),
            deadline: caller.deadline,
            dry_run: false,
            epoch: caller.epoch,
            manager: caller.manager.clone(),
            validation: FieldValidation::Ignore,
            trusted: caller.trusted,
        })
    }
}
