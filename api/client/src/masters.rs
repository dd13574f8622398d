//! The masters, which of them is spoken to, and how a call is tried again.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::Rng;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Response, Status};

use crate::Error;
use crate::error::{changed_nothing, may_pass};

/// A master that does not accept within this is passed over.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A connection on which nothing has been heard for so long is asked, and given up when it stays silent.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The first pause once every master has failed; doubles with each round.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause: an election takes less.
const PAUSE_MAX: Duration = Duration::from_millis(320);
/// The largest answer: an entry, or a message of a stream.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Whom to speak to, and as whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port` of each master's API port, or of a front door.
    pub masters: Vec<String>,
    /// Certificates; `None` for a store-only server that listens in plain text.
    pub tls: Option<Tls>,
    /// How long a call may take, with everything that is tried again. Watches and backups have no limit.
    pub deadline: Duration,
}

/// Certificates, PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The cluster's authority.
    pub ca_pem: String,
    /// The client's certificate.
    pub cert_pem: String,
    /// Its key.
    pub key_pem: String,
}

/// The client. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) masters: Arc<Masters>,
}

#[derive(Debug)]
pub(crate) struct Masters {
    channels: Vec<Channel>,
    /// Which of them is in use; counts up, modulo their number.
    current: AtomicUsize,
    deadline: Duration,
}

/// How far a call may go in trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing.
    Freely,
    /// Only when it is known to have changed nothing.
    WhenUntouched,
}

impl Client {
    /// A client; connects when first used. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Setup`] when there is no master, or an address or certificate cannot be read.
    pub fn new(options: &Options) -> Result<Self, Error> {
        if options.masters.is_empty() {
            return Err(Error::Setup("no master is named".to_owned()));
        }
        let channels = options.masters.iter().map(|master| channel(master, options.tls.as_ref()));
        let channels = channels.collect::<Result<Vec<_>, _>>()?;
        // Clients begin at different masters, so that they share the load.
        let current = AtomicUsize::new(rand::rng().random_range(0..channels.len()));
        Ok(Self { masters: Arc::new(Masters { channels, current, deadline: options.deadline }) })
    }
}

fn channel(master: &str, tls: Option<&Tls>) -> Result<Channel, Error> {
    let setup = |error: tonic::transport::Error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Error::Setup(format!("{master}: {error}{cause}"))
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{master}")).map_err(setup)?;
    if let Some(tls) = tls {
        let config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&tls.ca_pem))
            .identity(Identity::from_pem(&tls.cert_pem, &tls.key_pem));
        endpoint = endpoint.tls_config(config).map_err(setup)?;
    }
    Ok(endpoint
        .connect_timeout(CONNECT_LIMIT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(8 << 20)
        .connect_lazy())
}

impl Masters {
    /// The channel in use, and its number for [`Masters::leave`].
    pub(crate) fn channel(&self) -> (usize, Channel) {
        let current = self.current.load(Ordering::Relaxed);
        (current, self.channels[current % self.channels.len()].clone())
    }

    /// The master with this number has failed: the next one's turn, unless somebody has seen to it already.
    pub(crate) fn leave(&self, number: usize) {
        // Losing the race means that another call has moved on.
        let _ = self.current.compare_exchange(number, number + 1, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn until(&self) -> Instant {
        Instant::now() + self.deadline
    }

    /// Makes a call, at other masters too while that is safe and there is time.
    pub(crate) async fn call<M, T, F>(
        &self,
        repeat: Repeat,
        message: M,
        send: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<T, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let until = self.until();
        let mut pauses = Pauses::new(self.channels.len());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (number, channel) = self.channel();
            let mut request = Request::new(message.clone());
            request.set_timeout(left);
            let status = match tokio::time::timeout(left, send(channel, request)).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => return Err(out_of_time(repeat, "it has not answered".to_owned())),
            };
            if !may_pass(&status) {
                return Err(refused(repeat, status));
            }
            if repeat == Repeat::WhenUntouched && !changed_nothing(&status) {
                return Err(Error::OutcomeUnknown(status.message().to_owned()));
            }
            self.leave(number);
            let pause = pauses.next();
            if Instant::now() + pause >= until {
                return Err(match status.source_is_transport() {
                    true => Error::Unreachable(status.message().to_owned()),
                    false => Error::Refused(Box::new(status)),
                });
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// Whether a status comes from this side of the connection.
trait Origin {
    fn source_is_transport(&self) -> bool;
}

impl Origin for Status {
    fn source_is_transport(&self) -> bool {
        std::error::Error::source(self).is_some()
    }
}

fn out_of_time(repeat: Repeat, what: String) -> Error {
    match repeat {
        Repeat::Freely => Error::Unreachable(what),
        Repeat::WhenUntouched => Error::OutcomeUnknown(what),
    }
}

/// A deadline that passed inside the cluster leaves a write open.
fn refused(repeat: Repeat, status: Status) -> Error {
    let open = matches!(status.code(), tonic::Code::DeadlineExceeded | tonic::Code::Unknown | tonic::Code::Cancelled);
    if repeat == Repeat::WhenUntouched && open {
        return Error::OutcomeUnknown(status.message().to_owned());
    }
    status.into()
}

/// How long to wait before the next attempt: not at all until every master has had its turn.
pub(crate) struct Pauses {
    masters: usize,
    attempts: usize,
}

impl Pauses {
    pub(crate) fn new(masters: usize) -> Self {
        Self { masters, attempts: 0 }
    }

    pub(crate) fn of(masters: &Masters) -> Self {
        Self::new(masters.channels.len())
    }

    pub(crate) fn next(&mut self) -> Duration {
        self.attempts += 1;
        if !self.attempts.is_multiple_of(self.masters) {
            return Duration::ZERO;
        }
        let rounds = u32::try_from(self.attempts / self.masters).unwrap_or(u32::MAX);
        let longest = PAUSE_MIN.saturating_mul(1 << rounds.min(5)).min(PAUSE_MAX);
        // Spread, so that clients of a dead master do not come back together.
        rand::rng().random_range(longest / 2..=longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_master_has_its_turn_before_anybody_waits() {
        let mut pauses = Pauses::new(3);
        let waits: Vec<bool> = (0..9).map(|_| pauses.next() > Duration::ZERO).collect();
        assert_eq!(waits, [false, false, true, false, false, true, false, false, true]);
        let mut pauses = Pauses::new(1);
        assert!((0..50).all(|_| pauses.next() <= PAUSE_MAX));
    }

    #[tokio::test]
    async fn a_setup_that_makes_no_sense_is_refused_at_once() {
        let options = |masters: &[&str]| Options {
            masters: masters.iter().map(|m| (*m).to_owned()).collect(),
            tls: None,
            deadline: Duration::from_secs(1),
        };
        assert!(matches!(Client::new(&options(&[])), Err(Error::Setup(_))));
        assert!(matches!(Client::new(&options(&["not an address"])), Err(Error::Setup(_))));
        assert!(Client::new(&options(&["127.0.0.1:1"])).is_ok());
    }

    #[tokio::test]
    async fn a_master_that_moved_on_is_left_once() {
        let masters = ["127.0.0.1:1", "127.0.0.1:2"].map(str::to_owned).to_vec();
        let client = Client::new(&Options { masters, tls: None, deadline: Duration::from_secs(1) }).unwrap();
        let (number, _) = client.masters.channel();
        client.masters.leave(number);
        client.masters.leave(number);
        assert_eq!(client.masters.channel().0, number + 1);
    }
}
