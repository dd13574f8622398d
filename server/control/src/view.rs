//! The cluster as controllers see it: the objects that they read, and the indexes that they need, kept from the event
//! stream. Work is proportional to what changed; no look-up scans all objects.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, LazyLock};

use api_kinds::{Kind, Scope, core, networking, pod, registry};
use memchr::memmem;
use raft_state::{Event, Revision, Snapshot};
use serde_json::Value;

use crate::controller::{Change, Key};
use crate::objects::{Deployment, EventTime, Meta, Owner, Pod, ReplicaSet, Toleration};

/// An object of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KindId(usize);

impl KindId {
    /// The kind.
    pub fn kind(self) -> &'static Kind {
        registry::KINDS[self.0]
    }
}

/// Kind and key of an object.
pub type Ref = (KindId, Key);

/// What became of an owner.
pub enum Found {
    /// It is there.
    Alive(Ref, Arc<Meta>),
    /// It is not, or another object has its name.
    Gone,
    /// Nobody here knows objects of that kind.
    Unknowable,
}

/// The view.
#[derive(Default)]
pub struct View {
    revision: Revision,
    /// The state at that revision or a little later: for what is read too seldom to be kept.
    snapshot: Snapshot,
    /// The cluster's authority, PEM: what `kube-root-ca.crt` holds.
    pub ca_pem: String,
    /// Pods.
    pub pods: BTreeMap<Key, Arc<Pod>>,
    /// ReplicaSets.
    pub replica_sets: BTreeMap<Key, Arc<ReplicaSet>>,
    /// Deployments.
    pub deployments: BTreeMap<Key, Arc<Deployment>>,
    /// When Events last happened, microseconds since the epoch.
    pub events: BTreeMap<Key, i64>,
    /// Whole objects of kinds of which there are few: namespaces, nodes, services, slices, leases …
    pub whole: BTreeMap<Ref, Arc<Value>>,
    /// Metadata of everything that a controller may have to do with. Of ConfigMaps, Secrets and the like, of which there may
    /// be very many, these are the ones with owners or finalizers, and those that are being deleted.
    pub metas: BTreeMap<Ref, Arc<Meta>>,
    dependents: BTreeMap<String, BTreeSet<Ref>>,
    pods_by_node: BTreeMap<String, BTreeSet<Key>>,
    /// Pods that no controller manages, by namespace.
    loose_pods: BTreeMap<String, BTreeSet<Key>>,
    /// Lists of tolerations that pods had lately: nearly all have one of a few, and share it.
    tolerations: VecDeque<Arc<[Toleration]>>,
}

/// So many different lists of tolerations are remembered.
const TOLERATIONS_MAX: usize = 16;

/// Kinds whose objects are kept whole.
fn kept_whole(kind: &'static Kind) -> bool {
    let kept: [&Kind; 7] = [
        &core::namespace::NAMESPACE,
        &core::node::NODE,
        &core::service::SERVICE,
        &core::endpoints::ENDPOINTS,
        &core::lease::LEASE,
        &core::replication_controller::REPLICATION_CONTROLLER,
        &networking::endpoint_slice::ENDPOINT_SLICE,
    ];
    kept.iter().any(|k| std::ptr::eq(*k, kind))
}

/// Kinds of which more than the metadata is read.
fn read_whole(kind: &'static Kind) -> bool {
    let read: [&Kind; 4] = [
        &pod::POD,
        &core::event::EVENT,
        &api_kinds::apps::replica_set::REPLICA_SET,
        &api_kinds::apps::deployment::DEPLOYMENT,
    ];
    kept_whole(kind) || read.iter().any(|k| std::ptr::eq(*k, kind))
}

