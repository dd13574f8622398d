//! A world: one thread, one seed, virtual time in steps of a millisecond.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use raft_node::{AdminError, NodeConfig, PeerTls, StartError};
use raft_state::port::{Kind, Member, Standing};
use tempfile::TempDir;
use tests_solo::TestKeyring;
use tokio::sync::watch;

use super::disk::Disk;
use super::faults::{self, Ordered};
use super::files::{Files, Vault};
use super::ground::{Seen, SeenAll, address};
use super::member::{Machine, Process};
use super::plan::Plan;
use super::post::Post;
use super::store::InProcess;
use crate::client::Cluster;
use crate::clock::Clock;
use crate::consensus::{Entry, Payload};
use crate::judge::Judge;
use crate::kube::manager;
use crate::rng::Rng;
use crate::run::Living;
use crate::tasks::Tasks;
use crate::trace::{Step, Trace};
use crate::workloads;

/// The world's step: the shortest time that runtimes tell apart.
pub const STEP_US: u64 = 1_000;
/// A process that stands still for longer answers no pings.
const PINGS_US: u64 = 1_000_000;
/// The cluster's id.
const CLUSTER: &str = "simulated";

/// The world.
pub struct World {
    /// What it was made from.
    pub plan: Plan,
    /// Its time.
    pub clock: Clock,
    /// Its network.
    pub post: Arc<Post>,
    /// Looks at everything.
    pub judge: Judge,
    /// What clients find.
    pub cluster: Arc<Cluster>,
    /// What happened.
    pub trace: Trace,
    machines: BTreeMap<u64, Machine>,
    tasks: Tasks,
    seen: SeenAll,
    vault: Arc<Vault>,
    folder: TempDir,
    rng: Rng,
    next_machine: u64,
    flush_at_us: u64,
    /// Strikes by when they begin and end: time, number, whether it is the end.
    due: Vec<(u64, usize, bool)>,
}

