//! A world: one thread, one seed, virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::Cluster;
use crate::clock::Clock;
use crate::consensus::{Body, Config, Id, Message};
use crate::disk::Disk;
use crate::faults;
use crate::judge::Judge;
use crate::kube::manager;
use crate::member::{Birth, Machine, Process};
use crate::net::Net;
use crate::plan::Plan;
use crate::rng::Rng;
use crate::run::Living;
use crate::store::Requests;
use crate::tasks::Tasks;
use crate::trace::{Step, Trace};
use crate::workloads;

/// Steps of a world: one that takes more has a storm of letters in it.
const STEPS_MAX: usize = 1_000_000;

/// Something that happens at a time.
#[derive(Debug)]
enum Due {
    Letter(Message),
    Tick(Id, u64),
    Sync(Id, u64, u64),
    Compact(Id, u64, u64),
    Flush,
    Strike(usize),
    Relent(usize),
}

/// In a queue by time, then in the order of their making.
struct Queued {
    at_us: u64,
    order: u64,
    due: Due,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.at_us, self.order) == (other.at_us, other.order)
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.order).cmp(&(other.at_us, other.order))
    }
}

/// The world.
pub struct World {
    /// What it was made from.
    pub plan: Plan,
    /// Its time.
    pub clock: Clock,
    /// Its network.
    pub net: Net,
    /// Its machines.
    pub machines: BTreeMap<Id, Machine>,
    /// Looks at everything.
    pub judge: Judge,
    /// What clients find.
    pub cluster: Arc<Cluster>,
    /// What happened.
    pub trace: Trace,
    /// Whoever has voted fails at once and comes back.
    pub fickle_voters: bool,
    /// The id of the next machine.
    pub next_id: Id,
    queue: BinaryHeap<Reverse<Queued>>,
    order: u64,
    tasks: Tasks,
    requests: Requests,
    ticks: BTreeMap<Id, u64>,
    rng: Rng,
}

impl World {
    /// The world of a plan, with all its members started.
    pub fn new(plan: Plan) -> Self {
        let rng = Rng::new(plan.seed).fork(10);
        let clock = Clock::new(plan.seed);
        let tasks = Tasks::new(rng.fork(1));
        let mut net = Net::new(rng.fork(2));
        net.weather = plan.weather;
        let judge = Judge::new();
        let cluster = Arc::new(Cluster::new(clock.clone(), tasks.spawner(), judge.ledger()));
        let mut world = Self {
            clock,
            net,
            machines: BTreeMap::new(),
            judge,
            cluster,
            trace: Trace::default(),
            fickle_voters: false,
            next_id: plan.members + 1,
            queue: BinaryHeap::new(),
            order: 0,
            tasks,
            requests: Requests::default(),
            ticks: BTreeMap::new(),
            rng,
            plan,
        };
        let config = Config { voters: (1..=world.plan.members).collect(), ..Config::default() };
        for id in config.voters.clone() {
            world.add_machine(id, config.clone());
        }
        world.schedule(world.plan.flush_us, Due::Flush);
        for index in 0..world.plan.strikes.len() {
            let strike = world.plan.strikes[index];
            world.schedule(strike.at_us, Due::Strike(index));
            let end_us = (strike.at_us + strike.length_us).min(world.plan.length_us);
            world.schedule(end_us.max(strike.at_us), Due::Relent(index));
        }
        world
    }

    /// The time.
    pub fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    fn note(&mut self, who: Id, what: &'static str, a: u64, b: u64) {
        self.trace.add(Step { at_us: self.now_us(), who, what, a, b });
    }

    fn schedule(&mut self, at_us: u64, due: Due) {
        self.order += 1;
        self.queue.push(Reverse(Queued { at_us, order: self.order, due }));
    }

    /// A new machine with an empty disk, and a process on it.
    pub fn add_machine(&mut self, id: Id, config: Config) {
        let machine = Machine {
            id,
            disk: Disk::new(config),
            starts: 0,
            process: None,
            paused_until_us: 0,
            skew_us: 0,
            sync_us: self.plan.sync_us,
            sync_due_us: None,
        };
        self.machines.insert(id, machine);
        self.start(id);
    }

    /// Takes a machine away for ever.
    pub fn remove_machine(&mut self, id: Id) {
        self.crash(id, false);
        self.machines.remove(&id);
        self.note(id, "removed", 0, 0);
    }

    /// Starts a process on a machine that has none.
    pub fn start(&mut self, id: Id) {
        let Some(machine) = self.machines.get_mut(&id).filter(|machine| machine.process.is_none()) else { return };
        let birth = Birth {
            requests: self.requests.clone(),
            clock: self.clock.clone(),
            timing: self.plan.timing,
            rng: self.rng.fork(id * 1000 + machine.starts),
        };
        let Some(process) = Process::start(machine, birth) else {
            let group = (id, machine.starts);
            self.judge.fault(group, "replicas agree", "the state on a member's disk does not load".to_owned());
            return;
        };
        self.judge.started(process.group, process.applied(), &process.state().snapshot());
        self.cluster.joined(id, process.store.clone());
        if workloads::need_managers(&self.plan.workloads) {
            let (group, clock, spawner) = (process.group, self.clock.clone(), self.tasks.spawner());
            let runtime = Arc::new(manager::OfWorld { group, clock, spawner });
            manager::begin(process.store.clone(), process.store.boot, runtime);
        }
        let starts = machine.starts;
        machine.process = Some(process);
        self.note(id, "start", starts, 0);
        self.drive(id);
    }

