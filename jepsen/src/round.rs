//! One round: a cluster, clients, faults, and the judgement.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::checkers::{self, Checker, Evidence, Replica, Verdict};
use crate::cluster::{Cluster, Options, Site};
use crate::history::Recorder;
use crate::nemeses::Nemesis;
use crate::stalls::Stalls;
use crate::workloads::{Need, Workload};
use crate::world::{NAMESPACE, World};
use crate::{nemeses, progress, schedule, supervisor, timeline};

/// After the last fault, so long until clients end: some calls shall see the calm.
const CALM_AFTER: Duration = Duration::from_secs(2);
/// When all faults are over, a master may take so long until it serves.
const RECOVERY_LIMIT: Duration = Duration::from_secs(20);
/// Clients end within this, or the harness is broken.
const ENDING_LIMIT: Duration = Duration::from_secs(60);
/// What replicas are compared by.
const RESOURCES: &[&str] = &[
    "/api/v1/namespaces",
    "/api/v1/configmaps",
    "/api/v1/pods",
    "/api/v1/events",
    "/apis/apps/v1/replicasets",
    "/apis/apps/v1/deployments",
];

/// Small enough that a round sees many snapshots, and members that were away get one instead of the log.
const SMALL_LOGS: &[(&str, &str)] = &[("TRIREME_SNAPSHOT_LOG_BYTES", "400000"), ("TRIREME_KEEP_LOG_BYTES", "100000")];

/// What a round shall be.
pub struct Plan {
    /// 3 or 5.
    pub masters: usize,
    /// Of the faults.
    pub length: Duration,
    /// Fixes all choices.
    pub seed: u64,
    /// What clients do.
    pub workloads: Vec<&'static Workload>,
    /// What befalls the cluster.
    pub nemeses: Vec<&'static Nemesis>,
    /// Where it lives.
    pub site: Arc<dyn Site>,
    /// Whether masters have disks of ours.
    pub disks: bool,
    /// Environment of every master.
    pub environment: Vec<(String, String)>,
    /// Keeps the cluster's folder.
    pub keep: bool,
    /// Says how it goes.
    pub talks: bool,
}

/// What a round came to.
pub struct Finished {
    /// All that was noted.
    pub evidence: Evidence,
    /// What each checker says.
    pub verdicts: Vec<(&'static Checker, Verdict)>,
    /// Logs and data, when they were to be kept.
    pub folder: Option<PathBuf>,
}

impl Finished {
    /// How many anomalies there are.
    pub fn anomalies(&self) -> usize {
        self.verdicts.iter().map(|(_, verdict)| verdict.anomalies.len()).sum()
    }
}

/// Runs a round.
///
/// # Errors
/// When the harness cannot do its work: the cluster never came up, a fault could not be made. What is wrong with the
/// cluster under faults is a finding, not an error.
pub async fn run(plan: Plan) -> Result<Finished> {
    let cluster = Cluster::up(Options {
        masters: plan.masters,
        nodes: plan.workloads.iter().map(|workload| workload.nodes).max().unwrap_or(0),
        site: plan.site.clone(),
        disks: plan.disks,
        etcd: plan.workloads.iter().any(|workload| workload.need == Need::Etcd)
            || plan.nemeses.iter().any(|nemesis| nemesis.need == nemeses::Need::Etcd),
        clocks: plan.nemeses.iter().any(|nemesis| nemesis.need == nemeses::Need::Clock),
        environment: environment(&plan),
        keep: plan.keep,
    })
    .await?;
    let origin = make_namespace(&cluster).await.context("making the namespace")?;
    let begun = Instant::now();
    let stalls = Arc::new(Stalls::default());
    let _watching_stalls = stalls.watch(begun);
    let (end, stop) = watch::channel(false);
    let world = Arc::new(World {
        cluster,
        recorder: Recorder::new(begun),
        samples: Default::default(),
        faults: Default::default(),
        timeline: Default::default(),
        deaths: Default::default(),
        stalls,
        origin,
        seed: plan.seed,
        stop,
    });
    let mut clients = start_clients(&world, &plan);
    let watching = start_watchers(&world, &plan);
    let result = strike(&world, &plan).await;
    let length = world.recorder.now();
    let stuck = recovered(&world).await;
    tokio::time::sleep(CALM_AFTER).await;
    end.send_replace(true);
    let ended = tokio::time::timeout(ENDING_LIMIT, async {
        while let Some(client) = clients.join_next().await {
            client.context("a client panicked")??;
        }
        watching.await.context("the supervisor panicked")??;
        anyhow::Ok(())
    });
    ended.await.context("clients do not end")??;
    result?;
    last_looks(&world, &plan).await?;
    let mut stuck = stuck;
    let mut replicas = Vec::new();
    if stuck.is_empty() {
        // Who served a moment ago and does not answer now has ended since.
        match compare_replicas(&world).await {
            Ok(compared) => replicas = compared,
            Err(why) => stuck.push(format!("not all masters answer: {why:#}")),
        }
    }
    let evidence = evidence(&world, length, stuck, replicas);
    let verdicts = tokio::task::spawn_blocking(move || {
        let verdicts = checkers::ALL.iter().map(|checker| (*checker, (checker.check)(&evidence))).collect();
        (evidence, verdicts)
    });
    let (evidence, verdicts) = verdicts.await.context("a checker panicked")?;
    let folder = plan.keep.then(|| world.cluster.folder().to_owned());
    Ok(Finished { evidence, verdicts, folder })
}

fn environment(plan: &Plan) -> Vec<(String, String)> {
    let small = SMALL_LOGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    small.chain(plan.environment.iter().cloned()).collect()
}

/// The revision at which it was made.
async fn make_namespace(cluster: &Cluster) -> Result<u64> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let made = cluster.client(0).await?.post("/api/v1/namespaces", &namespace).await?.success()?;
    Ok(made["metadata"]["resourceVersion"].as_str().context("an object without a version")?.parse()?)
}

