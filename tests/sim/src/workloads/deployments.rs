//! Deployments that are rolled and scaled, a ReplicaSet into whose herd strays come, owners that go and leave what they owned
//! behind. Nodes run the pods; each member has the manager that ships.

use std::sync::Arc;

use api_rest::call::Verb;
use raft_state::Snapshot;
use serde_json::{Value, json};

use crate::client::Cluster;
use crate::kube::node::{self, REQUEST};
use crate::kube::seen::{CONFIG_MAPS, Object};
use crate::kube::user::{NAMESPACE, User, address};
use crate::rng::Rng;
use crate::tasks::WORLD;

/// Pods beyond and below what was asked for that a Deployment allows itself.
pub const SLACK: usize = 1;
/// The ReplicaSet that takes strays in, and its label.
pub const HERD: &str = "herd";
/// So many pods it has, always.
pub const HERD_SIZE: usize = 3;
/// Names of what is owned, of what owns, and of what nobody owns.
pub const OWNED: &str = "owned-";
const OWNER: &str = "owner-";
/// Nobody deletes these.
pub const FREE: &str = "free-";
/// Pods that a Deployment is asked for at most.
const SIZE_MAX: u64 = 4;

/// Begins.
pub fn begin(cluster: &Arc<Cluster>, rng: &Rng, clients: u64) {
    // Room for all that may be asked for at once, and little more.
    let pods = clients * (SIZE_MAX + SLACK as u64) + HERD_SIZE as u64 + 4;
    for number in 1..=pods.div_ceil(u64::from(node::PODS_MAX)) {
        node::begin(cluster, rng.fork(1000 + number), number);
    }
    for number in 0..clients {
        let user = User::new(cluster.clone(), rng.fork(number), "user");
        let owner = Owner { user, number, name: format!("web-{number}"), size: 0, version: 0, made: 0 };
        cluster.note(|ledger| ledger.busy += 1);
        cluster.spawner.spawn(WORLD, owner.run());
    }
}

/// A user with a Deployment of its own.
struct Owner {
    user: User,
    number: u64,
    name: String,
    size: u64,
    version: u64,
    made: u64,
}

fn template(app: &str, version: u64) -> Value {
    json!({
        "metadata": {"labels": {"app": app}, "annotations": {"version": version.to_string()}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "c", "image": "app:1", "resources": {"requests": {"cpu": REQUEST}}}],
        },
    })
}

fn key(group: &str, plural: &str, name: &str) -> String {
    format!("/registry/{group}/{plural}/{NAMESPACE}/{name}")
}

fn read(snapshot: &Snapshot, key: &str) -> Option<Object> {
    serde_json::from_slice(&snapshot.get(key.as_bytes())?.value).ok()
}

impl Owner {
    async fn run(mut self) {
        while !self.is_closing() {
            self.user.pause(200_000).await;
            match self.user.rng.below(10) {
                _ if self.size == 0 => self.create().await,
                0..=2 => self.roll().await,
                3 | 4 => self.scale().await,
                5 | 6 => self.own().await,
                7 => self.disown().await,
                _ if self.number == 0 => self.herd().await,
                _ => {}
            }
        }
        while let Some(why) = self.waits_for() {
            let name = self.name.clone();
            self.user.cluster.note(|ledger| ledger.waits_for.insert(name, why));
            self.user.pause(50_000).await;
        }
        self.user.cluster.note(|ledger| {
            ledger.waits_for.remove(&self.name);
            ledger.busy -= 1;
        });
    }

    fn is_closing(&self) -> bool {
        self.user.cluster.note(|ledger| ledger.closing)
    }

    /// Creates something; whether it is known to be there.
    async fn make(&mut self, group: &'static str, plural: &'static str, object: Value) -> bool {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match self.user.call(&address(group, plural, &name), Verb::Create(object)).await {
            Some(Ok(_)) => true,
            Some(Err(status)) => status.reason == "AlreadyExists",
            None => false,
        }
    }

