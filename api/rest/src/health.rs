//! What anybody may ask: whether this member lives and serves.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::Api;

/// The answer to a health path; `None` for any other.
pub(crate) fn answer(api: &Api, path: &str, query: &str) -> Option<Response> {
    let standing = api.store.standing();
    let standing = standing.borrow();
    let all = [("ping", true), ("store", standing.ready), ("bootstrap", api.is_bootstrapped())];
    let (probe, one) = path.trim_matches('/').split_once('/').unwrap_or((path.trim_matches('/'), ""));
    let of_probe = match probe {
        "livez" => &all[..1],
        "readyz" | "healthz" => &all[..],
        _ => return None,
    };
    let checks: Vec<(&str, bool)> =
        of_probe.iter().filter(|(name, _)| one.is_empty() || *name == one).copied().collect();
    if checks.is_empty() {
        return Some((StatusCode::NOT_FOUND, "404 page not found\n").into_response());
    }
    let sound = checks.iter().all(|(_, sound)| *sound);
    let code = if sound { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    if sound && !query.contains("verbose") {
        return Some((code, "ok").into_response());
    }
    let name = path.trim_matches('/');
    let mut lines: String = checks
        .iter()
        .map(
            |(check, sound)| {
                if *sound { format!("[+]{check} ok\n") } else { format!("[-]{check} failed: reason withheld\n") }
            },
        )
        .collect();
    lines.push_str(&if sound { format!("{name} check passed\n") } else { format!("{name} check failed\n") });
    Some((code, lines).into_response())
}