/// Whether the metadata of an object of a kind that is not read whole is kept. A word that stands elsewhere in the object
/// costs a look, no more.
fn is_notable(bytes: &[u8]) -> bool {
    static WORDS: LazyLock<[memmem::Finder<'static>; 3]> =
        LazyLock::new(|| ["\"ownerReferences\"", "\"finalizers\"", "\"deletionTimestamp\""].map(memmem::Finder::new));
    WORDS.iter().any(|word| word.find(bytes).is_some())
}

/// The id of a kind.
///
/// # Panics
/// When the kind is not in the registry.
pub fn id_of(kind: &'static Kind) -> KindId {
    KindId(registry::KINDS.iter().position(|k| std::ptr::eq(*k, kind)).expect("a kind of the registry"))
}

/// Where the objects of each kind are stored.
static HOMES: LazyLock<BTreeMap<String, KindId>> = LazyLock::new(|| {
    let home =
        |kind: &Kind| format!("/registry/{}/{}/", if kind.group.is_empty() { "core" } else { kind.group }, kind.plural);
    registry::KINDS.iter().enumerate().map(|(index, kind)| (home(kind), KindId(index))).collect()
});

/// Kind and key of a stored object; `None` for what is none (claims, the etcd face).
fn locate(key: &[u8]) -> Option<Ref> {
    let text = std::str::from_utf8(key).ok()?;
    let (at, _) = text.match_indices('/').nth(3)?;
    let id = *HOMES.get(&text[..=at])?;
    let key = match text[at + 1..].split_once('/') {
        Some((namespace, name)) => Key::new(namespace, name),
        None => Key::new("", &text[at + 1..]),
    };
    Some((id, key))
}

/// The key under which an object is stored.
fn storage_key(id: KindId, key: &Key) -> String {
    let home = HOMES.iter().find(|(_, of)| **of == id).map_or("", |(home, _)| home);
    if key.namespace.is_empty() {
        format!("{home}{}", key.name)
    } else {
        format!("{home}{}/{}", key.namespace, key.name)
    }
}

impl View {
    /// The view of a snapshot.
    pub fn new(snapshot: &Snapshot, ca_pem: String) -> Self {
        let mut view = Self { revision: snapshot.revision(), snapshot: snapshot.clone(), ca_pem, ..Self::default() };
        for (home, id) in HOMES.iter() {
            let is_read_whole = read_whole(id.kind());
            for entry in snapshot.range(home.as_bytes(), None) {
                if !is_read_whole && !is_notable(&entry.value) {
                    continue;
                }
                if let Some(place) = locate(&entry.key) {
                    view.put(place, &entry.value, entry.mod_revision);
                }
            }
        }
        view
    }

    /// The revision that the view holds.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Says that everything up to a revision has been taken in; the snapshot holds that revision.
    pub fn advance(&mut self, revision: Revision, snapshot: Snapshot) {
        self.revision = self.revision.max(revision);
        self.snapshot = snapshot;
    }

    /// Takes an event in; what it changed, or `None` when it is about nothing that controllers know.
    pub fn apply(&mut self, event: &Event) -> Option<Change> {
        let place = locate(&event.entry.key)?;
        let read = |entry: &raft_state::Entry| Meta::read_bytes(&entry.value, entry.mod_revision).map(Arc::new);
        let old = self.metas.get(&place).cloned().or_else(|| event.previous.as_deref().and_then(read));
        self.follow(event);
        let kept = || self.metas.get(&place).cloned();
        let new = if event.deleted { None } else { kept().or_else(|| read(&event.entry)) };
        Some(Change { kind: place.0.kind(), key: place.1, old, new })
    }

    /// Takes an event in without saying what it changed: what a master does that does not lead.
    pub fn follow(&mut self, event: &Event) {
        self.revision = self.revision.max(event.revision);
        let Some(place) = locate(&event.entry.key) else { return };
        if !event.deleted && (read_whole(place.0.kind()) || is_notable(&event.entry.value)) {
            self.put(place, &event.entry.value, event.revision);
        } else {
            self.remove(&place);
        }
    }

    /// At most `max` objects behind `after` as changes, with their places: a manager that begins its term looks at
    /// everything so, page by page.
    pub fn page(&self, after: Option<&Ref>, max: usize) -> Vec<(Ref, Change)> {
        use std::ops::Bound;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = self.metas.range((start, Bound::Unbounded)).take(max);
        let change = |(id, key): &Ref, meta: &Arc<Meta>| Change {
            kind: id.kind(),
            key: key.clone(),
            old: None,
            new: Some(meta.clone()),
        };
        page.map(|(place, meta)| (place.clone(), change(place, meta))).collect()
    }

    fn put(&mut self, place: Ref, bytes: &[u8], revision: Revision) {
        self.remove(&place);
        let Some(meta) = self.read(&place, bytes, revision) else { return };
        self.index(&place, &meta);
        self.metas.insert(place, meta);
    }

    /// Reads what is read of the kind, keeps it, and returns the metadata; `None` when the bytes are no such object.
    fn read(&mut self, place: &Ref, bytes: &[u8], revision: Revision) -> Option<Arc<Meta>> {
        let (kind, key) = (place.0.kind(), &place.1);
        if std::ptr::eq(kind, &pod::POD) {
            return self.read_pod(key, bytes, revision);
        }
        if std::ptr::eq(kind, &core::event::EVENT) {
            let event = EventTime::read(bytes, revision)?;
            self.events.insert(key.clone(), event.last_us);
            return Some(Arc::new(event.meta));
        }
        if !read_whole(kind) {
            // What they hold is no concern of controllers.
            return Meta::read_bytes(bytes, revision).map(Arc::new);
        }
        let object: Value = serde_json::from_slice(bytes).ok()?;
        let meta = Arc::new(Meta::read(&object, revision));
        if std::ptr::eq(kind, &api_kinds::apps::replica_set::REPLICA_SET) {
            self.replica_sets.insert(key.clone(), Arc::new(ReplicaSet::read(object, meta.clone())));
        } else if std::ptr::eq(kind, &api_kinds::apps::deployment::DEPLOYMENT) {
            self.deployments.insert(key.clone(), Arc::new(Deployment::read(object, meta.clone())));
        } else {
            self.whole.insert(place.clone(), Arc::new(object));
        }
        Some(meta)
    }

    fn read_pod(&mut self, key: &Key, bytes: &[u8], revision: Revision) -> Option<Arc<Meta>> {
        let mut pod = Pod::read(bytes, revision)?;
        match self.tolerations.iter().find(|known| **known == pod.tolerations) {
            Some(known) => pod.tolerations = known.clone(),
            None => {
                self.tolerations.truncate(TOLERATIONS_MAX - 1);
                self.tolerations.push_front(pod.tolerations.clone());
            }
        }
        if !pod.node.is_empty() {
            self.pods_by_node.entry(pod.node.to_string()).or_default().insert(key.clone());
        }
        let meta = pod.meta.clone();
        if meta.controller().is_none() {
            self.loose_pods.entry(key.namespace.clone()).or_default().insert(key.clone());
        }
        self.pods.insert(key.clone(), Arc::new(pod));
        Some(meta)
    }

    fn index(&mut self, place: &Ref, meta: &Meta) {
        for owner in &meta.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(place.clone());
        }
    }

    fn remove(&mut self, place: &Ref) {
        let Some(meta) = self.metas.remove(place) else { return };
        for owner in &meta.owners {
            discard(&mut self.dependents, &owner.uid, place);
        }
        let (kind, key) = (place.0.kind(), &place.1);
        if std::ptr::eq(kind, &pod::POD) {
            if let Some(pod) = self.pods.remove(key) {
                if !pod.node.is_empty() {
                    discard(&mut self.pods_by_node, &pod.node, key);
                }
                if meta.controller().is_none() {
                    discard(&mut self.loose_pods, &key.namespace, key);
                }
            }
        } else if std::ptr::eq(kind, &core::event::EVENT) {
            self.events.remove(key);
        } else if std::ptr::eq(kind, &api_kinds::apps::replica_set::REPLICA_SET) {
            self.replica_sets.remove(key);
        } else if std::ptr::eq(kind, &api_kinds::apps::deployment::DEPLOYMENT) {
            self.deployments.remove(key);
        } else {
            self.whole.remove(place);
        }
    }

    /// A whole object.
    pub fn get(&self, kind: &'static Kind, key: &Key) -> Option<&Arc<Value>> {
        self.whole.get(&(id_of(kind), key.clone()))
    }

    /// Whole objects of a kind in a namespace (all of them when it is empty).
    pub fn list(&self, kind: &'static Kind, namespace: &str) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        let id = id_of(kind);
        let namespace = namespace.to_owned();
        self.whole
            .range((id, Key::new(namespace.clone(), ""))..)
            .take_while(move |((found, key), _)| *found == id && (namespace.is_empty() || key.namespace == namespace))
            .map(|((_, key), object)| (key, object))
    }

    /// Metadata of an object.
    pub fn meta(&self, kind: &'static Kind, key: &Key) -> Option<&Arc<Meta>> {
        self.metas.get(&(id_of(kind), key.clone()))
    }

    /// Metadata of an object, whether it is kept or not.
    pub fn look_up(&self, id: KindId, key: &Key) -> Option<Arc<Meta>> {
        if let Some(meta) = self.metas.get(&(id, key.clone())) {
            return Some(meta.clone());
        }
        let entry = self.snapshot.get(storage_key(id, key).as_bytes())?;
        Meta::read_bytes(&entry.value, entry.mod_revision).map(Arc::new)
    }

    /// The owner that an object in this namespace refers to, if it is still that very one.
    pub fn owner(&self, namespace: &str, owner: &Owner) -> Found {
        let Some(kind) = registry::by_kind(&owner.api_version, &owner.kind) else { return Found::Unknowable };
        let namespace = if kind.scope == Scope::Namespaced { namespace } else { "" };
        let place = (id_of(kind), Key::new(namespace, &owner.name));
        match self.look_up(place.0, &place.1).filter(|meta| meta.uid == owner.uid) {
            Some(meta) => Found::Alive(place, meta),
            None => Found::Gone,
        }
    }

    /// Objects that name this uid as an owner.
    pub fn dependents(&self, uid: &str) -> impl Iterator<Item = &Ref> {
        self.dependents.get(uid).into_iter().flatten()
    }

    /// Everything in a namespace. Read from the state: few namespaces are ever asked about.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = (Ref, Arc<Meta>)> {
        let prefixes = HOMES.iter().filter(|(_, id)| id.kind().scope == Scope::Namespaced);
        let prefixes: Vec<String> = prefixes.map(|(home, _)| format!("{home}{namespace}/")).collect();
        prefixes.into_iter().flat_map(move |prefix| {
            let entries: Vec<_> = self.snapshot.range(prefix.as_bytes(), None).cloned().collect();
            entries.into_iter().filter_map(move |entry| {
                let place = locate(&entry.key)?;
                let meta = Meta::read_bytes(&entry.value, entry.mod_revision)?;
                Some((place, Arc::new(meta)))
            })
        })
    }

    /// Pods bound to a node.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods_by_node.get(node).into_iter().flatten().filter_map(|key| self.pods.get(key))
    }

    /// Pods that a controller of this uid manages.
    pub fn pods_of(&self, uid: &str) -> impl Iterator<Item = &Arc<Pod>> {
        self.dependents(uid)
            .filter(|(id, _)| std::ptr::eq(id.kind(), &pod::POD))
            .filter_map(|(_, key)| self.pods.get(key))
            .filter(move |pod| pod.meta.controller().is_some_and(|owner| owner.uid == uid))
    }

    /// Pods of a namespace that nobody manages.
    pub fn loose_pods(&self, namespace: &str) -> impl Iterator<Item = &Arc<Pod>> {
        self.loose_pods.get(namespace).into_iter().flatten().filter_map(|key| self.pods.get(key))
    }

    /// Pods of a namespace.
    pub fn pods_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Pod>> {
        let namespace = namespace.to_owned();
        self.pods
            .range(Key::new(namespace.clone(), "")..)
            .take_while(move |(key, _)| key.namespace == namespace)
            .map(|(_, pod)| pod)
    }

    /// ReplicaSets that a Deployment of this uid manages.
    pub fn replica_sets_of(&self, uid: &str) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.dependents(uid)
            .filter_map(|(_, key)| self.replica_sets.get(key))
            .filter(move |set| set.meta.controller().is_some_and(|owner| owner.uid == uid))
    }

    /// ReplicaSets of a namespace.
    pub fn replica_sets_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        let namespace = namespace.to_owned();
        self.replica_sets
            .range(Key::new(namespace.clone(), "")..)
            .take_while(move |(key, _)| key.namespace == namespace)
            .map(|(_, set)| set)
    }
}

fn discard<V: Ord>(index: &mut BTreeMap<String, BTreeSet<V>>, key: &str, value: &V) {
    if let Some(set) = index.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            index.remove(key);
        }
    }
}
