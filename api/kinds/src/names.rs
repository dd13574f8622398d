//! What names, ports and addresses may look like, with the messages of `k8s.io/apimachinery/pkg/util/validation`. Each
//! function returns its messages; none when the name is sound.

use std::net::IpAddr;

/// A lowercase RFC 1123 label: at most 63 characters.
pub fn dns1123_label(name: &str) -> Vec<String> {
    if !label(name) && name.split('.').all(label) {
        return check(name, 63, false, "must not contain dots");
    }
    check(
        name,
        63,
        label(name),
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    )
}

/// A lowercase RFC 1123 subdomain: at most 253 characters.
pub fn dns1123_subdomain(name: &str) -> Vec<String> {
    check(
        name,
        253,
        name.split('.').all(label),
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    )
}

/// A subdomain as search lists have them, with underscores.
pub fn dns1123_subdomain_with_underscore(name: &str) -> Vec<String> {
    let segment = |part: &str| {
        let part = part.strip_prefix('_').unwrap_or(part);
        label(&part.replace('_', "-"))
    };
    check(
        name,
        253,
        name.split('.').all(segment),
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')",
    )
}

/// An RFC 1035 label (names of Services): at most 63 characters.
pub fn dns1035_label(name: &str) -> Vec<String> {
    let sound = label(name) && name.starts_with(|c: char| c.is_ascii_lowercase());
    check(
        name,
        63,
        sound,
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
    )
}

/// The name of a port: at most 15 characters, with a letter, no doubled hyphens.
pub fn port_name(name: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if name.len() > 15 {
        messages.push("must be no more than 15 characters".to_owned());
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        messages.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        messages.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        messages.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        messages.push("must not begin or end with a hyphen".to_owned());
    }
    messages
}

/// The key of a label or annotation: an optional prefix and a name.
pub fn qualified_name(name: &str) -> Vec<String> {
    const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let parts: Vec<&str> = name.split('/').collect();
    let mut messages = Vec::new();
    let local = match parts[..] {
        [local] => local,
        [prefix, local] => {
            if prefix.is_empty() {
                messages.push("prefix part must be non-empty".to_owned());
            } else {
                messages.extend(dns1123_subdomain(prefix).into_iter().map(|m| format!("prefix part {m}")));
            }
            local
        }
        _ => {
            return vec![format!(
                "a valid label key {NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if local.is_empty() {
        messages.push("name part must be non-empty".to_owned());
    } else if local.len() > 63 {
        messages.push("name part must be no more than 63 characters".to_owned());
    }
    if !wordlike(local) {
        messages.push(format!("name part {NAME}"));
    }
    messages
}

/// The value of a label.
pub fn label_value(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > 63 {
        messages.push("must be no more than 63 characters".to_owned());
    }
    if !value.is_empty() && !wordlike(value) {
        messages.push("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')".to_owned());
    }
    messages
}

/// A key of a ConfigMap or Secret.
pub fn config_key(key: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if key.len() > 253 {
        messages.push("must be no more than 253 characters".to_owned());
    }
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        messages.push("a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')".to_owned());
    }
    if key == "." {
        messages.push("must not be '.'".to_owned());
    }
    if key == ".." {
        messages.push("must not be '..'".to_owned());
    } else if key.starts_with("..") {
        messages.push("must not start with '..'".to_owned());
    }
    messages
}

/// The name of an environment variable: any printable ASCII but `=`.
pub fn env_name(name: &str) -> Vec<String> {
    if name.is_empty() {
        vec!["environment variable name must be non-empty".to_owned()]
    } else if name.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=') {
        Vec::new()
    } else {
        let message =
            "a valid environment variable name must consist only of printable ASCII characters other than '='";
        vec![message.to_owned()]
    }
}

/// A name that can be a segment of a path, and no more (RBAC objects).
pub fn path_segment(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    ['/', '%'].iter().filter(|c| name.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// A subdomain whose first label is `*`.
pub fn wildcard_subdomain(name: &str) -> Vec<String> {
    let sound = name.strip_prefix("*.").is_some_and(|rest| rest.split('.').all(label));
    check(
        name,
        253,
        sound,
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    )
}

/// The name of an HTTP header.
pub fn http_header(name: &str) -> Vec<String> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Vec::new();
    }
    vec!["a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')".to_owned()]
}

/// A share of a whole: `25%`.
pub fn percent(text: &str) -> Vec<String> {
    if text.strip_suffix('%').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
        return Vec::new();
    }
    vec!["a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')".to_owned()]
}

/// The number of a port.
pub fn port_number(port: i64) -> Vec<String> {
    in_range(port, 1, 65_535)
}

/// A number from `min` to `max`.
pub fn in_range(value: i64, min: i64, max: i64) -> Vec<String> {
    if (min..=max).contains(&value) { Vec::new() } else { vec![format!("must be between {min} and {max}, inclusive")] }
}

/// An IP address in its canonical form.
pub fn ip_address(text: &str) -> Vec<String> {
    let Ok(address) = text.parse::<IpAddr>() else {
        return vec![if sloppy_ip(text) { "must not have leading 0s" } else { NOT_AN_IP }.to_owned()];
    };
    if mapped(address) {
        return vec!["must not be an IPv4-mapped IPv6 address".to_owned()];
    }
    let canonical = address.to_string();
    if canonical == text { Vec::new() } else { vec![format!("must be in canonical form ({canonical:?})")] }
}

