//! Amounts of resources: what a pod asks for, what a node has.

use std::collections::BTreeMap;

use api_kinds::quantity::Quantity;
use serde_json::Value;

/// What the scorers count for a container that asks for no CPU, in thousandths of a core.
const DEFAULT_CPU_MILLI: i64 = 100;
/// What the scorers count for a container that asks for no memory, in bytes.
const DEFAULT_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

/// Amounts by resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_milli: i64,
    /// Bytes.
    pub memory: i64,
    /// `ephemeral-storage`, in bytes.
    pub ephemeral: i64,
    /// How many pods.
    pub pods: i64,
    /// Everything else, by resource name, in ones.
    pub extended: BTreeMap<String, i64>,
}

impl Resources {
    /// Reads a `ResourceList`.
    pub fn of(list: &BTreeMap<String, Value>) -> Self {
        let mut read = Self::default();
        for (name, amount) in list {
            let amount = match amount {
                Value::String(text) => Quantity::of(text),
                other => Quantity::of(&other.to_string()),
            };
            match name.as_str() {
                "cpu" => read.cpu_milli = amount.milli(),
                "memory" => read.memory = amount.value(),
                "ephemeral-storage" => read.ephemeral = amount.value(),
                "pods" => read.pods = amount.value(),
                _ => {
                    read.extended.insert(name.clone(), amount.value());
                }
            }
        }
        read
    }

    /// Adds each amount.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes each amount away.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }

    /// Raises each amount to at least the other's.
    pub fn raise(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Self, with: impl Fn(i64, i64) -> i64) {
        self.cpu_milli = with(self.cpu_milli, other.cpu_milli);
        self.memory = with(self.memory, other.memory);
        self.ephemeral = with(self.ephemeral, other.ephemeral);
        self.pods = with(self.pods, other.pods);
        for (name, amount) in &other.extended {
            let own = self.extended.entry(name.clone()).or_default();
            *own = with(*own, *amount);
        }
    }
}

/// What the parts of a pod ask for.
#[derive(Debug, Default)]
pub struct Parts<'a> {
    /// Requests of the init containers in order, and whether each is a sidecar (`restartPolicy: Always`).
    pub init: Vec<(&'a BTreeMap<String, Value>, bool)>,
    /// Requests of the containers.
    pub main: Vec<&'a BTreeMap<String, Value>>,
    /// `spec.overhead`
    pub overhead: BTreeMap<String, Value>,
    /// `spec.resources.requests`: stands in for the sum of the containers (KEP-2837).
    pub whole: BTreeMap<String, Value>,
}

/// What a pod occupies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What the node must have; one pod included.
    pub exact: Resources,
    /// CPU for the scorers, which count something for containers that ask for nothing.
    pub scored_cpu_milli: i64,
    /// Memory for the scorers.
    pub scored_memory: i64,
}

impl Request {
    /// The larger of what runs at the end (containers and sidecars) and the peak while the init containers run
    /// one by one, plus the overhead (KEP-753, KEP-688).
    pub fn of(parts: &Parts<'_>) -> Self {
        let (mut sidecars, mut peak) = (Resources::default(), Resources::default());
        let (mut missing_cpu, mut missing_memory) = (0, 0);
        let mut note = |asked: &Resources| {
            missing_cpu += if asked.cpu_milli == 0 { DEFAULT_CPU_MILLI } else { 0 };
            missing_memory += if asked.memory == 0 { DEFAULT_MEMORY_BYTES } else { 0 };
        };
        for (list, sidecar) in &parts.init {
            let asked = Resources::of(list);
            if *sidecar {
                note(&asked);
                sidecars.add(&asked);
                peak.raise(&sidecars);
            } else {
                let mut then = sidecars.clone();
                then.add(&asked);
                peak.raise(&then);
            }
        }
        let mut exact = sidecars;
        for list in &parts.main {
            let asked = Resources::of(list);
            note(&asked);
            exact.add(&asked);
        }
        exact.raise(&peak);
        let whole = Resources::of(&parts.whole);
        if parts.whole.contains_key("cpu") {
            (exact.cpu_milli, missing_cpu) = (whole.cpu_milli, 0);
        }
        if parts.whole.contains_key("memory") {
            (exact.memory, missing_memory) = (whole.memory, 0);
        }
        exact.add(&Resources::of(&parts.overhead));
        exact.pods = 1;
        Self { scored_cpu_milli: exact.cpu_milli + missing_cpu, scored_memory: exact.memory + missing_memory, exact }
    }
}