fn start_clients(world: &Arc<World>, plan: &Plan) -> JoinSet<Result<()>> {
    let mut clients = JoinSet::new();
    for workload in plan.workloads.iter().copied() {
        for number in 0..workload.clients {
            let (run, world) = (workload.run, world.clone());
            clients.spawn(async move { run(world, number).await.with_context(|| workload.name) });
        }
    }
    clients
}

fn start_watchers(world: &Arc<World>, plan: &Plan) -> tokio::task::JoinHandle<Result<()>> {
    let (world, length, talks) = (world.clone(), plan.length, plan.talks);
    tokio::spawn(async move {
        let talking = async {
            if talks {
                progress::watch(&world, length).await;
            }
        };
        let (_, (), supervised) = tokio::join!(timeline::watch(&world), talking, supervisor::run(&world));
        supervised
    })
}

/// Lets all lanes of faults strike, side by side.
async fn strike(world: &World, plan: &Plan) -> Result<()> {
    let lanes = schedule::draw(plan.seed, plan.length, plan.masters, &plan.nemeses);
    let striking = lanes.into_iter().map(|steps| schedule::run(world, steps));
    futures::future::try_join_all(striking).await?;
    world.pause(plan.length.saturating_sub(world.recorder.now())).await;
    Ok(())
}

/// Waits until all masters serve and vote; says of which that is not so.
async fn recovered(world: &World) -> Vec<String> {
    let masters = 0..world.cluster.masters();
    let serving = masters.map(|index| world.cluster.serving(index, RECOVERY_LIMIT));
    let results = futures::future::join_all(serving).await;
    let mut stuck: Vec<String> =
        results.into_iter().filter_map(|result| Some(format!("{:#}", result.err()?))).collect();
    if stuck.is_empty() {
        let votes = (0..world.cluster.masters()).map(|index| world.cluster.votes(index, RECOVERY_LIMIT));
        let votes = futures::future::join_all(votes).await;
        let without = votes.iter().enumerate().filter(|(_, votes)| !**votes);
        stuck.extend(without.map(|(index, _)| format!("{} does not vote", crate::cluster::name(index))));
    }
    stuck
}

async fn last_looks(world: &Arc<World>, plan: &Plan) -> Result<()> {
    let looks = plan.workloads.iter().flat_map(|workload| {
        let last = workload.last;
        (0..workload.clients).filter_map(move |number| Some(last?(world.clone(), number)))
    });
    futures::future::try_join_all(looks).await?;
    Ok(())
}

/// Asks every master for everything at one revision that all have reached.
async fn compare_replicas(world: &World) -> Result<Vec<Replica>> {
    let mut replicas = Vec::new();
    for resource in RESOURCES {
        // A linearizable read names the revision; the others wait for it.
        let list = world.cluster.client(0).await?.get(&format!("{resource}?limit=1")).await?.success()?;
        let revision = list["metadata"]["resourceVersion"].as_str().context("a list without a revision")?;
        let at: u64 = revision.parse()?;
        for master in 0..world.cluster.masters() {
            let client = world.cluster.client(master).await?;
            let path = format!("{resource}?resourceVersion={at}&resourceVersionMatch=Exact");
            let reply = client.get(&path).await?;
            let objects = reply.success()?["items"].as_array().map_or(0, Vec::len);
            let mut hasher = DefaultHasher::new();
            reply.body.hash(&mut hasher);
            let hash = hasher.finish();
            replicas.push(Replica { master, resource: (*resource).to_owned(), revision: at, objects, hash });
        }
    }
    Ok(replicas)
}

fn evidence(world: &World, length: Duration, stuck: Vec<String>, replicas: Vec<Replica>) -> Evidence {
    Evidence {
        masters: world.cluster.masters(),
        length,
        ops: world.recorder.ops(),
        samples: world.samples.all(),
        faults: world.faults.all(),
        waits: world.stalls.all(),
        sights: world.timeline.all(),
        deaths: world.deaths.lock().clone(),
        stuck: stuck.into_iter().map(|why| format!("when all faults were over, {why}")).collect(),
        replicas,
    }
}
