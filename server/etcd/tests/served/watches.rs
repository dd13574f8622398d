//! Watches.

use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use pb::watch_create_request::FilterType;
use pb::watch_request::RequestUnion;

use crate::client::{Stream, World};

fn key(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn put(world: &World, name: &str, value: &str) {
    let request = pb::PutRequest { key: key(name), value: key(value), ..Default::default() };
    let _: pb::PutResponse = world.call("/etcdserverpb.KV/Put", request).await.unwrap();
}

async fn delete(world: &World, name: &str) {
    let request = pb::DeleteRangeRequest { key: key(name), ..Default::default() };
    let _: pb::DeleteRangeResponse = world.call("/etcdserverpb.KV/DeleteRange", request).await.unwrap();
}

async fn open(world: &World) -> Stream {
    world.stream("/etcdserverpb.Watch/Watch").await
}

fn create(stream: &Stream, request: pb::WatchCreateRequest) {
    stream.send(pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(request)) });
}

fn of(name: &str, end: &str) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { key: key(name), range_end: key(end), ..Default::default() }
}

fn from(start_revision: i64) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { start_revision, ..of("\0", "\0") }
}

/// A response in a line.
fn line(response: &pb::WatchResponse) -> String {
    let mut line = format!("#{}", response.watch_id);
    for (is, word) in [(response.created, "created"), (response.canceled, "canceled"), (response.fragment, "…")] {
        if is {
            line += &format!(" {word}");
        }
    }
    if response.compact_revision != 0 {
        line += &format!(" compacted:{}", response.compact_revision);
    }
    line += &response.cancel_reason;
    for event in &response.events {
        let kv = event.kv.as_ref().unwrap();
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        line += match event.r#type {
            0 => format!(" {}={}@{}", text(&kv.key), text(&kv.value), kv.mod_revision),
            _ => format!(" -{}@{}", text(&kv.key), kv.mod_revision),
        }
        .as_str();
        if let Some(previous) = &event.prev_kv {
            line += &format!("({})", text(&previous.value));
        }
    }
    line
}

async fn next(stream: &mut Stream) -> String {
    line(&stream.next().await.expect("a response"))
}

/// Takes responses until so many events of a watch have come.
async fn events(stream: &mut Stream, count: usize) -> String {
    let mut all = Vec::new();
    while all.len() < count {
        let response: pb::WatchResponse = stream.next().await.expect("a response");
        for event in response.events {
            all.push(line(&pb::WatchResponse { events: vec![event], ..Default::default() })[3..].to_owned());
        }
    }
    all.join(" ")
}

#[tokio::test]
async fn a_watch_sees_what_comes_after_it() {
    let world = World::new();
    put(&world, "a", "0").await;
    let mut stream = open(&world).await;
    create(&stream, of("a", ""));
    assert_eq!(next(&mut stream).await, "#0 created");
    put(&world, "b", "1").await;
    put(&world, "a", "1").await;
    delete(&world, "a").await;
    assert_eq!(events(&mut stream, 2).await, "a=1@4 -a@5");
}

#[tokio::test]
async fn a_watch_from_the_past_sees_all_of_it_and_goes_on() {
    let world = World::new();
    for value in ["1", "2", "3"] {
        put(&world, "a", value).await;
    }
    let mut stream = open(&world).await;
    create(&stream, pb::WatchCreateRequest { prev_kv: true, ..from(3) });
    assert_eq!(next(&mut stream).await, "#0 created");
    assert_eq!(events(&mut stream, 2).await, "a=2@3(1) a=3@4(2)");
    put(&world, "b", "4").await;
    delete(&world, "a").await;
    assert_eq!(events(&mut stream, 2).await, "b=4@5 -a@6(3)");
}

