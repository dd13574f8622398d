//! What every cluster has: namespaces, priority classes, the `kubernetes` Service and its endpoints.

use api_kinds::Kind;
use api_kinds::core::namespace::{NAMESPACE, OF_EVERY_CLUSTER};
use api_kinds::core::service::SERVICE;
use api_kinds::core::service_account::SERVICE_ACCOUNT;
use api_kinds::networking::ip_address::IP_ADDRESS;
use api_kinds::scheduling::{SYSTEM_CLASSES, system_class};
use bytes::Bytes;
use raft_state::port::Member;
use raft_state::{Action, Command, Expect, ObjectCommand, Snapshot};
use serde_json::{Value, json};

use crate::call::{Address, Caller, Verb};
use crate::{Api, Status, allocate};

/// Marks the EndpointSlices of the `kubernetes` Service that come and go with the ports of members.
const MANAGED_BY: &str = "trireme";

/// Makes what is missing, and keeps the endpoints of the `kubernetes` Service current. Done by the manager at the start of
/// its term and when members change.
///
/// # Errors
/// When the store refuses: the term is over, or there is no quorum.
pub async fn ensure(api: &Api, caller: &Caller, members: &[Member]) -> Result<(), Status> {
    for name in OF_EVERY_CLUSTER {
        create(api, caller, "", "namespaces", "", name, json!({"metadata": {"name": name}})).await?;
    }
    for class in SYSTEM_CLASSES {
        create(api, caller, "scheduling.k8s.io", "priorityclasses", "", class.0, system_class(class)).await?;
    }
    let [a, b] = api.config.service_network;
    let service = json!({
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "type": "ClusterIP", "clusterIP": format!("{a}.{b}.0.1"), "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    });
    give_back_claim(api, caller, &format!("{a}.{b}.0.1")).await?;
    create(api, caller, "", "services", "default", "kubernetes", service).await?;
    write(api, caller, "", "endpoints", endpoints(members)).await?;
    endpoint_slices(api, caller, members).await
}

/// An earlier manager may have ended between its claim on the Service's address and the Service: no later one could make the
/// Service while that claim stands. What is still under way from there is void by its epoch.
async fn give_back_claim(api: &Api, caller: &Caller, address: &str) -> Result<(), Status> {
    let snapshot = api.store.snapshot();
    let (service, key) = (SERVICE.key("default", "kubernetes"), IP_ADDRESS.key("", address));
    let Some(claim) = snapshot.get(key.as_bytes()).filter(|_| snapshot.get(service.as_bytes()).is_none()) else {
        return Ok(());
    };
    let claimed: Value = serde_json::from_slice(&claim.value).unwrap_or_default();
    let parent = &claimed["spec"]["parentRef"];
    if parent["namespace"] != "default" || parent["name"] != "kubernetes" {
        return Ok(());
    }
    let command = ObjectCommand {
        key: Bytes::from(key),
        epoch: caller.epoch,
        expect: Expect::At(claim.mod_revision),
        action: Action::Delete,
    };
    let outcomes = api.store.propose(vec![Command::Object(command)], caller.deadline).await;
    // Where it was refused, making the Service tells why.
    outcomes.map(drop).map_err(|error| Status::proposing(&error))
}

/// Whether a first client finds what it counts on: the namespaces, and the account that pods run as.
pub(crate) fn is_done(snapshot: &Snapshot) -> bool {
    let is_there =
        |kind: &Kind, namespace: &str, name: &str| snapshot.get(kind.key(namespace, name).as_bytes()).is_some();
    OF_EVERY_CLUSTER.iter().all(|name| is_there(&NAMESPACE, "", name))
        && is_there(&SERVICE_ACCOUNT, "default", "default")
}

/// Keeps the EndpointSlices of the `kubernetes` Service: one that bears its name, and more where members differ in port.
async fn endpoint_slices(api: &Api, caller: &Caller, members: &[Member]) -> Result<(), Status> {
    let wanted = slices(members);
    let named = |slice: &Value| slice["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let names: Vec<String> = wanted.iter().map(named).collect();
    for slice in wanted {
        write(api, caller, "discovery.k8s.io", "endpointslices", slice).await?;
    }
    let kind = &api_kinds::networking::endpoint_slice::ENDPOINT_SLICE;
    let snapshot = api.store.snapshot();
    let prefix = format!("{}default/kubernetes-", kind.key_prefix());
    let outlived = snapshot.range(prefix.as_bytes(), None).filter_map(|entry| {
        let slice: Value = serde_json::from_slice(&entry.value).ok()?;
        let ours = slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == MANAGED_BY;
        Some(named(&slice)).filter(|name| ours && !names.contains(name))
    });
    for name in outlived {
        let address =
            Address { group: "discovery.k8s.io", plural: "endpointslices", namespace: "default".to_owned(), name };
        let delete = Verb::Delete { uid: None, at: None, grace_period_s: None, propagation: None };
        match api.call(caller, &address, delete).await {
            Err(status) if status.reason != "NotFound" => return Err(status),
            _ => {}
        }
    }
    Ok(())
}

async fn create(
    api: &Api,
    caller: &Caller,
    group: &'static str,
    plural: &'static str,
    namespace: &str,
    name: &str,
    object: Value,
) -> Result<(), Status> {
    let address = Address { group, plural, namespace: namespace.to_owned(), name: name.to_owned() };
    let kind = api_kinds::registry::by_plural(group, plural).ok_or_else(Status::no_such_path)?;
    if api.store.snapshot().get(kind.key(namespace, name).as_bytes()).is_some() {
        return Ok(());
    }
    match api.call(caller, &address, Verb::Create(object)).await {
        Err(status) if status.reason == "AlreadyExists" => Ok(()),
        other => other.map(drop),
    }
}

async fn write(
    api: &Api,
    caller: &Caller,
    group: &'static str,
    plural: &'static str,
    object: Value,
) -> Result<(), Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let address = Address { group, plural, namespace: "default".to_owned(), name: name.clone() };
    match api.call(caller, &address, Verb::Update(object.clone())).await {
        Err(status) if status.reason == "NotFound" => {
            create(api, caller, group, plural, "default", &name, object).await
        }
        other => other.map(drop),
    }
}

/// API addresses of the members: host and port.
fn addresses(members: &[Member]) -> Vec<(String, u16)> {
    let mut all: Vec<(String, u16)> = members
        .iter()
        .filter_map(|member| {
            let (host, port) = member.api_address.rsplit_once(':')?;
            Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
        })
        .collect();
    all.sort();
    all
}

fn endpoints(members: &[Member]) -> Value {
    // Members on one machine share an address and differ in port: a subset for each port.
    let mut subsets: Vec<Value> = Vec::new();
    for (host, port) in addresses(members) {
        let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
        match subsets.iter_mut().find(|s| s["ports"] == ports) {
            Some(subset) => {
                if let Some(list) = subset["addresses"].as_array_mut() {
                    list.push(json!({"ip": host}));
                }
            }
            None => subsets.push(json!({"addresses": [{"ip": host}], "ports": ports})),
        }
    }
    json!({
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": subsets,
    })
}

fn slices(members: &[Member]) -> Vec<Value> {
    let mut by_port: std::collections::BTreeMap<u16, Vec<String>> = std::collections::BTreeMap::new();
    for (host, port) in addresses(members) {
        by_port.entry(port).or_default().push(host);
    }
    let slice = |(index, (port, hosts)): (usize, (u16, Vec<String>))| {
        let endpoints: Vec<Value> =
            hosts.iter().map(|host| json!({"addresses": [host], "conditions": {"ready": true}})).collect();
        let mut labels = json!({"kubernetes.io/service-name": "kubernetes"});
        let mut name = "kubernetes".to_owned();
        if index > 0 {
            name = format!("kubernetes-{port}");
            labels["endpointslice.kubernetes.io/managed-by"] = MANAGED_BY.into();
        }
        json!({
            "metadata": {"name": name, "namespace": "default", "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            "endpoints": endpoints,
        })
    };
    by_port.into_iter().enumerate().map(slice).collect()
}

/// Keys of claims on addresses and ports that no Service stands on: of a Service that was never written, or whose claims
/// could not be given back.
pub fn orphaned_claims(snapshot: &Snapshot) -> Vec<String> {
    let services = SERVICE.key_prefix();
    let used: std::collections::BTreeSet<String> = snapshot
        .range(services.as_bytes(), None)
        .filter_map(|entry| serde_json::from_slice::<Value>(&entry.value).ok())
        .flat_map(|service| allocate::keys_of(&service))
        .collect();
    let addresses = IP_ADDRESS.key_prefix();
    [addresses.as_str(), allocate::NODE_PORTS]
        .iter()
        .flat_map(|prefix| snapshot.range(prefix.as_bytes(), None))
        .map(|entry| String::from_utf8_lossy(&entry.key).into_owned())
        .filter(|key| !used.contains(key))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_is_in_a_slice_that_names_its_port() {
        let check = |addresses: &[&str], expected: &[(&str, u16, usize)]| {
            let member =
                |address: &&str| Member { id: 1, api_address: (*address).to_owned(), voter: true, ..Member::default() };
            let members: Vec<Member> = addresses.iter().map(member).collect();
            let slices = slices(&members);
            let found: Vec<(&str, u64, usize)> = slices
                .iter()
                .map(|slice| {
                    let port = slice["ports"][0]["port"].as_u64().unwrap();
                    (slice["metadata"]["name"].as_str().unwrap(), port, slice["endpoints"].as_array().unwrap().len())
                })
                .collect();
            let expected: Vec<(&str, u64, usize)> = expected.iter().map(|(a, b, c)| (*a, u64::from(*b), *c)).collect();
            assert_eq!(found, expected, "{addresses:?}");
        };
        check(&["10.0.0.1:6443", "10.0.0.2:6443", "10.0.0.3:6443"], &[("kubernetes", 6443, 3)]);
        check(
            &["127.0.0.1:6443", "127.0.0.1:6444", "127.0.0.1:6445"],
            &[("kubernetes", 6443, 1), ("kubernetes-6444", 6444, 1), ("kubernetes-6445", 6445, 1)],
        );
        check(&[], &[]);
    }
}
