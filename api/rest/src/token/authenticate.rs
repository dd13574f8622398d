//! From a bearer token to an identity.

use std::time::Instant;

use api_kinds::registry::by_plural;
use raft_state::Snapshot;
use raft_state::port::ReadLevel;
use serde_json::Value;

use super::claims::{Claims, Reference};
use super::{ISSUER, jwt};
use crate::{Api, Identity, Status};

/// How far clocks may be apart, and how long something deleted still counts, as in Kubernetes.
const LEEWAY_S: i64 = 60;

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rejected {
    #[error("the token is not one of this cluster's")]
    Foreign,
    #[error("service account token has expired")]
    Expired,
    #[error("service account token is not valid yet")]
    Early,
    #[error("token audiences {found:?} is invalid for the target audiences {wanted:?}")]
    Audience { found: Vec<String>, wanted: Vec<String> },
    #[error("service account token has been invalidated")]
    Invalidated,
    #[error("cannot look up what the token is bound to: {0}")]
    Unknown(String),
}

/// Makes a token of claims.
pub(crate) fn issue(api: &Api, claims: &Claims) -> String {
    jwt::sign(&*api.config.tokens, &claims.to_json())
}

/// Who bears a token, and for which of the wanted audiences it is good.
pub(crate) async fn bearer(
    api: &Api,
    token: &str,
    audiences: &[String],
    deadline: Instant,
) -> Result<(Identity, Vec<String>), Rejected> {
    let claims = jwt::open(&*api.config.tokens, token).and_then(|claims| Claims::read(&claims));
    let claims = claims.ok_or(Rejected::Foreign)?;
    let now_s = api.now_us() / 1_000_000;
    if now_s > claims.expires_at_s + LEEWAY_S {
        return Err(Rejected::Expired);
    }
    if now_s + LEEWAY_S < claims.issued_at_s {
        return Err(Rejected::Early);
    }
    let default = [ISSUER.to_owned()];
    let wanted = if audiences.is_empty() { &default[..] } else { audiences };
    let shared: Vec<String> = wanted.iter().filter(|wanted| claims.audiences.contains(wanted)).cloned().collect();
    if shared.is_empty() {
        return Err(Rejected::Audience { found: claims.audiences, wanted: wanted.to_vec() });
    }
    if !stands(&api.store.snapshot(), &claims, now_s) {
        // What this member has may be old: an account that was made a moment ago on another must not be missed.
        let newest = api.store.read(ReadLevel::Linearizable, deadline).await;
        let newest = newest.map_err(|error| Rejected::Unknown(Status::reading(&error, None).message))?;
        if !stands(&newest, &claims, now_s) {
            return Err(Rejected::Invalidated);
        }
    }
    Ok((identity(claims), shared))
}

/// Whether everything that a token is bound to is still there.
fn stands(snapshot: &Snapshot, claims: &Claims, now_s: i64) -> bool {
    let is_there = |plural: &str, namespace: &str, wanted: &Reference| {
        let Some(kind) = by_plural("", plural) else { return false };
        let entry = snapshot.get(kind.key(namespace, &wanted.name).as_bytes());
        let found = entry.and_then(|entry| serde_json::from_slice::<Value>(&entry.value).ok());
        let Some(found) = found.filter(|found| found["metadata"]["uid"] == wanted.uid.as_str()) else { return false };
        let deleted_at = found["metadata"]["deletionTimestamp"].as_str().and_then(api_kinds::time::parse);
        deleted_at.is_none_or(|deleted_us| deleted_us / 1_000_000 + LEEWAY_S >= now_s)
    };
    let bound = |plural: &str, reference: &Option<Reference>| {
        reference.as_ref().is_none_or(|reference| is_there(plural, &claims.namespace, reference))
    };
    is_there("serviceaccounts", &claims.namespace, &claims.account)
        && bound("pods", &claims.pod)
        && bound("secrets", &claims.secret)
        && (claims.pod.is_some() || claims.node.as_ref().is_none_or(|node| is_there("nodes", "", node)))
}

fn identity(claims: Claims) -> Identity {
    let groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{}", claims.namespace)];
    let user = claims.user();
    let mut extra = vec![("authentication.kubernetes.io/credential-id".to_owned(), format!("JTI={}", claims.id))];
    for (what, reference) in [("pod", claims.pod), ("node", claims.node)] {
        if let Some(Reference { name, uid }) = reference {
            extra.push((format!("authentication.kubernetes.io/{what}-name"), name));
            extra.push((format!("authentication.kubernetes.io/{what}-uid"), uid));
        }
    }
    Identity { uid: claims.account.uid, extra, ..Identity::new(user, groups) }
}
