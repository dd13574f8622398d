//! Field selectors of queries.

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// `metadata.name`
    pub field: String,
    /// What it is compared with.
    pub value: String,
    /// Whether it must be equal, or must not.
    pub equal: bool,
}

/// Reads `metadata.name=x,status.phase!=Running`; `\,`, `\=` and `\\` stand for what follows the backslash.
///
/// # Errors
/// With the message of Kubernetes' parser.
pub fn parse_fields(text: &str) -> Result<Vec<FieldTerm>, String> {
    split(text)
        .into_iter()
        .filter(|term| !term.is_empty())
        .map(|term| {
            let operator = (0..term.len())
                .filter(|at| term.is_char_boundary(*at))
                .find_map(|at| ["!=", "==", "="].into_iter().find(|o| term[at..].starts_with(o)).map(|o| (at, o)));
            let Some((at, operator)) = operator else {
                return Err(format!("invalid selector: '{text}'; can't understand '{term}'"));
            };
            let value = unescape(&term[at + operator.len()..])?;
            Ok(FieldTerm { field: term[..at].to_owned(), value, equal: operator != "!=" })
        })
        .collect()
}

/// Splits at commas that no backslash precedes.
fn split(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => out.push(next),
                Some(next) => return Err(format!("invalid field selector: invalid escape sequence: \\{next}")),
                None => return Err("invalid field selector: invalid escape sequence: \\".to_owned()),
            },
            ',' | '=' => return Err(format!("invalid field selector: unescaped character in value: {c}")),
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_selectors_are_read_as_kubernetes_reads_them() {
        let check = |text: &str, expected: &[(&str, &str, bool)]| {
            let terms = parse_fields(text).unwrap();
            let terms: Vec<(&str, &str, bool)> =
                terms.iter().map(|t| (t.field.as_str(), t.value.as_str(), t.equal)).collect();
            assert_eq!(terms, expected, "{text}");
        };
        check("", &[]);
        check(
            "metadata.name=x,status.phase!=Running",
            &[("metadata.name", "x", true), ("status.phase", "Running", false)],
        );
        check("a==b", &[("a", "b", true)]);
        check(r"a=b\,c\=d", &[("a", "b,c=d", true)]);
        assert_eq!(parse_fields("x,y=z").unwrap_err(), "invalid selector: 'x,y=z'; can't understand 'x'");
    }
}
