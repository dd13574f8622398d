//! What may differ between two runs of the same command: ids, terms, sizes, hashes, times, ports.

/// Numbers that follow these names differ from run to run and from server to server.
const NUMBERS: &[&str] = &[
    "cluster_id",
    "member_id",
    "raft_term",
    "ClusterID",
    "MemberID",
    "RaftTerm",
    "RaftIndex",
    "RaftAppliedIndex",
    "ID",
    "TTL",
    "ttl",
    "leader",
    "Leader",
    "dbSize",
    "dbSizeInUse",
    "dbSizeQuota",
    "DBSize",
    "DBSizeInUse",
    "DBSizeQuota",
    "raftIndex",
    "raftTerm",
    "raftAppliedIndex",
    "hash",
    "Hash",
    "lease",
    "Lease",
];

/// The line with what may differ replaced by words.
pub(super) fn line(line: &str) -> String {
    let tokens = tokens(line);
    let mut out = String::new();
    let mut name = "";
    for (index, token) in tokens.iter().enumerate() {
        let is_word = token.starts_with(|c: char| c.is_ascii_alphanumeric());
        let before = |back: usize| index.checked_sub(back).map_or("", |at| tokens[at]);
        let follows_loopback = before(1) == ":" && before(2) == "127.0.0.1";
        out.push_str(match *token {
            _ if !is_word => token,
            _ if follows_loopback => "PORT",
            _ if is_number(token) && NUMBERS.contains(&name) && *token != "0" => "N",
            _ if is_duration(token) => "DURATION",
            _ if is_id(token) => "ID",
            // Members of etcd have ids at random, Trireme's are counted.
            _ if is_number(token) && before(2) == "Member" => "ID",
            _ if is_number(token) && is_member_line(&tokens[index + 1..]) && index == 0 => "ID",
            _ if is_number(token) && line.starts_with("Leadership transferred") => "ID",
            _ => token,
        });
        if is_word && !is_number(token) {
            name = token;
        }
    }
    out
}

/// Words (with dots within) and what stands between them, character by character.
fn tokens(line: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut start = 0;
    let in_word = |c: char| c.is_alphanumeric() || c == '.' || c == '_';
    let chars: Vec<(usize, char)> = line.char_indices().collect();
    for (position, (at, c)) in chars.iter().enumerate() {
        let end = at + c.len_utf8();
        let goes_on = in_word(*c) && chars.get(position + 1).is_some_and(|(_, next)| in_word(*next));
        if !goes_on {
            tokens.push(&line[start..end]);
            start = end;
        }
    }
    tokens
}

fn is_number(token: &str) -> bool {
    token.bytes().all(|b| b.is_ascii_digit())
}

fn is_id(token: &str) -> bool {
    token.len() >= 12 && token.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_duration(token: &str) -> bool {
    let digits = token.trim_end_matches(|c: char| c.is_alphabetic());
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && matches!(&token[digits.len()..], "s" | "ms" | "µs" | "ns")
}

fn is_member_line(rest: &[&str]) -> bool {
    rest.concat().starts_with(", started")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_becomes_a_word() {
        let check = |text: &str, expected: &str| assert_eq!(line(text), expected);
        check(r#"{"header":{"cluster_id":1484,"revision":2}}"#, r#"{"header":{"cluster_id":N,"revision":2}}"#);
        check("lease 694d9a1f2b3c4d5e granted with TTL(60s)", "lease ID granted with TTL(DURATION)");
        check("8211f1d0f64f3269, started, m1, http://127.0.0.1:2380", "ID, started, m1, http://127.0.0.1:PORT");
        check("1, started, m1", "ID, started, m1");
        check("took = 2.3001ms", "took = DURATION");
        check(r#""Lease" : 0"#, r#""Lease" : 0"#);
        check("key 123", "key 123");
    }
}