/// An IP address in any form but those that are read differently by different programs.
pub fn legacy_ip_address(text: &str) -> Vec<String> {
    match text.parse::<IpAddr>() {
        Ok(address) if mapped(address) => vec!["must not be an IPv4-mapped IPv6 address".to_owned()],
        Ok(_) => Vec::new(),
        Err(_) => ip_address(text),
    }
}

/// A network in its canonical form: `10.9.8.0/24`.
pub fn cidr(text: &str) -> Vec<String> {
    let message = |message: &str| vec![message.to_owned()];
    let Some((address, bits)) = text.split_once('/') else { return message(NOT_A_CIDR) };
    let Ok(address) = address.parse::<IpAddr>() else {
        let sloppy = sloppy_ip(address) && bits.parse::<u8>().is_ok_and(|b| b <= 32);
        return message(if sloppy { "must not have leading 0s in IP or prefix length" } else { NOT_A_CIDR });
    };
    let width = if address.is_ipv4() { 32 } else { 128 };
    let Some(length) = bits.parse::<u32>().ok().filter(|n| *n <= width) else { return message(NOT_A_CIDR) };
    if bits != length.to_string() {
        return message("must not have leading 0s in IP or prefix length");
    }
    if mapped(address) {
        return message("must not have an IPv4-mapped IPv6 address");
    }
    if host_bits(address, length) {
        return message("must not have bits set beyond the prefix length");
    }
    let canonical = format!("{address}/{length}");
    if canonical == text { Vec::new() } else { message(&format!("must be in canonical form ({canonical:?})")) }
}

const NOT_AN_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const NOT_A_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An IPv4 address but for leading zeros.
fn sloppy_ip(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let number =
        |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && part.parse::<u8>().is_ok();
    parts.len() == 4 && parts.iter().all(number)
}

fn mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

fn host_bits(address: IpAddr, length: u32) -> bool {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_shl(length).unwrap_or(0) != 0,
        IpAddr::V6(v6) => u128::from(v6).checked_shl(length).unwrap_or(0) != 0,
    }
}

/// How the prefix of a generated name is judged: as if a letter stood for the hyphen at its end.
pub fn masked(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(stem) if !stem.is_empty() => format!("{stem}a"),
        _ => prefix.to_owned(),
    }
}

fn check(name: &str, max: usize, sound: bool, message: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if name.len() > max {
        messages.push(format!("must be no more than {max} characters"));
    }
    if !sound {
        messages.push(message.to_owned());
    }
    messages
}

fn label(name: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(a), Some(b)) if alphanumeric(*a) && alphanumeric(*b))
        && bytes.iter().all(|b| alphanumeric(*b) || *b == b'-')
}

fn wordlike(name: &str) -> bool {
    let bytes = name.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(a), Some(b)) if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_kubernetes() {
        let check = |messages: Vec<String>, expected: &str| assert_eq!(messages, [expected]);
        check(dns1123_label("a.b"), "must not contain dots");
        check(dns1123_label(&"a".repeat(64)), "must be no more than 63 characters");
        check(port_number(0), "must be between 1 and 65535, inclusive");
        check(ip_address("010.0.0.1"), "must not have leading 0s");
        check(ip_address("x"), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        check(ip_address("2001:DB8::1"), "must be in canonical form (\"2001:db8::1\")");
        check(path_segment("."), "may not be '.'");
    }

    #[test]
    fn names_are_judged_as_kubernetes_judges_them() {
        let check =
            |rule: fn(&str) -> Vec<String>, name: &str, sound: bool| assert_eq!(rule(name).is_empty(), sound, "{name}");
        check(dns1123_label, "a-1", true);
        check(dns1123_label, "a.b", false);
        check(dns1123_label, "-a", false);
        check(dns1123_label, "", false);
        check(dns1123_subdomain, "a.b-c", true);
        check(dns1123_subdomain, "a..b", false);
        check(dns1123_subdomain, "A", false);
        check(dns1035_label, "1a", false);
        check(dns1035_label, "a1", true);
        check(port_name, "http", true);
        check(port_name, "80", false);
        check(qualified_name, "example.com/Name_1", true);
        check(qualified_name, "a/b/c", false);
        check(qualified_name, "/x", false);
        check(label_value, "", true);
        check(label_value, "a b", false);
        check(config_key, "..x", false);
        check(config_key, "a.b_c-d", true);
        check(env_name, "A=B", false);
        check(env_name, "a.b-c d", true);
        check(path_segment, "system:node", true);
        check(path_segment, "a/b", false);
        check(wildcard_subdomain, "*.example.com", true);
        check(wildcard_subdomain, "*example.com", false);
        check(percent, "25%", true);
        check(percent, "%", false);
        check(ip_address, "10.0.0.1", true);
        check(ip_address, "2001:db8::1", true);
        check(ip_address, "2001:DB8::1", false);
        check(ip_address, "::ffff:10.0.0.1", false);
        check(legacy_ip_address, "2001:DB8::1", true);
        check(legacy_ip_address, "010.0.0.1", false);
        check(cidr, "10.0.0.0/8", true);
        check(cidr, "10.0.0.1/8", false);
        check(cidr, "10.0.0.0/33", false);
        check(cidr, "10.0.0.0/08", false);
        check(cidr, "0.0.0.0/0", true);
        check(cidr, "2001:db8::/32", true);
    }
}
