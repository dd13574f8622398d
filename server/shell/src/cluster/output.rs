//! What the command line prints.

use std::str::FromStr;

use anyhow::Result;
use api_client::v1;
use api_client::v1::cluster_member::Kind;
use serde_json::{Value, json};

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" | "wide" | "text" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            _ => Err("one of table, json, yaml".to_owned()),
        }
    }
}

impl Output {
    /// Prints a value for machines; false when people are to read.
    pub fn value(self, value: &Value) -> bool {
        match self {
            Self::Table => return false,
            Self::Json => say!("{value:#}"),
            Self::Yaml => say!("{}", yaml(value, 0).trim_end()),
        }
        true
    }

    /// The members.
    pub fn status(self, status: &v1::ClusterStatusResponse) -> Result<()> {
        if self.value(&status_value(status)) {
            return Ok(());
        }
        say!("{:<10}{:<6}{:<10}{:<10}{:<10}{:<22}{}", "NAME", "ID", "ROLE", "LAG", "SILENT", "API", "NOTE");
        for member in &status.members {
            let lag = status.last_index.saturating_sub(member.matched_index);
            say!(
                "{:<10}{:<6}{:<10}{:<10}{:<10}{:<22}{}",
                member.name,
                member.id,
                role(status, member),
                lag,
                silence(member.silent_ms),
                member.api_address,
                member.note
            );
        }
        let changing = if status.changing { ", the voters are changing" } else { "" };
        let v1::ClusterStatusResponse { cluster_id, term, last_index, level, .. } = status;
        say!("\ncluster {cluster_id}, term {term}, index {last_index}, level {level}{changing}");
        Ok(())
    }

    /// A change of one member.
    pub fn changed(self, member: &str, what: &str, note: &str) -> Result<()> {
        if self.value(&json!({"member": member, "note": note})) {
            return Ok(());
        }
        if note.is_empty() {
            say!("{member} {what}")
        } else {
            say!("{note}")
        }
        Ok(())
    }

    /// A token, and what to do with it.
    pub fn token(self, token: &v1::CreateTokenResponse, name: &str, replica: bool) -> Result<()> {
        let joins: Vec<String> = token.masters.iter().map(|master| format!("--join={master}")).collect();
        let mut command = format!("trireme server --name={name} {} --token={}", joins.join(" "), token.token);
        if replica {
            command.push_str(" --replica");
        }
        let value = json!({
            "token": token.token,
            "expiresAt": token.expires_s,
            "masters": token.masters,
            "command": command,
        });
        if self.value(&value) {
            return Ok(());
        }
        say!("On the new machine, within the token's time:\n");
        say!("  {command} \\");
        say!("    --data-dir=<folder> --tls-dir=<folder> --api-listen=<address:port> --peer-listen=<address:port>\n");
        say!(
            "It joins as a learner and votes when it has caught up and the number of voters stays odd: `trireme cluster status`."
        );
        Ok(())
    }
}

fn role(status: &v1::ClusterStatusResponse, member: &v1::ClusterMember) -> &'static str {
    match member.kind() {
        _ if member.id == status.leader => "leader",
        Kind::Leaving => "leaving",
        Kind::Replica => "replica",
        _ if member.voter => "voter",
        Kind::Standby => "standby",
        Kind::Master => "learner",
    }
}

fn silence(ms: u64) -> String {
    match ms {
        0..1000 => "-".to_owned(),
        1000..120_000 => format!("{}s", ms / 1000),
        _ => format!("{}m", ms / 60_000),
    }
}

fn status_value(status: &v1::ClusterStatusResponse) -> Value {
    let members: Vec<Value> = status
        .members
        .iter()
        .map(|member| {
            json!({
                "id": member.id,
                "name": member.name,
                "role": role(status, member),
                "voter": member.voter,
                "kind": member.kind().as_str_name().to_lowercase(),
                "apiAddress": member.api_address,
                "peerAddress": member.peer_address,
                "matchedIndex": member.matched_index,
                "lag": status.last_index.saturating_sub(member.matched_index),
                "silentMilliseconds": member.silent_ms,
                "note": member.note,
            })
        })
        .collect();
    json!({
        "clusterID": status.cluster_id,
        "leader": status.leader,
        "term": status.term,
        "lastIndex": status.last_index,
        "level": status.level,
        "changing": status.changing,
        "members": members,
    })
}

/// A value as YAML: scalars are written as JSON's, which YAML reads as the same.
fn yaml(value: &Value, indent: usize) -> String {
    let pad = "  ".repeat(indent);
    match value {
        Value::Object(fields) if !fields.is_empty() => fields
            .iter()
            .map(|(name, value)| match nested(value) {
                true => format!("{pad}{name}:\n{}", yaml(value, indent + 1)),
                false => format!("{pad}{name}: {value}\n"),
            })
            .collect(),
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .map(|item| match nested(item) {
                true => format!("{pad}- {}", yaml(item, indent + 1).trim_start()),
                false => format!("{pad}- {item}\n"),
            })
            .collect(),
        scalar => format!("{pad}{scalar}\n"),
    }
}

fn nested(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_reads_back_as_the_same() {
        let value = json!({"a": 1, "b": [], "c": [{"d": "x: y", "e": null}, 2], "f": {"g": true}, "h": {}});
        let read: Value = serde_saphyr::from_str(&yaml(&value, 0)).unwrap();
        assert_eq!(read, value, "{}", yaml(&value, 0));
    }
}