    async fn create(&mut self) {
        let size = self.user.rng.between(1, SIZE_MAX);
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "replicas": size, "selector": {"matchLabels": {"app": self.name}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": SLACK, "maxUnavailable": SLACK}},
                "template": template(&self.name, 0),
            },
        });
        if self.make("apps", "deployments", deployment).await {
            self.size = size;
        }
    }

    async fn change(&mut self, patch: Value) {
        let place = address("apps", "deployments", &self.name);
        // What became of it shows in the log.
        drop(self.user.call(&place, Verb::Merge { subresource: "", patch, at: None }).await);
    }

    async fn roll(&mut self) {
        self.version += 1;
        let annotations = json!({"version": self.version.to_string()});
        self.change(json!({"spec": {"template": {"metadata": {"annotations": annotations}}}})).await;
    }

    async fn scale(&mut self) {
        self.size = self.user.rng.between(1, SIZE_MAX);
        self.change(json!({"spec": {"replicas": self.size}})).await;
    }

    /// The ReplicaSet, or a stray for it.
    async fn herd(&mut self) {
        let there =
            self.user.look().is_some_and(|snapshot| read(&snapshot, &key("apps", "replicasets", HERD)).is_some());
        if there {
            self.made += 1;
            let mut stray = template(HERD, 0);
            stray["metadata"]["name"] = format!("stray-{}", self.made).into();
            self.make("", "pods", stray).await;
            return;
        }
        let set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": HERD, "namespace": NAMESPACE},
            "spec": {
                "replicas": HERD_SIZE, "selector": {"matchLabels": {"app": HERD}}, "template": template(HERD, 0),
            },
        });
        self.make("apps", "replicasets", set).await;
    }

    fn config_map(name: &str, owners: &[Value]) -> Value {
        json!({"metadata": {"name": name, "namespace": NAMESPACE, "ownerReferences": owners}, "data": {"k": "v"}})
    }

    /// Makes an owner, and what it owns: alone, and together with one that stays.
    async fn own(&mut self) {
        self.made += 1;
        let (number, made) = (self.number, self.made);
        let [owner, free] = [OWNER, FREE].map(|kind| format!("{kind}{number}-{made}"));
        for name in [&owner, &free] {
            if !self.make("", "configmaps", Self::config_map(name, &[])).await {
                return;
            }
        }
        let Some(snapshot) = self.user.look() else { return };
        let reference = |name: &str| {
            let owner = read(&snapshot, &key("core", "configmaps", name))?;
            Some(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": owner.metadata.uid}))
        };
        let (Some(by_owner), Some(by_free)) = (reference(&owner), reference(&free)) else { return };
        let alone = Self::config_map(&format!("{OWNED}alone-{number}-{made}"), std::slice::from_ref(&by_owner));
        let shared = Self::config_map(&format!("{OWNED}shared-{number}-{made}"), &[by_owner, by_free]);
        self.make("", "configmaps", alone).await;
        self.make("", "configmaps", shared).await;
    }

    /// Deletes an owner.
    async fn disown(&mut self) {
        let owner = format!("{OWNER}{}-{}", self.number, self.user.rng.between(1, self.made.max(1)));
        let verb = Verb::Delete { uid: None, at: None, grace_period_s: None, propagation: None };
        drop(self.user.call(&address("", "configmaps", &owner), verb).await);
    }

    /// What is not as it was asked for yet.
    fn waits_for(&mut self) -> Option<String> {
        let Some(snapshot) = self.user.look() else { return Some("nobody serves".to_owned()) };
        if let Some(deployment) = read(&snapshot, &key("apps", "deployments", &self.name)) {
            let size = deployment.replicas();
            let counts = ["replicas", "updatedReplicas", "availableReplicas"].map(|field| deployment.count(field));
            let observed = deployment.status["observedGeneration"].as_i64() == Some(deployment.metadata.generation);
            if counts != [size; 3] || !observed {
                return Some(format!("{} of {size} has {}", self.name, deployment.status));
            }
        }
        if let Some(set) = read(&snapshot, &key("apps", "replicasets", HERD))
            && ["replicas", "availableReplicas"].map(|field| set.count(field)) != [HERD_SIZE; 2]
        {
            return Some(format!("{HERD} has {}", set.status));
        }
        garbage(&snapshot)
    }
}

/// Something of which every owner is gone.
fn garbage(snapshot: &Snapshot) -> Option<String> {
    let all =
        || snapshot.range(CONFIG_MAPS, None).filter_map(|entry| serde_json::from_slice::<Object>(&entry.value).ok());
    let uids: Vec<String> = all().map(|object| object.metadata.uid).collect();
    all()
        .find(|object| {
            let owners = &object.metadata.owner_references;
            !owners.is_empty() && owners.iter().all(|owner| !uids.contains(&owner.uid))
        })
        .map(|object| format!("{} has no owner any more, and is there", object.metadata.name))
}