    /// The power of a machine fails.
    pub fn crash(&mut self, id: Id, torn: bool) {
        let Some(machine) = self.machines.get_mut(&id) else { return };
        let Some(process) = machine.process.take() else { return };
        machine.disk.crash(&mut self.rng, torn);
        machine.paused_until_us = 0;
        machine.sync_due_us = None;
        self.cluster.left(id);
        process.store.close();
        self.tasks.end(process.group);
        self.note(id, "crash", u64::from(torn), 0);
    }

    /// A process stands still for a while.
    pub fn pause(&mut self, id: Id, until_us: u64) {
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.paused_until_us = until_us;
        }
        let starts = self.machines.get(&id).map_or(0, |machine| machine.starts);
        self.schedule(until_us, Due::Tick(id, starts));
        self.note(id, "pause", until_us, 0);
    }

    /// The member that leads, in the eyes of most.
    pub fn leader(&self) -> Option<Id> {
        let leads = |machine: &&Machine| machine.process.as_ref().is_some_and(|process| process.raft.is_leader());
        let mut leaders: Vec<&Machine> = self.machines.values().filter(leads).collect();
        leaders.sort_by_key(|machine| machine.process.as_ref().map(|process| process.raft.term()));
        leaders.last().map(|machine| machine.id)
    }

    /// Lets a process do what there is to do.
    pub fn drive(&mut self, id: Id) {
        let now_us = self.now_us();
        let Some(machine) = self.machines.get_mut(&id) else { return };
        if machine.paused_until_us > now_us {
            return;
        }
        let Some(process) = &mut machine.process else { return };
        let told = process.drive(now_us, &mut machine.disk, &mut self.judge);
        if process.raft.is_leader() {
            self.judge.led(id, process.raft.term());
        }
        let (starts, due_us) = (machine.starts, process.next_due_us().max(now_us + 1));
        let sync = match (machine.sync_due_us, machine.disk.unsynced()) {
            (None, Some(number)) => {
                let at_us = now_us + self.rng.between(machine.sync_us.0, machine.sync_us.1);
                machine.sync_due_us = Some((at_us, number));
                Some((at_us, number))
            }
            _ => None,
        };
        if let Some((at_us, number)) = sync {
            self.schedule(at_us, Due::Sync(id, starts, number));
        }
        for to in told.compactions {
            let at_us = now_us + self.rng.between(0, 50_000);
            self.schedule(at_us, Due::Compact(id, starts, to));
        }
        let voted = told.letters.iter().any(|(_, body)| matches!(body, Body::Voted { granted: true, .. }));
        for (to, body) in told.letters {
            self.post(id, to, body);
        }
        if voted && self.fickle_voters {
            self.crash(id, self.plan.torn);
            return self.start(id);
        }
        if self.ticks.get(&id).is_none_or(|at| *at <= now_us || *at > due_us) {
            self.ticks.insert(id, due_us);
            self.schedule(due_us, Due::Tick(id, starts));
        }
    }

    fn post(&mut self, from: Id, to: Id, body: Body) {
        for at_us in self.net.arrivals(self.now_us(), from, to) {
            self.schedule(at_us, Due::Letter(Message { from, to, body: body.clone() }));
        }
    }

    fn run_tasks(&mut self) {
        loop {
            self.take_requests();
            let (machines, now_us) = (&self.machines, self.clock.now_us());
            let skew = |id: Id| match machines.get(&id) {
                Some(machine) if machine.paused_until_us > now_us => None,
                Some(machine) => Some(machine.skew_us),
                None => Some(0),
            };
            if !self.tasks.poll_one(skew) {
                return;
            }
        }
    }

    fn take_requests(&mut self) {
        let requests = std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner));
        let now_us = self.now_us();
        let mut asked = Vec::new();
        for (group, request) in requests {
            let Some(machine) = self.machines.get_mut(&group.0) else { continue };
            let Some(process) = machine.process.as_mut().filter(|process| process.group == group) else { continue };
            process.ask(now_us, request);
            asked.push(group.0);
        }
        asked.sort_unstable();
        asked.dedup();
        for id in asked {
            self.drive(id);
        }
    }

    fn happen(&mut self, due: Due) {
        let now_us = self.now_us();
        match due {
            Due::Letter(message) => self.deliver(message),
            Due::Tick(id, starts) => {
                if self.machines.get(&id).is_some_and(|machine| machine.starts == starts) {
                    self.drive(id);
                }
            }
            Due::Sync(id, starts, number) => {
                let Some(machine) = self.machines.get_mut(&id).filter(|m| m.starts == starts) else { return };
                if machine.paused_until_us > now_us {
                    let at_us = machine.paused_until_us;
                    return self.schedule(at_us, Due::Sync(id, starts, number));
                }
                let Some(process) = &mut machine.process else { return };
                machine.sync_due_us = None;
                machine.disk.sync(number);
                process.raft.synced(number);
                self.drive(id);
            }
            Due::Compact(id, starts, to) => {
                let machine = self.machines.get(&id).filter(|machine| machine.starts == starts);
                if let Some(process) = machine.and_then(|machine| machine.process.as_ref()) {
                    process.image.with(|image| image.compact(to));
                }
            }
            Due::Flush => {
                self.flush_all();
                self.schedule(now_us + self.plan.flush_us, Due::Flush);
            }
            Due::Strike(index) => {
                let strike = self.plan.strikes[index];
                self.note(0, faults::ALL[strike.fault].name, strike.at_us, strike.length_us);
                (faults::ALL[strike.fault].strike)(self, &mut Rng::new(strike.seed), strike.length_us);
            }
            Due::Relent(index) => {
                let strike = self.plan.strikes[index];
                (faults::ALL[strike.fault].relent)(self, &mut Rng::new(strike.seed));
            }
        }
    }

    fn flush_all(&mut self) {
        for id in self.machines.keys().copied().collect::<Vec<Id>>() {
            let Some(machine) = self.machines.get_mut(&id) else { continue };
            if let Some(process) = &mut machine.process
                && machine.paused_until_us <= self.clock.now_us()
            {
                process.flush(&mut machine.disk, self.plan.keep);
                self.drive(id);
            }
        }
    }

    fn deliver(&mut self, message: Message) {
        let Message { from, to, body } = message;
        if !self.net.passes(from, to) {
            return;
        }
        let (what, a, b) = body.words();
        self.note(to, what, a, b);
        let now_us = self.now_us();
        let Some(machine) = self.machines.get_mut(&to) else { return };
        if machine.paused_until_us > now_us {
            let at_us = machine.paused_until_us;
            return self.schedule(at_us, Due::Letter(Message { from, to, body }));
        }
        let Some(process) = &mut machine.process else { return };
        process.raft.step(now_us, from, body);
        self.drive(to);
    }

    /// For people: where a member stands.
    fn stands(&self, id: Id) -> String {
        match self.machines.get(&id).and_then(|machine| machine.process.as_ref()) {
            Some(process) => format!("m{id}: term {}, applied {}", process.raft.term(), process.applied().index),
            None => format!("m{id} is down"),
        }
    }
}

