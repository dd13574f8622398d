//! Addresses and node ports of Services, unique in the log: each is claimed by an object of its own before the Service
//! that has it is written (KEP-1880). A command touches one key, so a claim whose Service was never written stays behind;
//! [`crate::bootstrap`] finds such claims.

use std::net::Ipv4Addr;

use api_kinds::core::service::{has_cluster_ip, has_node_ports};
use api_kinds::networking::ip_address::IP_ADDRESS;
use api_kinds::{Cause, Reason};
use bytes::Bytes;
use raft_state::{Action, Command, Expect, ObjectCommand, Outcome, Refusal};
use serde_json::{Value, json};

use crate::context::Context;
use crate::object::encode;
use crate::{Api, Status};

/// Where claims on node ports are kept: they are no kind of Kubernetes'.
pub(crate) const NODE_PORTS: &str = "/registry/trireme.io/nodeports/";
/// How many free places are tried before the range counts as full.
const DRAWS_MAX: usize = 200;

/// Keys claimed for a write that is yet to come.
#[derive(Debug, Default)]
pub(crate) struct Claims(Vec<String>);

impl Claims {
    /// Gives the claims back: the write did not happen.
    pub(crate) async fn release(self, api: &Api, context: &Context) {
        for key in self.0 {
            remove(api, context, key).await;
        }
    }
}

async fn remove(api: &Api, context: &Context, key: String) {
    let command = ObjectCommand { key: Bytes::from(key), epoch: None, expect: Expect::Any, action: Action::Delete };
    // A claim that cannot be given back now is found by the repair.
    let _ = api.store.propose(vec![Command::Object(command)], context.deadline).await;
}

