//! The promises of a watch, judged one by one as etcd's robustness tests do: ordered, unique, reliable, resumable,
//! bookmarked, and true to what was written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Checker, Evidence, Verdict};
use crate::history::Op;

/// The row.
pub static CHECKER: Checker = Checker {
    name: "watches",
    text: "watches are ordered, unique, reliable, resumable on any master, bookmarked, and true",
    check,
};

/// Masters forget by themselves what is older.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
/// A round's beginning and end, which its length leaves out.
const AROUND: Duration = Duration::from_secs(60);

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    kind: String,
    key: String,
    value: Option<u64>,
}

/// One stream.
struct Stream<'a> {
    op: &'a Op,
    from: u64,
    last: u64,
    events: Vec<(u64, Event)>,
    bookmarks: Vec<(usize, u64)>,
    too_old: bool,
}

fn read(op: &Op) -> Option<Stream<'_>> {
    let result = op.result()?;
    let events = result["events"].as_array()?.iter().filter_map(|event| {
        let kind = event[0].as_str()?.to_owned();
        let key = event[2].as_str()?.to_owned();
        Some((event[1].as_u64()?, Event { kind, key, value: event[3].as_u64() }))
    });
    let bookmarks =
        result["bookmarks"].as_array()?.iter().filter_map(|b| Some((b[0].as_u64()? as usize, b[1].as_u64()?)));
    Some(Stream {
        op,
        from: op.input["from"].as_u64()?,
        last: result["last"].as_u64()?,
        too_old: result["too-old"] == true,
        events: events.collect(),
        bookmarks: bookmarks.collect(),
    })
}

fn check(evidence: &Evidence) -> Verdict {
    let streams: Vec<Stream<'_>> = evidence.of("watch").filter(|op| op.f == "watch").filter_map(read).collect();
    let (mut verdict, floor) = (Verdict::default(), floor(evidence));
    for stream in &streams {
        ordered(stream, &mut verdict);
        bookmarked(stream, &mut verdict);
        arrived(stream, &mut verdict);
        kept(stream, floor, &mut verdict);
    }
    let known = agreed(&streams, &mut verdict);
    for stream in &streams {
        reliable(stream, &known, &mut verdict);
    }
    truthful(evidence, &streams, &known, &mut verdict);
    alternating(&streams, &known, &mut verdict);
    let events: usize = streams.iter().map(|stream| stream.events.len()).sum();
    if !streams.is_empty() {
        verdict.looked_at = format!("{events} events on {} streams, {} revisions", streams.len(), known.len());
    }
    verdict
}

/// The stream's history with no more than a few of its events.
fn shown(stream: &Stream<'_>, around: u64) -> Op {
    let mut op = stream.op.clone();
    if let crate::history::End::Ok(result) = &mut op.end
        && let Some(events) = result["events"].as_array_mut()
    {
        events.retain(|event| event[1].as_u64().is_some_and(|revision| revision.abs_diff(around) < 20));
    }
    op
}

/// Revisions go up, from above where the stream began: nothing out of order, nothing twice.
fn ordered(stream: &Stream<'_>, verdict: &mut Verdict) {
    let mut last = stream.from;
    for (revision, event) in &stream.events {
        if *revision <= last {
            let text = format!("an event of {} at revision {revision} came when {last} had been reached", event.key);
            verdict.find(text, vec![shown(stream, *revision)]);
        }
        last = last.max(*revision);
    }
}

/// A bookmark lies behind no event before it, and before every event after it.
fn bookmarked(stream: &Stream<'_>, verdict: &mut Verdict) {
    for (before, revision) in &stream.bookmarks {
        let late = stream.events.iter().skip(*before).find(|(other, _)| other <= revision);
        let early = stream.events.iter().take(*before).find(|(other, _)| other > revision);
        if let Some((other, event)) = late.or(early) {
            let text = format!("a bookmark says {revision}, and an event of {} has revision {other}", event.key);
            verdict.find(text, vec![shown(stream, *revision)]);
        }
    }
}

/// Only what was compacted is too old to be watched from.
fn kept(stream: &Stream<'_>, floor: u64, verdict: &mut Verdict) {
    if stream.too_old && stream.last >= floor {
        let text = format!("m{} has forgotten what came after {}", stream.op.master + 1, stream.last);
        verdict.find(text, vec![shown(stream, stream.last)]);
    }
}

/// History is kept from here on for certain: nobody asked for more to be forgotten, nor did time.
fn floor(evidence: &Evidence) -> u64 {
    if evidence.length + AROUND > FORGOTTEN_AFTER {
        return u64::MAX;
    }
    evidence.of("compaction").filter_map(|op| op.input.as_u64()).max().unwrap_or(0)
}

/// A stream that waited for a revision saw it.
fn arrived(stream: &Stream<'_>, verdict: &mut Verdict) {
    if let Some(until) = stream.op.input["until"].as_u64().filter(|until| !stream.too_old && stream.last < *until) {
        let text = format!("m{} showed changes up to {} only, and not {until}", stream.op.master + 1, stream.last);
        verdict.find(text, vec![shown(stream, stream.last)]);
    }
}

