//! The leader's work: controllers and scheduler, fenced by an epoch.
//!
//! A term of office begins when this member leads with a quorum behind it: it commits an epoch, brings its view up to a
//! snapshot that holds it, and stamps every command with it. It ends when leadership does; what is still on its way then is
//! void by its epoch.

mod execute;
mod metrics;
mod runtime;
mod scheduling;
mod standby;
mod term;

use std::sync::Arc;
use std::time::Duration;

use api_rest::Api;
use raft_state::port::Store;
use raft_state::{Command, Epoch, Outcome};
use standby::Standby;
use tokio::sync::watch;

pub use metrics::{Metrics, Now};
pub use runtime::Runtime;
pub use server_control::runner::Depth;

/// The epoch must be open within this, or leadership is looked at anew.
const EPOCH_LIMIT: Duration = Duration::from_secs(5);

/// Between a term that ended and the next.
const TERM_PAUSE: Duration = Duration::from_millis(100);

/// What the manager works with.
#[derive(Clone)]
pub struct Options {
    /// The store of this member.
    pub store: Arc<dyn Store>,
    /// The API of this member.
    pub api: Arc<Api>,
    /// Tasks and time.
    pub runtime: Arc<dyn Runtime>,
    /// Names this process in epochs.
    pub boot_id: u64,
    /// The cluster's authority, PEM.
    pub ca_pem: String,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Serves terms until `stop` turns true. Between them it stands by: what a term works on is at hand when it begins.
pub async fn run(options: Options, mut stop: watch::Receiver<bool>) {
    loop {
        let mut standing = options.store.standing();
        // A member that has just started reads its log again first: nothing of that is worth following.
        tokio::select! {
            biased;
            caught_up = standing.wait_for(|standing| standing.leads || standing.ready) => if caught_up.is_err() { return },
            () = told(&mut stop) => return,
        }
        let mut standby = Standby::new(&options);
        tokio::select! {
            biased;
            led = standing.wait_for(|standing| standing.leads) => if led.is_err() { return },
            () = told(&mut stop) => return,
            () = standby.keep_up(&options) => unreachable!("it keeps up for ever"),
        }
        let Some(epoch) = open_epoch(&options).await else { continue };
        tracing::info!(epoch, "the manager is in office");
        options.metrics.term_begins(epoch);
        let mut standing = options.store.standing();
        tokio::select! {
            biased;
            reason = term::serve(&options, epoch, standby) => tracing::info!(epoch, reason, "the term ended"),
            _ = standing.wait_for(|standing| !standing.leads) => tracing::info!(epoch, "leadership ended, and the term with it"),
            () = told(&mut stop) => return,
        }
        options.metrics.term_ends();
        // A term that cannot begin must not be followed by the next at once.
        tokio::select! {
            biased;
            () = options.runtime.sleep(TERM_PAUSE) => {}
            () = told(&mut stop) => return,
        }
    }
}

/// Waits until told to stop; a channel whose sender is gone never tells.
async fn told(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn open_epoch(options: &Options) -> Option<Epoch> {
    let command = Command::OpenEpoch { holder: options.boot_id };
    match options.store.propose(vec![command], options.runtime.now() + EPOCH_LIMIT).await {
        Ok(outcomes) => match outcomes.first() {
            Some(Outcome::EpochOpened { epoch, .. }) => Some(*epoch),
            other => {
                tracing::warn!(?other, "an epoch did not open");
                None
            }
        },
        Err(error) => {
            tracing::warn!(%error, "an epoch did not open");
            None
        }
    }
}
