//! Connections to the other members.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use api_proto::peer::peer_client::PeerClient;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use raft_state::port::Standing;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::config::{PeerTls, Timing};
use crate::faults::{Faults, Link};
use crate::ground::Ground;
use crate::peer::answers::Answers;
use crate::peer::carrier::Carrier;
use crate::peer::identity::PEER_NAME;
use crate::peer::socket;
use crate::peer::stood::Stood;
use crate::start::Hooks;
use crate::types::LeaderId;
use crate::wire::Letterhead;

/// A message may be this large: one log entry and what surrounds it.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// What is in flight on one stream, so that replication does not wait for window updates.
pub(crate) const WINDOW_BYTES: u32 = 16 << 20;

/// A connection that is there is worth more patience than one that is not: what is lost of its handshakes is sent again soon.
const HANDSHAKES: u32 = 4;

/// Between complaints about the same.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// Connections are kept apart by purpose, so that a full pipe of one never delays another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Votes, heartbeats, read indexes: small and urgent.
    Control,
    /// Log entries.
    Replication,
    /// Proposals on their way to the leader.
    Forward,
    /// Snapshots.
    Bulk,
}

/// Dials peers and keeps what it dialled.
pub(crate) struct Dialer {
    pub(crate) letterhead: Letterhead,
    tls: Mutex<watch::Receiver<PeerTls>>,
    /// For the connection itself; handshakes may take [`HANDSHAKES`] times as long.
    connect_timeout: Duration,
    silence: Duration,
    /// As long as followers wait for a leader at least: see [`socket::give_up_after`].
    unacknowledged_max: Duration,
    faults: Option<Arc<Faults>>,
    ground: Option<Arc<dyn Ground>>,
    /// `None` once closed.
    channels: Mutex<Option<Channels>>,
    /// Told when a connection that was there is gone.
    lost: Mutex<BTreeMap<(u64, Lane), Arc<Notify>>>,
    matched: Mutex<BTreeMap<u64, Matched>>,
    /// Who follows this leader.
    pub(crate) answers: Answers,
    pub(crate) stood: Stood,
    refusals: Mutex<BTreeMap<u64, (String, Instant)>>,
    /// Where members are, by the latest membership: Raft's own links know only where they were when the links were made.
    addresses: Mutex<BTreeMap<u64, String>>,
}

/// Connections with the address that each was made for.
type Channels = BTreeMap<(u64, Lane), (String, Carrier)>;

/// A client of a peer.
pub(crate) type Client = PeerClient<Carrier>;

/// What a peer has stored of this leader's log, by its own word.
#[derive(Clone, Copy)]
struct Matched {
    leader: LeaderId,
    upto: Option<u64>,
}

impl Dialer {
    pub(crate) fn new(letterhead: Letterhead, tls: &watch::Receiver<PeerTls>, timing: &Timing, hooks: &Hooks) -> Self {
        Self {
            letterhead,
            tls: Mutex::new(tls.clone()),
            // A round of votes is worth more than an attempt that hangs.
            connect_timeout: timing.election_max.max(Duration::from_millis(100)),
            silence: (timing.election_max * 4).max(Duration::from_millis(500)),
            unacknowledged_max: socket::patience(timing),
            faults: hooks.faults.clone(),
            ground: hooks.ground.clone(),
            channels: Mutex::new(Some(Channels::new())),
            lost: Mutex::default(),
            matched: Mutex::default(),
            answers: Answers::default(),
            stood: Stood::default(),
            refusals: Mutex::default(),
            addresses: Mutex::default(),
        }
    }

    /// A client of a peer. Connects on first use and again at once whenever the connection broke.
    pub(crate) fn client(&self, peer: u64, address: &str, lane: Lane) -> io::Result<Client> {
        let mut channels = self.channels.lock();
        let channels = channels.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        // Channels connect anew by themselves, but only with the certificate that they were made with.
        if self.tls.lock().has_changed().unwrap_or(false) {
            self.tls.lock().mark_unchanged();
            channels.clear();
        }
        if let Some((known, channel)) = channels.get(&(peer, lane))
            && known == address
        {
            return Ok(wrap(channel.clone()));
        }
        let channel = self.channel(peer, address, lane, Some(self.lost(peer, lane)))?;
        channels.insert((peer, lane), (address.to_owned(), channel.clone()));
        Ok(wrap(channel))
    }

    /// Follows the members to other addresses, for as long as this member runs.
    pub(crate) async fn follow(self: Arc<Self>, mut standing: watch::Receiver<Standing>) {
        let mut known = Vec::new();
        loop {
            match standing.wait_for(|standing| standing.members != known).await {
                Ok(standing) => known.clone_from(&standing.members),
                Err(_) => return,
            }
            *self.addresses.lock() = known.iter().map(|member| (member.id, member.peer_address.clone())).collect();
        }
    }