/// Every event by revision; streams that disagree on one are findings.
fn agreed(streams: &[Stream<'_>], verdict: &mut Verdict) -> BTreeMap<u64, Event> {
    let mut known: BTreeMap<u64, (Event, usize)> = BTreeMap::new();
    for (number, stream) in streams.iter().enumerate() {
        for (revision, event) in &stream.events {
            let (first, by) = known.entry(*revision).or_insert_with(|| (event.clone(), number));
            if first != event {
                let text = format!("revision {revision} is told in two ways");
                verdict.find(text, vec![shown(&streams[*by], *revision), shown(stream, *revision)]);
            }
        }
    }
    known.into_iter().map(|(revision, (event, _))| (revision, event)).collect()
}

/// Between its beginning and its last event a stream shows all that any other shows.
fn reliable(stream: &Stream<'_>, known: &BTreeMap<u64, Event>, verdict: &mut Verdict) {
    let mut seen = stream.events.iter().map(|(revision, _)| *revision).collect::<Vec<_>>();
    seen.sort_unstable();
    if stream.last <= stream.from {
        return;
    }
    for (revision, event) in known.range(stream.from + 1..=stream.last) {
        if seen.binary_search(revision).is_err() {
            let text = format!(
                "m{} left out revision {revision} ({} {}) from a watch of {}..{}",
                stream.op.master + 1,
                event.kind,
                event.key,
                stream.from,
                stream.last
            );
            verdict.find(text, vec![shown(stream, *revision)]);
        }
    }
}

/// What was acknowledged as written is what watches show, and they show nothing that nobody wrote.
fn truthful(evidence: &Evidence, streams: &[Stream<'_>], known: &BTreeMap<u64, Event>, verdict: &mut Verdict) {
    let Some(from) = streams.iter().map(|stream| stream.from).min() else { return };
    let until = streams.iter().map(|stream| stream.last).max().unwrap_or(from);
    let mut written: BTreeMap<u64, &Op> = BTreeMap::new();
    let writes = || evidence.of("watch").filter(|op| op.f == "create" || op.f == "write");
    for op in writes() {
        written.extend(op.input.as_u64().map(|value| (value, op)));
        let Some(revision) = op.result().and_then(|result| result["revision"].as_u64()) else { continue };
        let covered = streams.iter().any(|stream| stream.from < revision && revision <= stream.last);
        match known.get(&revision) {
            None if covered && revision <= until => {
                verdict.find(format!("no watch shows the write at revision {revision}"), vec![op.clone()]);
            }
            Some(event) if event.key != op.key || event.value != op.input.as_u64() => {
                verdict.find(format!("watches show another write at revision {revision}"), vec![op.clone()]);
            }
            _ => {}
        }
    }
    for (revision, event) in known.iter().filter(|(_, event)| event.kind != "DELETED") {
        let by = event.value.and_then(|value| written.get(&value));
        if by.is_none_or(|op| op.failed() || op.key != event.key) {
            let text = format!("revision {revision} of {} shows what nobody wrote: {:?}", event.key, event.value);
            verdict.find(text, by.map(|op| (*op).clone()).into_iter().collect());
        }
    }
}

/// An object is added when it was not there, and modified or deleted when it was.
fn alternating(streams: &[Stream<'_>], known: &BTreeMap<u64, Event>, verdict: &mut Verdict) {
    let mut there: BTreeMap<&str, bool> = BTreeMap::new();
    let mut before = 0;
    for (revision, event) in known {
        // What no stream has followed through may hide a change.
        if !streams.iter().any(|stream| stream.from <= before && *revision <= stream.last) {
            there.clear();
        }
        before = *revision;
        let fits = match (there.get(event.key.as_str()), event.kind.as_str()) {
            // What was before the first event is not known.
            (None, _) => true,
            (Some(there), "ADDED") => !there,
            (Some(there), _) => *there,
        };
        if !fits {
            verdict.find(
                format!("{} {} at revision {revision} does not fit what was before", event.kind, event.key),
                Vec::new(),
            );
        }
        there.insert(&event.key, event.kind != "DELETED");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::history::End;

    /// Where it begins, its events' revisions, and its bookmarks.
    type Sketch<'a> = (u64, &'a [u64], &'a [(usize, u64)]);

    fn anomalies(streams: &[Sketch<'_>]) -> usize {
        let mut ops: Vec<Op> = Vec::new();
        let mut push = |f: &'static str, key: String, input: Value, end: Value| {
            ops.push(Op {
                process: 0,
                workload: "watch",
                f,
                key,
                input,
                master: 0,
                invoked: Duration::ZERO,
                completed: Some(Duration::ZERO),
                end: End::Ok(end),
            });
        };
        for revision in 1..10u64 {
            push("create", format!("k{revision}"), json!(revision), json!({"revision": revision}));
        }
        for (from, revisions, bookmarks) in streams {
            let events: Vec<Value> = revisions.iter().map(|r| json!(["ADDED", r, format!("k{r}"), r])).collect();
            let last = revisions.last().unwrap_or(from);
            let result = json!({"events": events, "bookmarks": bookmarks, "last": last});
            push("watch", "w".to_owned(), json!({"from": from, "until": Value::Null}), result);
        }
        check(&Evidence { ops, ..Evidence::default() }).anomalies.len()
    }

    #[test]
    fn each_promise_is_judged() {
        assert_eq!(anomalies(&[(1, &[2, 3, 4], &[(3, 4)]), (3, &[4], &[])]), 0);
        assert_eq!(anomalies(&[(1, &[2, 4, 3], &[])]), 1, "out of order");
        assert_eq!(anomalies(&[(1, &[2, 2], &[])]), 1, "twice");
        assert_eq!(anomalies(&[(2, &[2, 3], &[])]), 1, "repeated at resume");
        assert_eq!(anomalies(&[(1, &[2, 3, 4], &[]), (1, &[3, 4], &[])]), 1, "a gap");
        assert_eq!(anomalies(&[(1, &[2, 4], &[])]), 1, "a write that no watch shows");
        assert_eq!(anomalies(&[(1, &[2, 3], &[(1, 3)])]), 1, "a bookmark ahead of an event");
    }
}
