//! Validation of a pod's name resolution and its name on the network.

use serde_json::Value;

use crate::findings::Findings;
use crate::names;
use crate::path::{Path, has, items, text};

const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 2048;
const HOSTNAME_BYTES_MAX: usize = 64;

/// Findings about `dnsConfig`.
pub(super) fn config(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let config = &spec["dnsConfig"];
    let at = at.field("dnsConfig");
    let servers = items(config, "nameservers");
    if text(spec, "dnsPolicy") == "None" {
        if !config.is_object() {
            return findings.required(at, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        if servers.is_empty() {
            let message = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return findings.required(at.field("nameservers"), message);
        }
    }
    if servers.len() > NAMESERVERS_MAX {
        let message = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        findings.invalid(at.field("nameservers"), &config["nameservers"], &message);
    }
    for (index, server) in servers.iter().filter_map(Value::as_str).enumerate() {
        findings.names(at.field("nameservers").index(index), server, names::legacy_ip_address(server));
    }
    let searches: Vec<&str> = items(config, "searches").iter().filter_map(Value::as_str).collect();
    let at_searches = at.field("searches");
    if searches.len() > SEARCHES_MAX {
        let message = format!("must not have more than {SEARCHES_MAX} search paths");
        findings.invalid(at_searches, &config["searches"], &message);
    }
    if searches.join(" ").len() > SEARCH_CHARS_MAX {
        let message =
            format!("must not have more than {SEARCH_CHARS_MAX} characters (including spaces) in the search list");
        findings.invalid(at_searches, &config["searches"], &message);
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, s)| **s != ".") {
        let name = search.strip_suffix('.').unwrap_or(search);
        findings.names(at_searches.index(index), name, names::dns1123_subdomain_with_underscore(name));
    }
    for (index, option) in items(config, "options").iter().enumerate() {
        if text(option, "name").is_empty() {
            findings.required(at.field("options").index(index), "must not be empty");
        }
    }
}

/// Findings about host names and aliases.
pub(super) fn hosts(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    for field in ["hostname", "subdomain"] {
        let name = text(spec, field);
        if !name.is_empty() {
            findings.names(at.field(field), name, names::dns1123_label(name));
        }
    }
    let list = at.field("hostAliases");
    for (index, alias) in items(spec, "hostAliases").iter().enumerate() {
        let at = list.index(index);
        findings.names(at.field("ip"), text(alias, "ip"), names::legacy_ip_address(text(alias, "ip")));
        let at = at.field("hostnames");
        for (index, name) in items(alias, "hostnames").iter().filter_map(Value::as_str).enumerate() {
            findings.names(at.index(index), name, names::dns1123_subdomain(name));
        }
    }
    if has(spec, "hostnameOverride") {
        let (name, at) = (text(spec, "hostnameOverride"), at.field("hostnameOverride"));
        for field in ["setHostnameAsFQDN", "hostNetwork"] {
            if spec[field] == true {
                findings.forbidden(at, &format!("may not be specified when {field} is true"));
            }
        }
        if name.len() > HOSTNAME_BYTES_MAX {
            findings.too_long(at, HOSTNAME_BYTES_MAX);
        }
        findings.names(at, name, names::dns1123_subdomain(name));
    }
}
