//! The order of a merged list: items that the patch names stand in its order, the server's own stay where they are among
//! those that both have.

use serde_json::Value;

/// Whether two items are the same one: by merge key, or by value without one.
pub(super) fn same(a: &Value, b: &Value, merge_key: Option<&str>) -> bool {
    match merge_key {
        Some(key) => a.get(key) == b.get(key),
        None => a == b,
    }
}

fn place(items: &[Value], item: &Value, merge_key: Option<&str>) -> Option<usize> {
    items.iter().position(|other| same(other, item, merge_key))
}

/// Orders `merged` by `wanted` (the order of the client) and `before` (the server's list until now).
pub(super) fn normalize(merged: Vec<Value>, wanted: &[Value], before: &[Value], merge_key: Option<&str>) -> Vec<Value> {
    let (mut named, mut own): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(wanted, item, merge_key).is_some());
    let rank = |items: &[Value], item: &Value| place(items, item, merge_key).unwrap_or(usize::MAX);
    named.sort_by_key(|item| rank(wanted, item));
    own.sort_by_key(|item| rank(before, item));

    let mut ordered = Vec::with_capacity(named.len() + own.len());
    let mut own = own.into_iter().peekable();
    for item in named {
        // The server's own item goes first only when both were there and it stood in front.
        let bound = place(before, &item, merge_key);
        while let Some(first) = own.next_if(
            |first| matches!((place(before, first, merge_key), bound), (Some(first), Some(bound)) if first < bound),
        ) {
            ordered.push(first);
        }
        ordered.push(item);
    }
    ordered.extend(own);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_orders_what_it_names_and_the_server_keeps_the_rest() {
        let list = |text: &str| text.chars().map(|c| Value::String(c.to_string())).collect::<Vec<_>>();
        let check = |merged: &str, wanted: &str, before: &str, expected: &str| {
            assert_eq!(
                normalize(list(merged), &list(wanted), &list(before), None),
                list(expected),
                "{merged} by {wanted}"
            );
        };
        check("abc", "cba", "abc", "cba");
        check("axb", "ba", "axb", "xba");
        check("axb", "ab", "axb", "axb");
        check("xab", "ab", "xab", "xab");
        check("xyc", "c", "xy", "cxy");
        check("abx", "", "abx", "abx");
    }
}
