//! The task that counts while this member leads, and asks the leader while it does not.

use std::sync::{Arc, Weak};
use std::time::Duration;

use api_proto::peer as pb;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use planted_bugs::planted;
use raft_state::port::{LeaseTime, Standing, Store};
use raft_state::{Command, Lease, Outcome};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::ask::Ask;
use super::deadlines::{Deadlines, Found};
use crate::leader::LeaderView;
use crate::machine::Applied;
use crate::peer::dial::{Dialer, Lane};
use crate::reads::Reads;
use crate::view::View;

/// Before a question that found no answer is asked again, unless something changes first.
const RETRY: Duration = Duration::from_millis(10);
/// Ends proposed together.
const ENDS_MAX: usize = 1000;
/// Ids that share a message to the leader.
const MESSAGE_IDS: usize = 4096;

/// Answers questions about leases.
pub(crate) struct Keeper {
    pub(crate) boot: u64,
    pub(crate) store: Weak<dyn Store>,
    pub(crate) view: Arc<View>,
    pub(crate) applied: watch::Receiver<Applied>,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) leader: watch::Receiver<LeaderView>,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) reads: Reads,
    pub(crate) asks: mpsc::UnboundedReceiver<Ask>,
    /// The longest that one attempt may take.
    pub(crate) patience: Duration,
}

/// One term of office.
struct Office {
    number: u64,
    deadlines: Deadlines,
    known: OrdMap<i64, Lease>,
    settled: mpsc::UnboundedSender<Vec<i64>>,
}

impl Keeper {
    pub(crate) async fn run(mut self) {
        let mut waiting = Vec::new();
        while self.store.strong_count() > 0 {
            let leads = self.standing.borrow_and_update().leads;
            let goes_on = if leads { self.lead(&mut waiting).await } else { self.follow(&mut waiting).await };
            if !goes_on {
                return;
            }
        }
    }

    /// As the leader, until it is not. False when this member stops.
    async fn lead(&mut self, waiting: &mut Vec<Ask>) -> bool {
        let (settled, mut settlements) = mpsc::unbounded_channel();
        let Some(number) = self.open_office().await else {
            // Tried again as long as this member leads; not at once, for it may be losing its lead just now.
            return !matches!(tokio::time::timeout(RETRY, self.standing.changed()).await, Ok(Err(_)));
        };
        let mut office = Office { number, deadlines: Deadlines::default(), known: OrdMap::new(), settled };
        if planted!(LeaseEndedByNewLeader) {
            // As if it had counted already while another led, and had heard of no renewal.
            let earlier = Instant::now().checked_sub(Duration::from_secs(3)).unwrap_or_else(Instant::now);
            office.learn(self.view.snapshot().leases(), earlier);
        }
        let mut standing = self.standing.clone();
        loop {
            if self.is_over(&office) {
                return true;
            }
            office.learn(self.view.snapshot().leases(), Instant::now());
            self.propose_ends(&mut office);
            self.answer(&mut office, waiting).await;
            let retry = (!waiting.is_empty()).then(|| Instant::now() + RETRY);
            let next = office.deadlines.next().into_iter().chain(retry).min();
            tokio::select! {
                // What comes in all the time comes last.
                biased;
                lost = standing.wait_for(|standing| !standing.leads) => return lost.is_ok(),
                Some(ids) = settlements.recv() => {
                    // What was applied shows in the snapshot already; the rest is looked at again.
                    office.learn(self.view.snapshot().leases(), Instant::now());
                    for id in ids {
                        office.deadlines.settle(id, Instant::now());
                    }
                }
                ask = self.asks.recv() => match ask {
                    Some(ask) => waiting.push(ask),
                    None => return false,
                },
                changed = self.applied.changed() => if changed.is_err() {
                    return false;
                },
                () = until(next) => {}
            }
        }
    }

    /// Whether another office was opened since: by a member that led between two looks of this one, which never saw itself
    /// follow. What is counted here ends nothing any more, and would be proposed for ever.
    fn is_over(&self, office: &Office) -> bool {
        self.view.snapshot().lease_office() > office.number
    }

    async fn open_office(&self) -> Option<u64> {
        let store = self.store.upgrade()?;
        let command = Command::OpenLeaseOffice { holder: self.boot };
        let outcomes = store.propose(vec![command], (Instant::now() + self.patience * 10).into_std()).await.ok()?;
        match outcomes[..] {
            [Outcome::LeaseOfficeOpened { office }] => Some(office),
            _ => None,
        }
    }

    fn propose_ends(&self, office: &mut Office) {
        let due = office.deadlines.take_due(Instant::now(), ENDS_MAX);
        let (Some(store), false) = (self.store.upgrade(), due.is_empty()) else { return };
        let (number, settled, patience) = (office.number, office.settled.clone(), self.patience * 10);
        tokio::spawn(async move {
            let commands =
                due.iter().map(|(id, grant)| Command::LeaseExpire { id: *id, grant: *grant, office: number });
            let outcomes = store.propose(commands.collect(), (Instant::now() + patience).into_std()).await;
            if let Err(error) = outcomes {
                tracing::debug!(%error, "ends of leases have no outcome yet");
            }
            // The office may be closed by now.
            let _ = settled.send(due.into_iter().map(|(id, _)| id).collect());
        });
    }