#[tokio::test]
async fn many_watches_share_a_stream_each_with_its_own_filter() {
    let world = World::new();
    let mut stream = open(&world).await;
    create(&stream, pb::WatchCreateRequest { filters: vec![FilterType::Noput.into()], ..of("a", "b") });
    create(&stream, pb::WatchCreateRequest { filters: vec![FilterType::Nodelete.into()], watch_id: 5, ..of("a", "c") });
    create(&stream, of("a", "\0"));
    create(&stream, pb::WatchCreateRequest { watch_id: 5, ..of("a", "") });
    create(&stream, of("b", "a"));
    create(&stream, from(-1));
    assert_eq!(next(&mut stream).await, "#0 created");
    assert_eq!(next(&mut stream).await, "#5 created");
    assert_eq!(next(&mut stream).await, "#1 created");
    assert_eq!(next(&mut stream).await, "#-1 created canceledmvcc: duplicate watch ID provided on the WatchStream");
    assert_eq!(next(&mut stream).await, "#-1 created canceledmvcc: watcher range is empty");
    assert_eq!(next(&mut stream).await, "#-1 created canceledetcdserver: mvcc: required revision has been compacted");
    put(&world, "ab", "1").await;
    delete(&world, "ab").await;
    put(&world, "x", "1").await;
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let response: pb::WatchResponse = stream.next().await.unwrap();
        for event in &response.events {
            let one = pb::WatchResponse { events: vec![event.clone()], ..response.clone() };
            seen.push(line(&one));
        }
    }
    seen.sort();
    assert_eq!(seen, ["#0 -ab@3", "#1 -ab@3", "#1 ab=1@2", "#1 x=1@4", "#5 ab=1@2"]);
}

#[tokio::test]
async fn a_canceled_watch_is_silent() {
    let world = World::new();
    let mut stream = open(&world).await;
    create(&stream, from(0));
    assert_eq!(next(&mut stream).await, "#0 created");
    let cancel = RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: 0 });
    stream.send(pb::WatchRequest { request_union: Some(cancel) });
    assert_eq!(next(&mut stream).await, "#0 canceled");
    put(&world, "a", "1").await;
    create(&stream, of("a", ""));
    assert_eq!(next(&mut stream).await, "#1 created");
    put(&world, "a", "2").await;
    assert_eq!(next(&mut stream).await, "#1 a=2@3");
}

#[tokio::test]
async fn a_watch_of_what_is_forgotten_ends_with_the_floor() {
    let world = World::new();
    for value in ["1", "2", "3"] {
        put(&world, "a", value).await;
    }
    let request = pb::CompactionRequest { revision: 3, physical: false };
    let _: pb::CompactionResponse = world.call("/etcdserverpb.KV/Compact", request).await.unwrap();
    let mut stream = open(&world).await;
    create(&stream, from(2));
    assert_eq!(next(&mut stream).await, "#0 created");
    assert_eq!(next(&mut stream).await, "#0 canceled compacted:3");
    create(&stream, from(4));
    assert_eq!(next(&mut stream).await, "#1 created");
    assert_eq!(next(&mut stream).await, "#1 a=3@4");
}

#[tokio::test]
async fn progress_comes_after_every_event_that_it_covers() {
    let world = World::new();
    let mut stream = open(&world).await;
    create(&stream, of("a", ""));
    create(&stream, of("b", ""));
    for _ in 0..50 {
        put(&world, "a", "x").await;
    }
    stream.send(pb::WatchRequest { request_union: Some(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})) });
    let mut highest = 0;
    loop {
        let response: pb::WatchResponse = stream.next().await.unwrap();
        let revision = response.header.unwrap().revision;
        if response.watch_id == -1 {
            assert!(revision >= highest, "progress {revision} after events of {highest}");
            break;
        }
        highest = response.events.iter().map(|event| event.kv.as_ref().unwrap().mod_revision).max().unwrap_or(highest);
    }
}

