//! The Node object and its Lease.

use api_kinds::time::{rfc3339, rfc3339_micro};
use serde_json::{Value, json};

/// How often a node renews its Lease.
pub const LEASE_RENEW_US: i64 = 10_000_000;
/// How long a Lease is good for, seconds.
pub const LEASE_DURATION_S: i64 = 40;
/// The namespace of node Leases.
pub const LEASE_NAMESPACE: &str = "kube-node-lease";

/// What a node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Quantity of cores.
    pub cpu: String,
    /// Quantity of memory.
    pub memory: String,
    /// Pods at most.
    pub pods: u32,
    /// Version of the agent.
    pub version: String,
}

impl Machine {
    /// The object to register with.
    pub fn object(&self, now_us: i64) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self.name,
                "labels": {
                    "kubernetes.io/hostname": self.name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                    "beta.kubernetes.io/os": "linux",
                    "beta.kubernetes.io/arch": "amd64",
                },
            },
            "spec": {},
            "status": self.status(now_us),
        })
    }

    /// The status of a node that is well.
    pub fn status(&self, now_us: i64) -> Value {
        let resources = json!({
            "cpu": self.cpu, "memory": self.memory, "pods": self.pods.to_string(), "ephemeral-storage": "100Gi",
        });
        let condition = |kind: &str, status: &str, reason: &str, message: &str| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": message,
                "lastHeartbeatTime": rfc3339(now_us), "lastTransitionTime": rfc3339(now_us),
            })
        };
        json!({
            "capacity": resources,
            "allocatable": resources,
            "addresses": [
                {"type": "InternalIP", "address": self.address},
                {"type": "Hostname", "address": self.name},
            ],
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "the node is ready to run pods"),
            ],
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "osImage": "simulated", "kernelVersion": "simulated",
                "containerRuntimeVersion": "simulated://1", "kubeletVersion": self.version, "kubeProxyVersion": "",
                "machineID": self.name, "systemUUID": self.name, "bootID": self.name,
            },
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        })
    }

    /// The node's Lease, renewed now.
    pub fn lease(&self, node_uid: &str, now_us: i64) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self.name,
                "namespace": LEASE_NAMESPACE,
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": self.name, "uid": node_uid}],
            },
            "spec": {
                "holderIdentity": self.name,
                "leaseDurationSeconds": LEASE_DURATION_S,
                "renewTime": rfc3339_micro(now_us),
            },
        })
    }
}