    /// Answers what can be answered; what hangs on an end that is under way goes on waiting.
    async fn answer(&mut self, office: &mut Office, waiting: &mut Vec<Ask>) {
        while let Ok(ask) = self.asks.try_recv() {
            waiting.push(ask);
        }
        waiting.retain(|ask| !ask.reply.is_closed());
        if waiting.is_empty() {
            return;
        }
        // Renewed before the confirmation: whoever leads after it begins to count later.
        for ask in waiting.iter().filter(|ask| ask.renew) {
            for id in &ask.ids {
                office.deadlines.renew(*id, Instant::now());
            }
        }
        let Ok(Ok(index)) = tokio::time::timeout(self.patience, self.reads.index(true)).await else { return };
        let reached = self.applied.wait_for(|applied| applied.index >= index);
        if !matches!(tokio::time::timeout(self.patience, reached).await, Ok(Ok(_))) {
            return;
        }
        if self.is_over(office) {
            return;
        }
        let now = Instant::now();
        office.learn(self.view.snapshot().leases(), now);
        for ask in std::mem::take(waiting) {
            match office.times(&ask.ids, now) {
                // Whoever asked may have left.
                Some(times) => drop(ask.reply.send(times)),
                None => waiting.push(ask),
            }
        }
    }

    /// As a follower, until it leads. False when this member stops.
    async fn follow(&mut self, waiting: &mut Vec<Ask>) -> bool {
        let mut standing = self.standing.clone();
        loop {
            while let Ok(ask) = self.asks.try_recv() {
                waiting.push(ask);
            }
            waiting.retain(|ask| !ask.leader_only && !ask.reply.is_closed());
            if !waiting.is_empty() && self.ask_leader(waiting).await.is_none() {
                let _ = tokio::time::timeout(RETRY, self.leader.changed()).await;
            }
            if standing.borrow().leads {
                return true;
            }
            if !waiting.is_empty() {
                continue;
            }
            tokio::select! {
                biased;
                leads = standing.wait_for(|standing| standing.leads) => return leads.is_ok(),
                ask = self.asks.recv() => match ask {
                    Some(ask) => waiting.push(ask),
                    None => return false,
                },
            }
        }
    }

    /// Asks for as many as a message holds, and hands the answers out.
    async fn ask_leader(&mut self, waiting: &mut Vec<Ask>) -> Option<()> {
        let view = self.leader.borrow_and_update().clone();
        let leader = view.leader?;
        let mut client = self.dialer.client(leader, &view.address, Lane::Control).ok()?;
        let mut count = 0;
        let taken = waiting.iter().take_while(|ask| {
            count += ask.ids.len();
            count <= MESSAGE_IDS
        });
        let batch: Vec<Ask> = waiting.drain(..taken.count().max(1)).collect();
        let ids = |renew: bool| batch.iter().filter(|a| a.renew == renew).flat_map(|a| a.ids.iter().copied()).collect();
        let request = pb::LeasesRequest {
            header: self.dialer.letterhead.to(leader),
            timeout_ms: u32::try_from(self.patience.as_millis()).unwrap_or(u32::MAX),
            renew: ids(true),
            ask: ids(false),
        };
        let answered = tokio::time::timeout(self.patience, client.leases(request)).await;
        let response = answered.ok().and_then(Result::ok).map(tonic::Response::into_inner);
        let response = response.filter(|r| self.dialer.letterhead.check(r.header.as_ref()).is_ok() && r.confirmed);
        let Some(response) = response else {
            waiting.splice(..0, batch);
            return None;
        };
        let (mut renewed, mut asked) = (response.renewed.iter(), response.asked.iter());
        for ask in batch {
            let times = if ask.renew { &mut renewed } else { &mut asked };
            let times: Vec<_> = times.take(ask.ids.len()).map(time_from).collect();
            if times.len() == ask.ids.len() {
                // Whoever asked may have left.
                let _ = ask.reply.send(times);
            }
        }
        Some(())
    }
}

/// Sleeps until then; for ever when there is no then.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

impl Office {
    /// Takes in what was granted and what is gone since the last look, in time proportional to that.
    fn learn(&mut self, leases: &OrdMap<i64, Lease>, now: Instant) {
        let changes: Vec<(i64, Option<Lease>)> = self
            .known
            .diff(leases)
            .map(|change| match change {
                DiffItem::Add(id, lease) | DiffItem::Update { new: (id, lease), .. } => (*id, Some(*lease)),
                DiffItem::Remove(id, _) => (*id, None),
            })
            .collect();
        for (id, lease) in changes {
            match lease {
                Some(lease) => self.deadlines.insert(id, lease, now),
                None => self.deadlines.remove(id),
            }
        }
        self.known = leases.clone();
    }

    /// `None` while one of them is ending.
    fn times(&self, ids: &[i64], now: Instant) -> Option<Vec<Option<LeaseTime>>> {
        let time = |id: &i64| match self.deadlines.find(*id, now) {
            Found::Absent => Some(None),
            Found::Ending => None,
            Found::Running(granted_s, left) => Some(Some(LeaseTime { granted_s, left })),
        };
        ids.iter().map(time).collect()
    }
}

/// As the peer protocol says it.
pub(crate) fn time_to(time: Option<LeaseTime>) -> pb::LeaseTime {
    match time {
        None => pb::LeaseTime::default(),
        Some(time) => pb::LeaseTime {
            found: true,
            granted_s: time.granted_s,
            left_ms: u64::try_from(time.left.as_millis()).unwrap_or(u64::MAX),
        },
    }
}

fn time_from(time: &pb::LeaseTime) -> Option<LeaseTime> {
    time.found.then(|| LeaseTime { granted_s: time.granted_s, left: Duration::from_millis(time.left_ms) })
}
