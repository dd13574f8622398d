//! The whole cluster through any master: it asks the others what they say of themselves.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use futures::future::join_all;
use raft_state::port::{Member, Store};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::history::Answer;
use super::report::Report;
use super::{AsMaster, Observed, history, report};
use crate::apiclient::{self, Client};

/// Where it is served.
pub const PATH: &str = "/trireme/cluster";

/// A master that does not answer within this is shown as unreachable.
const PATIENCE: Duration = Duration::from_millis(800);

/// What [`PATH`] answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cluster {
    /// The id of the master that was asked.
    pub asked: u64,
    /// Milliseconds since the epoch, by that master's clock.
    pub at_ms: i64,
    /// By id.
    pub members: Vec<Seen>,
}

/// A member as the master that was asked sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    /// Member id.
    pub id: u64,
    /// `m1`
    pub name: String,
    /// host:port of its peer port.
    pub peer_address: String,
    /// host:port of its API.
    pub api_address: String,
    /// Where its etcd clients connect; empty when it serves none.
    pub etcd_url: String,
    /// Voter, or learner.
    pub voter: bool,
    /// What it says of itself; `None` when it does not answer.
    pub report: Option<Report>,
    /// Why it does not.
    pub error: Option<String>,
    /// When asked for: what it looked like until now.
    pub history: Option<Answer>,
}

/// What may be asked.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Asked {
    /// With everybody's history behind this moment.
    history_after_ms: Option<i64>,
}

/// Serves it.
pub(super) async fn serve(State(observed): State<Arc<Observed>>, Query(asked): Query<Asked>) -> Json<Cluster> {
    let standing = observed.node.standing().borrow().clone();
    let members = join_all(standing.members.into_iter().map(|member| see(&observed, member, &asked))).await;
    Json(Cluster { asked: observed.node.id(), at_ms: crate::clock::now_us() / 1000, members })
}

async fn see(observed: &Observed, member: Member, asked: &Asked) -> Seen {
    let Member { id, name, peer_address, api_address, etcd_url, voter, .. } = member;
    let mut seen = Seen { id, name, peer_address, api_address, etcd_url, voter, ..Seen::default() };
    if id == observed.node.id() {
        seen.report = Some(observed.report());
        seen.history = asked.history_after_ms.map(|after| observed.history.since(id, after));
        return seen;
    }
    let asking = async {
        let client = observed.client(&seen.api_address)?;
        let report: Report = get(&client, report::PATH).await?;
        let answer = match asked.history_after_ms {
            None => None,
            Some(after) => Some(get::<Answer>(&client, &format!("{}?afterMs={after}", history::PATH)).await?),
        };
        Ok::<_, apiclient::Error>((report, answer))
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok((report, answer))) => (seen.report, seen.history) = (Some(report), answer),
        Ok(Err(error)) => seen.error = Some(error.to_string()),
        Err(_) => seen.error = Some(format!("no answer within {} ms", PATIENCE.as_millis())),
    }
    seen
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, apiclient::Error> {
    let value = client.get(path).await?;
    serde_json::from_value(value).map_err(|error| apiclient::Error::Malformed(error.to_string()))
}

impl Observed {
    /// A connection to another master, kept for the next time.
    fn client(&self, address: &str) -> Result<Client, apiclient::Error> {
        let mut clients = self.clients.lock();
        if let Some((_, client)) = clients.iter().find(|(known, _)| known == address) {
            return Ok(client.clone());
        }
        let AsMaster { ca_pem, pair } = self.as_master.lock().clone();
        let options = apiclient::Options::new(vec![address.to_owned()], ca_pem, pair.cert_pem, pair.key_pem);
        let client = Client::new(options)?;
        clients.push((address.to_owned(), client.clone()));
        Ok(client)
    }
}
