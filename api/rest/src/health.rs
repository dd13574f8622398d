//! What anybody may ask: whether this member lives and serves.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::Api;

/// The answer to a health path; `None` for any other.
pub(crate) fn answer(api: &Api, path: &str, query: &str) -> Option<Response> {
    let standing = api.store.standing();
    let standing = standing.borrow();
    let checks: &[(&str, bool)] = match path.trim_end_matches('/') {
        "/livez" => &[("ping", true)],
        "/readyz" | "/healthz" => &[("ping", true), ("store", standing.ready)],
        _ => return None,
    };
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