/// Claims what a Service needs and fills it in.
pub(crate) async fn claim(
    api: &Api,
    context: &Context,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<Claims, Status> {
    let mut claims = Claims::default();
    if context.kind.kind != "Service" {
        return Ok(claims);
    }
    let outcome = claim_all(api, context, object, old, &mut claims).await;
    if let Err(status) = outcome {
        claims.release(api, context).await;
        return Err(status);
    }
    Ok(claims)
}

async fn claim_all(
    api: &Api,
    context: &Context,
    object: &mut Value,
    old: Option<&Value>,
    claims: &mut Claims,
) -> Result<(), Status> {
    if has_cluster_ip(object) {
        let wanted = object["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
        let had = old.is_some_and(|old| old["spec"]["clusterIP"] == wanted.as_str() && !wanted.is_empty());
        if !had {
            let address = cluster_ip(api, context, object, &wanted, claims).await?;
            object["spec"]["clusterIP"] = address.clone().into();
            object["spec"]["clusterIPs"] = json!([address]);
        }
    } else if object["spec"]["clusterIP"] == "None" {
        object["spec"]["clusterIPs"] = json!(["None"]);
    }
    let ports = object["spec"]["ports"].as_array().map_or(0, Vec::len);
    for index in 0..ports {
        if !has_node_ports(object) {
            if let Some(port) = object["spec"]["ports"][index].as_object_mut() {
                port.shift_remove("nodePort");
            }
            continue;
        }
        let wanted = object["spec"]["ports"][index]["nodePort"].as_u64().unwrap_or(0);
        let had = |old: &Value| {
            old["spec"]["ports"].as_array().is_some_and(|all| all.iter().any(|p| p["nodePort"] == wanted))
        };
        if wanted != 0 && old.is_some_and(had) {
            continue;
        }
        let number = node_port(api, context, object, index, wanted, claims).await?;
        object["spec"]["ports"][index]["nodePort"] = number.into();
    }
    Ok(())
}

async fn cluster_ip(
    api: &Api,
    context: &Context,
    service: &Value,
    wanted: &str,
    claims: &mut Claims,
) -> Result<String, Status> {
    let [a, b] = api.config.service_network;
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    let invalid = |message: String| {
        let cause = Cause { reason: Reason::Invalid, field: "spec.clusterIPs".to_owned(), message };
        Status::invalid(context.kind, name, &vec![cause])
    };
    if !wanted.is_empty() {
        let within = wanted.parse::<Ipv4Addr>().is_ok_and(|ip| ip.octets()[..2] == [a, b]);
        if !within {
            return Err(invalid(format!(
                "Invalid value: [{wanted:?}]: failed to allocate IP {wanted}: the provided network does not match the current range"
            )));
        }
        if !claim_address(api, context, service, wanted).await? {
            return Err(invalid(format!(
                "Invalid value: [{wanted:?}]: failed to allocate IP {wanted}: provided IP is already allocated"
            )));
        }
        claims.0.push(IP_ADDRESS.key("", wanted));
        return Ok(wanted.to_owned());
    }
    // The lower part of the range is left to those who choose (KEP-3070).
    for _ in 0..DRAWS_MAX {
        let bits = (api.config.random)();
        let third = 1 + u8::try_from(bits % 255).unwrap_or(0);
        let fourth = u8::try_from((bits >> 8) % 256).unwrap_or(0);
        let address = Ipv4Addr::new(a, b, third, fourth).to_string();
        if claim_address(api, context, service, &address).await? {
            claims.0.push(IP_ADDRESS.key("", &address));
            return Ok(address);
        }
    }
    Err(Status::internal("failed to allocate a serviceIP: range is full"))
}

async fn claim_address(api: &Api, context: &Context, service: &Value, address: &str) -> Result<bool, Status> {
    let key = IP_ADDRESS.key("", address);
    let metadata = &service["metadata"];
    let object = json!({
        "metadata": {
            "name": address, "uid": api.config.uid(), "creationTimestamp": api_kinds::time::rfc3339(api.now_us()),
            "labels": {"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"},
        },
        "spec": {"parentRef": {"resource": "services", "namespace": metadata["namespace"], "name": metadata["name"]}},
    });
    let payload = encode(&IP_ADDRESS, &object)?.payload(&IP_ADDRESS, key.as_bytes(), &*api.config.keyring);
    take(api, context, key, payload).await
}

async fn node_port(
    api: &Api,
    context: &Context,
    service: &Value,
    index: usize,
    wanted: u64,
    claims: &mut Claims,
) -> Result<u64, Status> {
    let (first, last) = (u64::from(api.config.node_ports.0), u64::from(api.config.node_ports.1));
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    let invalid = |message: String| {
        let cause = Cause { reason: Reason::Invalid, field: format!("spec.ports[{index}].nodePort"), message };
        Status::invalid(context.kind, name, &vec![cause])
    };
    if wanted != 0 {
        if !(first..=last).contains(&wanted) {
            return Err(invalid(format!(
                "Invalid value: {wanted}: provided port is not in the valid range. The range of valid ports is {first}-{last}"
            )));
        }
        // One number may serve two protocols of the same Service.
        let key = format!("{NODE_PORTS}{wanted}");
        if claims.0.contains(&key) {
            return Ok(wanted);
        }
        if !claim_port(api, context, service, wanted).await? {
            return Err(invalid(format!("Invalid value: {wanted}: provided port is already allocated")));
        }
        claims.0.push(key);
        return Ok(wanted);
    }
    for _ in 0..DRAWS_MAX {
        let number = first + u64::try_from((api.config.random)() % u128::from(last - first + 1)).unwrap_or(0);
        if claim_port(api, context, service, number).await? {
            claims.0.push(format!("{NODE_PORTS}{number}"));
            return Ok(number);
        }
    }
    Err(Status::internal("failed to allocate a nodePort: range is full"))
}

async fn claim_port(api: &Api, context: &Context, service: &Value, number: u64) -> Result<bool, Status> {
    let key = format!("{NODE_PORTS}{number}");
    let metadata = &service["metadata"];
    let owner = json!({"namespace": metadata["namespace"], "name": metadata["name"]});
    take(api, context, key, raft_state::Payload::Opaque(owner.to_string().into())).await
}

/// Writes a claim if nobody has it.
async fn take(api: &Api, context: &Context, key: String, payload: raft_state::Payload) -> Result<bool, Status> {
    if context.dry_run {
        return Ok(api.store.snapshot().get(key.as_bytes()).is_none());
    }
    let command = ObjectCommand {
        key: Bytes::from(key),
        epoch: context.epoch,
        expect: Expect::Absent,
        action: Action::Put(payload),
    };
    let outcomes = api.store.propose(vec![Command::Object(command)], context.deadline).await;
    match outcomes.map_err(|error| Status::proposing(&error))?.first() {
        Some(Outcome::Done { .. }) => Ok(true),
        Some(Outcome::Refused(Refusal::Exists { .. })) => Ok(false),
        other => Err(Status::internal(format!("a claim came to {other:?}"))),
    }
}

/// Gives back what the old form of a Service had and the new one has no more.
pub(crate) async fn release_unused(api: &Api, context: &Context, old: Option<&Value>, new: Option<&Value>) {
    if context.kind.kind != "Service" || context.dry_run {
        return;
    }
    let (had, has) = (old.map(keys_of).unwrap_or_default(), new.map(keys_of).unwrap_or_default());
    for key in had.into_iter().filter(|key| !has.contains(key)) {
        remove(api, context, key).await;
    }
}

/// The claims that a Service stands on.
pub(crate) fn keys_of(service: &Value) -> Vec<String> {
    let mut keys = Vec::new();
    if let Some(address) = service["spec"]["clusterIP"].as_str().filter(|ip| !ip.is_empty() && *ip != "None") {
        keys.push(IP_ADDRESS.key("", address));
    }
    for port in service["spec"]["ports"].as_array().into_iter().flatten() {
        if let Some(number) = port["nodePort"].as_u64().filter(|n| *n != 0) {
            keys.push(format!("{NODE_PORTS}{number}"));
        }
    }
    keys
}