    /// Where a member is now; `before` is where it was when a link to it was made.
    pub(crate) fn address(&self, peer: u64, before: &str) -> String {
        self.addresses.lock().get(&peer).cloned().unwrap_or_else(|| before.to_owned())
    }

    /// A client of whoever listens at an address; `peer` is the member believed to be there, 0 when that is not known.
    pub(crate) fn stranger(&self, peer: u64, address: &str) -> io::Result<Client> {
        self.channel(peer, address, Lane::Control, None).map(wrap)
    }

    /// Told when the connection to a peer is gone that was there.
    pub(crate) fn lost(&self, peer: u64, lane: Lane) -> Arc<Notify> {
        self.lost.lock().entry((peer, lane)).or_default().clone()
    }

    /// Whether there are connections, which can be there before they are needed.
    pub(crate) fn has_connections(&self) -> bool {
        self.ground.is_none()
    }

    /// Lets go of all connections. What waits in them holds on to the log and to this dialer itself, so that nothing of it
    /// would ever be freed otherwise.
    pub(crate) fn close(&self) {
        let channels = self.channels.lock().take();
        drop(channels);
    }

    fn channel(&self, peer: u64, address: &str, lane: Lane, lost: Option<Arc<Notify>>) -> io::Result<Carrier> {
        if let Some(ground) = &self.ground {
            return Ok(Carrier::Ground(ground.clone(), address.to_owned(), lane as usize));
        }
        let endpoint = Endpoint::from_shared(format!("https://{address}"))
            .and_then(|endpoint| endpoint.tls_config(client_tls(&self.tls.lock().borrow())))
            .map_err(io::Error::other)?
            .connect_timeout(self.connect_timeout * HANDSHAKES)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            // A peer that fell silent is found out by unanswered pings; only traffic could tell otherwise.
            .http2_keep_alive_interval(self.silence)
            .keep_alive_timeout(self.silence)
            .keep_alive_while_idle(true);
        let (ends, faults, address) = ((self.letterhead.id, peer, lane), self.faults.clone(), address.to_owned());
        // Whoever receives a snapshot may be slow to take it.
        let silence = if lane == Lane::Bulk { self.silence * 2 } else { self.unacknowledged_max };
        let limit = self.connect_timeout;
        Ok(Carrier::Connection(endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
            let (faults, address, lost) = (faults.clone(), address.clone(), lost.clone());
            async move {
                let link = tokio::time::timeout(limit, Link::dial(&address, ends, faults)).await??;
                socket::give_up_after(link.stream(), silence)?;
                Ok::<_, io::Error>(TokioIo::new(link.tells(lost)))
            }
        }))))
    }

    /// This member sends entries as this leader.
    pub(crate) fn leads_as(&self, peer: u64, leader: LeaderId) {
        let mut matched = self.matched.lock();
        if matched.get(&peer).is_none_or(|m| m.leader != leader) {
            matched.insert(peer, Matched { leader, upto: None });
        }
    }

    /// A peer says that it has stored the log up to here.
    pub(crate) fn stored(&self, peer: u64, upto: Option<u64>) {
        if let Some(matched) = self.matched.lock().get_mut(&peer) {
            matched.upto = matched.upto.max(upto);
        }
    }

    /// Whether a peer has lost entries that it said it had stored: somebody emptied its folder.
    pub(crate) fn has_forgotten(&self, peer: u64, conflict: u64) -> bool {
        self.matched.lock().get(&peer).is_some_and(|matched| Some(conflict) <= matched.upto)
    }

    /// Tells people that a peer refuses us or is not what it should be: once, and again now and then.
    pub(crate) fn complain(&self, peer: u64, what: &str) {
        let mut refusals = self.refusals.lock();
        let known = refusals.get(&peer).is_some_and(|(said, at)| said == what && at.elapsed() < COMPLAIN_EVERY);
        if !known {
            tracing::error!(peer, "{what}");
            refusals.insert(peer, (what.to_owned(), Instant::now()));
        }
    }

    /// Whether a peer's machine answers that nobody listens there: its process is gone for sure. Silence proves nothing.
    pub(crate) async fn is_refused(&self, peer: u64, address: &str) -> bool {
        if let Some(ground) = &self.ground {
            return ground.is_refused(address).await;
        }
        let dial = Link::dial(address, (self.letterhead.id, peer, Lane::Control), self.faults.clone());
        match tokio::time::timeout(self.connect_timeout, dial).await {
            Ok(Err(e)) => e.kind() == io::ErrorKind::ConnectionRefused,
            _ => false,
        }
    }
}

fn client_tls(tls: &PeerTls) -> ClientTlsConfig {
    ClientTlsConfig::new()
        .domain_name(PEER_NAME)
        .ca_certificate(Certificate::from_pem(&tls.ca_pem))
        .identity(Identity::from_pem(&tls.cert_pem, &tls.key_pem))
}

fn wrap(carrier: Carrier) -> Client {
    PeerClient::new(carrier).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
}
