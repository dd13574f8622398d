//! What names may look like, with the messages of `k8s.io/apimachinery/pkg/util/validation`.

/// A lowercase RFC 1123 label: at most 63 characters.
pub fn dns1123_label(name: &str) -> Vec<String> {
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
                "a qualified name {NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
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
    if key == ".." || key.starts_with("..") {
        messages.push("must not start with '..'".to_owned());
    }
    messages
}

/// The name of an environment variable: any printable ASCII but `=`.
pub fn env_name(name: &str) -> Vec<String> {
    let sound = !name.is_empty() && name.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=');
    if sound {
        Vec::new()
    } else {
        vec![
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
                .to_owned(),
        ]
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
    }
}