impl Living for World {
    const LOOK_US: u64 = 100_000;

    fn run_until(&mut self, end_us: u64) {
        loop {
            self.run_tasks();
            if self.trace.steps().len() > STEPS_MAX {
                self.judge.fault((0, 0), "the cluster recovers", "the members talk without end".to_owned());
            }
            if self.judge.is_over() {
                return;
            }
            let queued = self.queue.peek().map(|Reverse(queued)| queued.at_us);
            let next = [queued, self.clock.next_wake_us()].into_iter().flatten().min().unwrap_or(u64::MAX);
            if next > end_us {
                self.clock.advance(end_us);
                return;
            }
            self.clock.advance(next.max(self.now_us()));
            self.judge.now_us = self.now_us();
            if queued == Some(next)
                && let Some(Reverse(queued)) = self.queue.pop()
            {
                self.happen(queued.due);
            }
        }
    }

    fn heal(&mut self) {
        self.fickle_voters = false;
        self.net.mend();
        self.net.weather = self.plan.weather;
        let ids: Vec<Id> = self.machines.keys().copied().collect();
        for id in ids {
            if let Some(machine) = self.machines.get_mut(&id) {
                machine.paused_until_us = 0;
                machine.skew_us = 0;
                machine.sync_us = self.plan.sync_us;
            }
            self.start(id);
            self.drive(id);
        }
        self.note(0, "heal", 0, 0);
    }

    /// Machines that were taken out go.
    fn tidy_up(&mut self) {
        faults::membership::retire(self);
    }

    /// Whether everybody has applied what everybody has, and somebody leads.
    fn is_quiet(&self) -> bool {
        let Some(leader) = self.leader().and_then(|id| self.machines.get(&id)?.process.as_ref()) else { return false };
        let applied = leader.applied();
        let members: Vec<Id> = leader.raft.config().all().collect();
        members.iter().all(|id| {
            self.machines
                .get(id)
                .and_then(|machine| machine.process.as_ref())
                .is_some_and(|process| process.applied() == applied && process.raft.commit() == applied.index)
        })
    }

    fn describe(&self) -> String {
        let all: Vec<String> = self.machines.keys().map(|id| self.stands(*id)).collect();
        format!("the leader is {:?}; {}", self.leader(), all.join("; "))
    }

    fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    fn judge(&mut self) -> &mut Judge {
        &mut self.judge
    }

    fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    fn trace(&mut self) -> &mut Trace {
        &mut self.trace
    }
}

/// Shares something between tasks and the world.
pub type Shared<T> = Arc<Mutex<T>>;
