//! Priority: the class that a pod names becomes a number.

use api_kinds::scheduling::{PRIORITY_CLASS, SYSTEM_CLASSES};
use serde_json::Value;

use super::{Attributes, Plugin};
use crate::{Status, forms};

pub(super) const PLUGIN: Plugin = Plugin { name: "Priority", admit };

fn admit(a: &mut Attributes<'_>) -> Result<(), Status> {
    if !a.creates("Pod") {
        return Ok(());
    }
    let name = a.object["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let (value, policy) = if name.is_empty() { default_class(a) } else { named_class(a, &name)? };
    let given = a.object["spec"]["priority"].as_i64();
    if given.is_some_and(|given| given != value) {
        let why = format!(
            "the integer value of priority ({}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name",
            given.unwrap_or_default()
        );
        return Err(Status::forbidden(a.context.kind, a.name(), &why));
    }
    a.object["spec"]["priority"] = value.into();
    if a.object["spec"]["preemptionPolicy"].is_null() {
        a.object["spec"]["preemptionPolicy"] = policy.into();
    }
    Ok(())
}

fn named_class(a: &Attributes<'_>, name: &str) -> Result<(i64, String), Status> {
    if let Some((_, value, _)) = SYSTEM_CLASSES.iter().find(|(known, ..)| *known == name) {
        return Ok((*value, "PreemptLowerPriority".to_owned()));
    }
    let class = a.look_up(&PRIORITY_CLASS.key("", name)).ok_or_else(|| {
        Status::forbidden(a.context.kind, a.name(), &format!("no PriorityClass with name {name} was found"))
    })?;
    Ok(of(class))
}

fn of(class: &Value) -> (i64, String) {
    let policy = class["preemptionPolicy"].as_str().unwrap_or("PreemptLowerPriority");
    (class["value"].as_i64().unwrap_or(0), policy.to_owned())
}

/// The class that says it is everybody's, if there is one; of several the one with the lowest value.
fn default_class(a: &mut Attributes<'_>) -> (i64, String) {
    let prefix = PRIORITY_CLASS.key_prefix();
    let classes = a.snapshot.range(prefix.as_bytes(), None).map(|entry| forms::decoded(entry));
    let global = classes.filter(|class| class["globalDefault"] == true).min_by_key(|class| class["value"].as_i64());
    match global {
        Some(class) => {
            a.object["spec"]["priorityClassName"] = class["metadata"]["name"].clone();
            of(class)
        }
        None => (0, "PreemptLowerPriority".to_owned()),
    }
}
