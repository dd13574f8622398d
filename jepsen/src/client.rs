//! How clients speak to masters, and what an answer tells for certain.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use tests_e2e::{Client, Reply};

use crate::history::End;
use crate::samples::Sample;
use crate::world::World;

/// A connection that is not there by then is not there.
const CONNECTING_LIMIT: Duration = Duration::from_secs(1);
/// What a client waits for an answer: longer than any election, shorter than most faults.
const REQUEST_LIMIT: Duration = Duration::from_secs(3);

/// What a request came to.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It was done; the body.
    Done(Value),
    /// It was not done, for the request's own reasons: 404, 409, 410, 422 …
    Refused {
        /// HTTP status.
        code: u16,
        /// `metav1.Status`'s.
        reason: String,
        /// For people.
        message: String,
    },
    /// It never left.
    NotSent(String),
    /// It may have been done.
    Unknown(String),
}

impl Answer {
    fn of(reply: &Reply) -> Self {
        let text = || String::from_utf8_lossy(&reply.body).into_owned();
        let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
            return Self::Unknown(format!("{}: {}", reply.status, text()));
        };
        if reply.status.is_success() {
            return Self::Done(body);
        }
        let say = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        // A server's error says nothing about what it had done before.
        if reply.status.is_client_error() && reply.status != StatusCode::REQUEST_TIMEOUT {
            return Self::Refused { code: reply.status.as_u16(), reason: say("reason"), message: say("message") };
        }
        Self::Unknown(format!("{}: {}", reply.status, say("message")))
    }

    /// Whether a server answered in a way that settles the request.
    pub fn served(&self) -> bool {
        match self {
            Self::Done(_) => true,
            Self::Refused { code, .. } => *code != StatusCode::TOO_MANY_REQUESTS.as_u16(),
            Self::NotSent(_) | Self::Unknown(_) => false,
        }
    }

    /// The end of a call that reads: one without an answer has no effect, so it failed.
    pub fn end_of_read(self, result: impl FnOnce(Value) -> Value) -> End {
        match self {
            Self::Done(body) => End::Ok(result(body)),
            Self::Refused { reason, message, .. } => End::Refused { reason, why: message },
            Self::NotSent(why) | Self::Unknown(why) => End::Fail(why),
        }
    }

    /// The end of a call that writes.
    pub fn end_of_write(self, result: impl FnOnce(Value) -> Value) -> End {
        match self {
            Self::Unknown(why) => End::Info(why),
            other => other.end_of_read(result),
        }
    }
}

/// One client's connections, one to each master.
pub struct Session {
    world: Arc<World>,
    connections: Vec<Option<Client>>,
}

impl Session {
    /// Not connected to anybody yet.
    pub fn new(world: Arc<World>) -> Self {
        let connections = (0..world.cluster.masters()).map(|_| None).collect();
        Self { world, connections }
    }

    /// A connection to a master, a new one where there is none.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn connection(&mut self, master: usize) -> anyhow::Result<Client> {
        // One that was ended properly is known to be of no use, as any client knows.
        if let Some(client) = self.connections[master].as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        let cluster = &self.world.cluster;
        let connecting = Client::connect(cluster.site().api(master), cluster.credentials());
        let client = tokio::time::timeout(CONNECTING_LIMIT, connecting).await??;
        self.connections[master] = Some(client.clone());
        Ok(client)
    }

    /// Forgets a connection that broke.
    pub fn disconnect(&mut self, master: usize) {
        self.connections[master] = None;
    }

    /// GET.
    pub async fn get(&mut self, master: usize, path: &str) -> Answer {
        self.send(master, Method::GET, path, "", String::new(), false).await
    }

    /// POST of an object.
    pub async fn post(&mut self, master: usize, path: &str, object: &Value) -> Answer {
        self.send(master, Method::POST, path, "application/json", object.to_string(), false).await
    }

    /// PUT of an object.
    pub async fn put(&mut self, master: usize, path: &str, object: &Value) -> Answer {
        let contends = object["metadata"]["resourceVersion"].is_null();
        self.send(master, Method::PUT, path, "application/json", object.to_string(), contends).await
    }

    /// PATCH with a JSON merge patch.
    pub async fn merge(&mut self, master: usize, path: &str, patch: &Value) -> Answer {
        let contends = patch["metadata"]["resourceVersion"].is_null();
        self.send(master, Method::PATCH, path, "application/merge-patch+json", patch.to_string(), contends).await
    }

    /// DELETE, with `DeleteOptions` or `Null`.
    pub async fn delete(&mut self, master: usize, path: &str, options: &Value) -> Answer {
        let body = if options.is_null() { String::new() } else { options.to_string() };
        let contends = options["preconditions"].is_null();
        self.send(master, Method::DELETE, path, "application/json", body, contends).await
    }

    /// Sends a request, waits for the answer within the limit, and counts it as traffic.
    async fn send(
        &mut self,
        master: usize,
        method: Method,
        path: &str,
        kind: &str,
        body: String,
        contends: bool,
    ) -> Answer {
        let begun = self.world.recorder.now();
        let write = method != Method::GET;
        let answer = match self.connection(master).await {
            Err(error) => Answer::NotSent(format!("connecting: {error:#}")),
            Ok(client) => {
                match tokio::time::timeout(REQUEST_LIMIT, client.send(method, path, kind, body)).await {
                    Ok(Ok(reply)) => Answer::of(&reply),
                    Ok(Err(error)) => {
                        self.disconnect(master);
                        Answer::Unknown(format!("the connection broke: {error:#}"))
                    }
                    Err(_) => {
                        // It may be dead without having said so.
                        self.disconnect(master);
                        Answer::Unknown(format!("no answer within {REQUEST_LIMIT:?}"))
                    }
                }
            }
        };
        let (ended, served) = (self.world.recorder.now(), answer.served());
        self.world.samples.push(Sample { master, begun, ended, served, write, contends });
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_certain_answer_settles_a_write() {
        let check = |status: u16, body: &str, expected: &str| {
            let reply = Reply { status: StatusCode::from_u16(status).unwrap(), body: body.to_owned().into() };
            let end = match Answer::of(&reply).end_of_write(|v| v) {
                End::Ok(_) => "ok",
                End::Fail(_) | End::Refused { .. } => "fail",
                End::Info(_) => "info",
            };
            assert_eq!(end, expected, "{status} {body}");
        };
        check(201, "{}", "ok");
        check(409, r#"{"reason":"Conflict"}"#, "fail");
        check(404, r#"{"reason":"NotFound"}"#, "fail");
        check(503, r#"{"reason":"ServiceUnavailable"}"#, "info");
        check(504, r#"{"reason":"Timeout"}"#, "info");
        check(200, "cut off", "info");
    }
}
