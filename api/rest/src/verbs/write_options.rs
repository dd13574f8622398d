//! What a write may ask for (`metav1.CreateOptions` and its like): values that do not exist are refused, in Kubernetes'
//! words.

use api_kinds::{Cause, Reason};

use crate::Status;
use crate::query::Query;

/// The longest name of a field manager, in bytes.
const MANAGER_BYTES_MAX: usize = 128;

/// Refuses options of a verb that make no sense. Reads have none of these.
pub(crate) fn check(verb: &str, query: &Query) -> Result<(), Status> {
    let kind = match verb {
        "create" => "CreateOptions",
        "update" => "UpdateOptions",
        "patch" => "PatchOptions",
        "delete" | "deletecollection" => "DeleteOptions",
        _ => return Ok(()),
    };
    let mut causes = Vec::new();
    let mut refuse = |reason, field: &str, message| causes.push(Cause { reason, field: field.to_owned(), message });
    if let Some(manager) = query.field_manager.as_deref().filter(|_| kind != "DeleteOptions") {
        if manager.len() > MANAGER_BYTES_MAX {
            let message = format!("Too long: may not be more than {MANAGER_BYTES_MAX} bytes");
            refuse(Reason::TooLong, "fieldManager", message);
        }
        for (at, letter) in manager.char_indices().filter(|(_, letter)| letter.is_control()) {
            let why = format!("invalid character U+{:04X} (at position {at})", u32::from(letter));
            refuse(Reason::Invalid, "fieldManager", format!("Invalid value: {manager:?}: {why}"));
        }
    }
    if let Some(cause) = unknown_dry_run(&query.dry_run_values) {
        causes.push(cause);
    }
    if let Some(other) = query.field_validation_unknown.as_deref().filter(|_| kind != "DeleteOptions") {
        let message = format!("Unsupported value: {other:?}: supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"");
        causes.push(Cause { reason: Reason::NotSupported, field: "fieldValidation".to_owned(), message });
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid_options(kind, &causes)) }
}

/// A finding where `dryRun` says anything but `All`.
pub(crate) fn unknown_dry_run(values: &[String]) -> Option<Cause> {
    if values.iter().all(|value| value == "All") {
        return None;
    }
    let shown: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    let message = format!("Unsupported value: [{}]: supported values: \"All\"", shown.join(","));
    Some(Cause { reason: Reason::NotSupported, field: "dryRun".to_owned(), message })
}