#[tokio::test]
async fn nothing_is_behind_while_nobody_watches_and_the_first_watch_misses_nothing() {
    let world = World::new();
    let mut stream = open(&world).await;
    for round in 0..3 {
        for value in ["1", "2", "3"] {
            put(&world, "a", value).await;
        }
        let revision = 1 + (round + 1) * 3 + round;
        let (_, metrics) = world.page("/metrics").await;
        assert!(metrics.contains("trireme_etcd_watch_lag_revisions 0\n"), "{metrics}");
        let question = RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
        stream.send(pb::WatchRequest { request_union: Some(question) });
        let progress: pb::WatchResponse = stream.next().await.unwrap();
        assert_eq!((progress.watch_id, progress.header.unwrap().revision), (-1, revision));
        // One watch of the past, one of what comes.
        create(&stream, from(revision - 1));
        let id = round * 2;
        assert_eq!(next(&mut stream).await, format!("#{id} created"));
        assert_eq!(events(&mut stream, 2).await, format!("a=2@{} a=3@{revision}", revision - 1));
        create(&stream, of("b", ""));
        assert_eq!(next(&mut stream).await, format!("#{} created", id + 1));
        put(&world, "b", "4").await;
        assert_eq!(events(&mut stream, 2).await, format!("b=4@{0} b=4@{0}", revision + 1));
        for watch_id in [id, id + 1] {
            let cancel = RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id });
            stream.send(pb::WatchRequest { request_union: Some(cancel) });
            assert_eq!(next(&mut stream).await, format!("#{watch_id} canceled"));
        }
    }
}

#[tokio::test]
async fn large_responses_come_in_fragments_when_asked() {
    let world = World::new();
    let large = "x".repeat(1_000_000);
    for name in ["a", "b", "c"] {
        put(&world, name, &large).await;
    }
    let mut stream = open(&world).await;
    create(&stream, pb::WatchCreateRequest { fragment: true, ..from(2) });
    assert_eq!(next(&mut stream).await, "#0 created");
    let mut fragments = Vec::new();
    let mut keys = 0;
    while keys < 3 {
        let response: pb::WatchResponse = stream.next().await.unwrap();
        keys += response.events.len();
        fragments.push(response.fragment);
    }
    assert_eq!(fragments, [true, false]);
}

#[tokio::test]
async fn a_slow_reader_misses_nothing_and_holds_nobody_up() {
    let world = World::new();
    let (mut slow, mut quick) = (open(&world).await, open(&world).await);
    create(&slow, from(0));
    create(&quick, from(0));
    assert_eq!(next(&mut slow).await, "#0 created");
    assert_eq!(next(&mut quick).await, "#0 created");
    // Far more than may wait in one stream.
    let large = "x".repeat(100_000);
    for _ in 0..100 {
        put(&world, "a", &large).await;
        let response: pb::WatchResponse = quick.next().await.unwrap();
        assert_eq!(response.events.len(), 1);
    }
    let (_, metrics) = world.page("/metrics").await;
    let lag = metrics.lines().find_map(|line| line.strip_prefix("trireme_etcd_watch_lag_revisions "));
    assert!(lag.is_some_and(|lag| lag.parse::<u64>().unwrap() > 0), "{metrics}");
    let mut revisions = Vec::new();
    while revisions.len() < 100 {
        let response: pb::WatchResponse = slow.next().await.unwrap();
        revisions.extend(response.events.iter().map(|event| event.kv.as_ref().unwrap().mod_revision));
    }
    assert_eq!(revisions, (2..102).collect::<Vec<i64>>());
    put(&world, "b", "last").await;
    assert_eq!(events(&mut slow, 1).await, "b=last@102");
}

#[tokio::test]
async fn streams_end_when_the_face_stops() {
    let world = World::new();
    let mut stream = open(&world).await;
    create(&stream, from(0));
    assert_eq!(next(&mut stream).await, "#0 created");
    world.face.stop();
    let end = stream.next::<pb::WatchResponse>().await.unwrap_err().unwrap_err();
    assert_eq!((end.code, end.message.as_str()), (14, "etcdserver: server stopped"));
}
