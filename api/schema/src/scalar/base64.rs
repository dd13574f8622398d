//! Checks standard base64 as Go's decoder does: padded, line breaks ignored.

/// Where the text stops being base64; `None` when all of it is.
pub(crate) fn invalid_at(text: &str) -> Option<usize> {
    let mut symbols = 0_usize;
    let mut padding = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\r' | b'\n' => {}
            b'=' if symbols % 4 >= 2 && symbols % 4 + padding < 4 => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => symbols += 1,
            _ => return Some(at),
        }
    }
    match (symbols + padding) % 4 {
        0 => None,
        // Go points at the start of a group without padding, and behind one with too little.
        open if padding == 0 => Some(text.len() - open),
        _ => Some(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_decodes_is_valid() {
        let check = |text: &str, expected: Option<usize>| assert_eq!(invalid_at(text), expected, "{text:?}");
        check("", None);
        check("YQ==", None);
        check("YWI=", None);
        check("YWJj", None);
        check("YWJj\nYWJj\n", None);
        check("YQ=", Some(3));
        check("YQ", Some(0));
        check("Y=", Some(1));
        check("YQ==YQ==", Some(4));
        check("YWJj====", Some(4));
        check("not base64!", Some(3));
    }
}