/// Where folders are cheap.
fn scratch() -> std::io::Result<TempDir> {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

impl World {
    /// The world of a plan, with all its members started.
    ///
    /// # Panics
    /// When there is no temporary folder to be had.
    pub fn new(plan: Plan) -> Self {
        let rng = Rng::new(plan.seed).fork(11);
        let clock = Clock::new(plan.seed);
        raft_node::simulated::simulate(Some(rng.fork(4).draw()));
        let tasks = Tasks::new(rng.fork(1));
        let post = Post::new(rng.fork(2), plan.weather);
        let judge = Judge::new();
        let cluster = Arc::new(Cluster::new(clock.clone(), tasks.spawner(), judge.ledger()));
        let mut due = Vec::new();
        for (number, strike) in plan.strikes.iter().enumerate() {
            due.push((strike.at_us, number, false));
            due.push(((strike.at_us + strike.length_us).min(plan.length_us).max(strike.at_us), number, true));
        }
        due.sort_unstable();
        due.reverse();
        let mut world = Self {
            clock,
            post,
            judge,
            cluster,
            trace: Trace::default(),
            machines: BTreeMap::new(),
            tasks,
            seen: SeenAll::default(),
            vault: Arc::default(),
            folder: scratch().expect("a folder"),
            rng,
            next_machine: plan.members + 1,
            flush_at_us: plan.flush_us,
            due,
            plan,
        };
        for id in 1..=world.plan.members {
            world.add_machine(id, true);
        }
        world
    }

    /// The time.
    pub fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    fn note(&mut self, who: u64, what: &'static str, a: u64, b: u64) {
        self.trace.add(Step { at_us: self.now_us(), who, what, a, b });
    }

    fn add_machine(&mut self, id: u64, is_first: bool) {
        let drift = self.plan.drift_ppm;
        let rate_ppm = 1_000_000 - drift + self.rng.between(0, 2 * drift);
        let folder = self.folder.path().join(format!("m{id}"));
        std::fs::create_dir(&folder).expect("a folder");
        let machine = Machine {
            id,
            disk: Arc::new(Mutex::new(Disk::new(self.rng.fork(id * 7919), self.plan.sync_us))),
            files: Arc::new(Files::new(self.vault.clone(), self.clock.clone())),
            folder,
            is_first,
            starts: 0,
            process: None,
            paused_until_us: 0,
            paused_since_us: 0,
            rate_ppm,
            is_removed: false,
        };
        self.machines.insert(id, machine);
        self.start(id);
    }

    /// A new machine, whose member asks to be taken in.
    pub fn join(&mut self) {
        let id = self.next_machine;
        self.next_machine += 1;
        self.note(id, "joins", 0, 0);
        self.add_machine(id, false);
    }

    /// Machines that are part of the cluster, as far as they know.
    pub fn ids(&self) -> Vec<u64> {
        self.machines.values().filter(|machine| !machine.is_removed).map(|machine| machine.id).collect()
    }

    fn config(&self, machine: &Machine) -> NodeConfig {
        let member = |id: u64| Member {
            id,
            name: format!("m{id}"),
            peer_address: address(id),
            api_address: format!("m{id}:6443"),
            etcd_url: String::new(),
            voter: true,
            kind: Kind::Master,
        };
        let first: Vec<Member> = (1..=self.plan.members).map(member).collect();
        let id = machine.id;
        // Whoever lets a machine join names the members that there are.
        let others = self.ids().into_iter().filter(|other| *other != id);
        NodeConfig {
            id: if machine.is_first { id } else { 0 },
            name: format!("m{id}"),
            cluster_id: CLUSTER.to_owned(),
            kind: Kind::Master,
            peer_address: address(id),
            api_address: format!("m{id}:6443"),
            etcd_url: String::new(),
            data_dir: machine.folder.clone(),
            peer_listen: ([127, 0, 0, 1], 2380).into(),
            peers: if machine.is_first { Vec::new() } else { others.map(address).collect() },
            initial_members: if machine.is_first { first } else { Vec::new() },
            tls: watch::channel(PeerTls::default()).1,
            keyring: Arc::new(TestKeyring),
            timing: self.plan.timing,
            compaction: self.plan.compaction,
            limits: self.plan.limits,
            autopilot: self.plan.autopilot,
            scrub: raft_node::Scrub::default(),
            level: raft_node::LEVEL,
        }
    }

    /// Starts a process on a machine that has none.
    pub fn start(&mut self, id: u64) {
        let now_us = self.now_us();
        let Some(machine) = self.machines.get_mut(&id) else { return };
        if machine.process.is_some() || machine.is_removed {
            return;
        }
        machine.starts += 1;
        let starts = machine.starts;
        self.post.begins((id, starts));
        let machine = &self.machines[&id];
        let process = Process::start(machine, self.config(machine), self.post.clone(), self.seen.clone(), now_us);
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.process = Some(process);
        }
        self.note(id, "start", starts, 0);
    }

    /// A process is killed, or the power of its machine fails.
    pub fn crash(&mut self, id: u64, power: bool) {
        let Some(machine) = self.machines.get_mut(&id) else { return };
        let Some(process) = machine.process.take() else { return };
        machine.paused_until_us = 0;
        self.cluster.left(id);
        self.post.ends(id, power);
        if let Some(node) = &process.node {
            // It awaits nothing where threads are simulated.
            process.runtime.block_on(node.kill());
        }
        drop(process);
        {
            let mut disk = machine.disk.lock().unwrap_or_else(PoisonError::into_inner);
            match power {
                true => disk.crash(&mut self.rng, self.plan.torn),
                false => disk.survive(),
            }
        }
        machine.files.crash();
        self.note(id, "crash", u64::from(power), 0);
        self.judge_seen();
    }

    /// A process stands still for a while.
    pub fn pause(&mut self, id: u64, length_us: u64) {
        let now_us = self.now_us();
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.paused_since_us = now_us;
            machine.paused_until_us = now_us + length_us;
        }
        self.note(id, "pause", length_us, 0);
    }

    /// Does something to the disk of a machine.
    pub fn disk(&mut self, id: u64, work: impl FnOnce(&mut Disk)) {
        if let Some(machine) = self.machines.get(&id) {
            work(&mut machine.disk.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Where a machine's member stands.
    pub fn standing(&self, id: u64) -> Option<Standing> {
        let node = self.machines.get(&id)?.process.as_ref()?.node.as_ref()?;
        Some(raft_state::port::Store::standing(&**node).borrow().clone())
    }

    /// The machine whose member leads, in the eyes of most.
    pub fn leader(&self) -> Option<u64> {
        let standings = self.machines.keys().filter_map(|id| Some((*id, self.standing(*id)?)));
        standings.filter(|(_, standing)| standing.leads).max_by_key(|(_, standing)| standing.term).map(|(id, _)| id)
    }

    /// Has a member carry out an order, any one.
    pub fn order<F>(&mut self, rng: &mut Rng, order: impl FnOnce(Ordered) -> F + Send + 'static)
    where
        F: Future<Output = Result<(), AdminError>> + Send,
    {
        let Some(id) = rng.pick(&self.ids()).copied() else { return };
        let process = self.machines.get(&id).and_then(|machine| machine.process.as_ref());
        let Some((process, node)) = process.and_then(|process| Some((process, process.node.clone()?))) else { return };
        process.runtime.spawn(async move {
            // It may be refused, and nobody minds.
            let _ = order(node).await;
        });
        self.note(id, "order", 0, 0);
    }

    fn run_clients(&mut self) {
        while self.tasks.poll_one(|_| Some(0)) {}
    }

    fn befall(&mut self, now_us: u64) {
        while let Some((_, number, ends)) = self.due.pop_if(|(at_us, ..)| *at_us <= now_us) {
            let strike = self.plan.strikes[number];
            let fault = &faults::ALL[strike.fault];
            let mut rng = Rng::new(strike.seed);
            if ends {
                (fault.relent)(self, &mut rng);
            } else {
                self.note(0, fault.name, strike.at_us, strike.length_us);
                (fault.strike)(self, &mut rng, strike.length_us);
            }
        }
        if now_us >= self.flush_at_us {
            self.flush_at_us = now_us + self.plan.flush_us;
            for machine in self.machines.values().filter(|machine| machine.process.is_some()) {
                machine.files.spill();
            }
        }
    }

    fn run_machine(&mut self, id: u64, now_us: u64) {
        let Some(machine) = self.machines.get_mut(&id) else { return };
        let Some(process) = &mut machine.process else { return };
        if machine.paused_until_us > now_us {
            if now_us - machine.paused_since_us == PINGS_US {
                self.post.break_paused(id);
            }
            return;
        }
        if machine.paused_until_us > 0 {
            machine.paused_until_us = 0;
            process.skip(now_us);
        }
        process.run(now_us, machine.rate_ppm);
        match process.take_started() {
            Some(Ok(node)) => {
                let handle = process.runtime.handle().clone();
                process.node = Some(node.clone());
                if workloads::need_managers(&self.plan.workloads) {
                    let (store, boot) = (node.clone(), node.boot_id());
                    handle.spawn(async move { manager::begin(store, boot, Arc::new(manager::OfProcess)) });
                }
                self.cluster.joined(id, Arc::new(InProcess { node, handle, clock: self.clock.clone() }));
                self.note(id, "serves", 0, 0);
            }
            Some(Err(error)) => self.does_not_start(id, &error),
            None => self.look_after(id),
        }
    }

    fn does_not_start(&mut self, id: u64, error: &StartError) {
        let starts = self.machines.get(&id).map_or(0, |machine| machine.starts);
        self.judge.fault((id, starts), "members start", error.to_string());
    }

    /// A process that ended itself is gone; so is one whose member was removed.
    fn look_after(&mut self, id: u64) {
        let Some(process) = self.machines.get(&id).and_then(|machine| machine.process.as_ref()) else { return };
        let group = process.group;
        if let Some(why) = process.exited() {
            // A leader whose disk hangs for long gives up.
            let allowed = why.contains("has not finished a write");
            self.crash(id, false);
            if !allowed {
                self.judge.fault(group, "members live on", why);
            }
        } else if self.standing(id).is_some_and(|standing| standing.removed) {
            self.note(id, "removed", 0, 0);
            self.crash(id, false);
            if let Some(machine) = self.machines.get_mut(&id) {
                machine.is_removed = true;
            }
        }
    }

    fn judge_seen(&mut self) {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        for Seen { group, at, entry, after } in seen {
            let hash = u64::try_from(after.hash() & u128::from(u64::MAX)).unwrap_or(0);
            self.note(group.0, if entry.is_some() { "applies" } else { "takes in" }, at.index, hash);
            match entry {
                Some((commands, applied)) => {
                    let entry = Entry { id: at, payload: Payload::Blank };
                    self.judge.applied(group, &entry, &commands, &applied, &after);
                }
                None => self.judge.installed(group, at, &after),
            }
        }
    }
}

impl Living for World {
    const LOOK_US: u64 = 50_000;

    fn run_until(&mut self, end_us: u64) {
        while self.now_us() < end_us && !self.judge.is_over() {
            let now_us = self.now_us() + STEP_US;
            self.clock.advance(now_us);
            self.judge.now_us = now_us;
            self.befall(now_us);
            for (who, what, line, size) in self.post.advance(now_us) {
                self.note(who, what, line, size);
            }
            self.run_clients();
            let mut ids: Vec<u64> = self.machines.keys().copied().collect();
            while !ids.is_empty() {
                let id = ids.swap_remove(self.rng.index(ids.len()));
                self.run_machine(id, now_us);
            }
            self.judge_seen();
            self.run_clients();
        }
    }

    fn heal(&mut self) {
        self.due.clear();
        self.post.mend();
        self.post.set_weather(self.plan.weather);
        let sync_us = self.plan.sync_us;
        for id in self.ids() {
            self.disk(id, |disk| (disk.sync_us, disk.hangs) = (sync_us, false));
            if let Some(machine) = self.machines.get_mut(&id)
                && machine.paused_until_us > 0
            {
                machine.paused_until_us = self.clock.now_us();
            }
            // Those that a machine was told to ask may all be gone: it is told anew.
            let is_waiting = |machine: &Machine| machine.process.as_ref().is_some_and(|process| process.node.is_none());
            if self.machines.get(&id).is_some_and(|machine| !machine.is_first && is_waiting(machine)) {
                self.crash(id, false);
            }
            self.start(id);
        }
        self.note(0, "heal", 0, 0);
    }

    /// Whether everybody serves and has applied what everybody has.
    fn is_quiet(&self) -> bool {
        let mut states = Vec::new();
        for id in self.ids() {
            let Some(standing) = self.standing(id).filter(|standing| standing.ready) else { return false };
            states.push((standing.applied_index, standing.revision, standing.leader));
        }
        states.windows(2).all(|pair| pair[0] == pair[1])
    }

    fn describe(&self) -> String {
        let one = |id: &u64| match self.standing(*id) {
            Some(s) => format!(
                "m{id} (id {}): leader {:?}, term {}, applied {}, ready {}",
                s.id, s.leader, s.term, s.applied_index, s.ready
            ),
            None => format!("m{id} has not begun"),
        };
        self.machines.keys().map(one).collect::<Vec<_>>().join("; ")
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

impl Drop for World {
    fn drop(&mut self) {
        for id in self.machines.keys().copied().collect::<Vec<_>>() {
            self.crash(id, false);
        }
        raft_node::simulated::simulate(None);
    }
}
