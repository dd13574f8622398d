//! Loads that live on streams: watches and renewals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use hdrhistogram::Histogram;
use pb::watch_request::RequestUnion;
use prost::Message;

use super::client::framed;
use super::load::{Load, Sample, sample};
use super::subject::{Members, Subject};
use crate::usage;

/// Streams of watches.
const STREAMS: usize = 100;
/// Watches on each.
const WATCHES: usize = 10;
/// Streams of renewals.
const RENEWAL_STREAMS: usize = 100;
/// Leases on each.
const LEASES: usize = 20;

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Events delivered to 1,000 watches of one key on 100 streams, from a writer that never waits for them. The latency is from before
/// the put to the event's arrival.
pub async fn watches(subject: &Subject, load: Load) -> Result<Sample> {
    let connections = subject.connect(Members::All, STREAMS).await?;
    let key = Bytes::from_static(b"bench/watched");
    let (start, end) = (Instant::now() + load.warm_up, Instant::now() + load.warm_up + load.duration);
    let delivered = Arc::new(AtomicU64::new(0));
    let mut readers = Vec::new();
    for connection in &connections {
        let create = pb::WatchCreateRequest { key: key.clone(), ..Default::default() };
        let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let (requests, mut answers) =
            connection.stream("/etcdserverpb.Watch/Watch", vec![framed(&request); WATCHES]).await?;
        for _ in 0..WATCHES {
            answers.next().await?;
        }
        let delivered = delivered.clone();
        readers.push(tokio::spawn(async move {
            let _requests = requests;
            let mut latencies = Histogram::<u64>::new(3)?;
            while let Ok(answer) = tokio::time::timeout_at(end.into(), answers.next()).await {
                let response = pb::WatchResponse::decode(answer?)?;
                for event in &response.events {
                    let value = event.kv.as_ref().map(|kv| kv.value.clone()).unwrap_or_default();
                    let sent = u64::from_be_bytes(value.get(..8).context("a stamp")?.try_into()?);
                    if Instant::now() >= start {
                        latencies.record(now_us().saturating_sub(sent).max(1))?;
                    }
                }
                delivered.fetch_add(response.events.len() as u64, Ordering::Relaxed);
            }
            anyhow::Ok(latencies)
        }));
    }
    let writer = subject.connect(Members::Leader, 1).await?.remove(0);
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    let writing = tokio::spawn(async move {
        while !stopping.load(Ordering::Relaxed) {
            let mut value = vec![0; 256];
            value[..8].copy_from_slice(&now_us().to_be_bytes());
            let put = pb::PutRequest { key: key.clone(), value: value.into(), ..Default::default() };
            writer.raw("/etcdserverpb.KV/Put", framed(&put)).await?;
        }
        anyhow::Ok(())
    });
    tokio::time::sleep_until(start.into()).await;
    let (before, first) = (usage::of(&subject.pids)?, delivered.load(Ordering::Relaxed));
    tokio::time::sleep_until(end.into()).await;
    let (after, last) = (usage::of(&subject.pids)?, delivered.load(Ordering::Relaxed));
    stop.store(true, Ordering::Relaxed);
    writing.await??;
    let mut latencies = Histogram::<u64>::new(3)?;
    for reader in readers {
        latencies.add(reader.await??)?;
    }
    Ok(sample(last - first, load.duration, after.cpu.saturating_sub(before.cpu), &latencies))
}

/// Renewals of 2,000 leases over 100 streams: every stream sends one for each of its leases, and again when all are
/// answered.
pub async fn renewals(subject: &Subject, load: Load) -> Result<Sample> {
    let connections = subject.connect(Members::All, RENEWAL_STREAMS).await?;
    let mut granted = Vec::new();
    for connection in &connections {
        let mut ids = Vec::new();
        for _ in 0..LEASES {
            let request = pb::LeaseGrantRequest { ttl: 600, id: 0 };
            let lease: pb::LeaseGrantResponse = connection.call("/etcdserverpb.Lease/LeaseGrant", &request).await?;
            ids.push(lease.id);
        }
        granted.push(ids);
    }
    let (start, end) = (Instant::now() + load.warm_up, Instant::now() + load.warm_up + load.duration);
    let renewed = Arc::new(AtomicU64::new(0));
    let mut streams = Vec::new();
    for (connection, ids) in connections.iter().zip(&granted) {
        let all: Vec<Bytes> = ids.iter().map(|id| framed(&pb::LeaseKeepAliveRequest { id: *id })).collect();
        let all = Bytes::from(all.concat());
        let (requests, mut answers) =
            connection.stream("/etcdserverpb.Lease/LeaseKeepAlive", vec![all.clone()]).await?;
        let renewed = renewed.clone();
        streams.push(tokio::spawn(async move {
            let mut latencies = Histogram::<u64>::new(3)?;
            let mut sent = Instant::now();
            loop {
                for _ in 0..LEASES {
                    let answer = pb::LeaseKeepAliveResponse::decode(answers.next().await?)?;
                    anyhow::ensure!(answer.ttl > 0, "a lease is gone");
                }
                renewed.fetch_add(LEASES as u64, Ordering::Relaxed);
                if sent >= start {
                    latencies.record(u64::try_from(sent.elapsed().as_micros())?.max(1))?;
                }
                if Instant::now() >= end {
                    return anyhow::Ok(latencies);
                }
                sent = Instant::now();
                requests.send(all.clone()).ok().context("the stream is open")?;
            }
        }));
    }
    tokio::time::sleep_until(start.into()).await;
    let (before, first) = (usage::of(&subject.pids)?, renewed.load(Ordering::Relaxed));
    tokio::time::sleep_until(end.into()).await;
    let (after, last) = (usage::of(&subject.pids)?, renewed.load(Ordering::Relaxed));
    let mut latencies = Histogram::<u64>::new(3)?;
    for stream in streams {
        latencies.add(stream.await??)?;
    }
    for (connection, ids) in connections.iter().zip(granted) {
        for id in ids {
            let request = pb::LeaseRevokeRequest { id };
            let _: pb::LeaseRevokeResponse = connection.call("/etcdserverpb.Lease/LeaseRevoke", &request).await?;
        }
    }
    Ok(sample(last - first, load.duration, after.cpu.saturating_sub(before.cpu), &latencies))
}

/// How long a load runs, from what the command line says.
pub fn load(clients: usize, seconds: f64) -> Load {
    Load { clients, warm_up: Duration::from_secs_f64(seconds / 4.0), duration: Duration::from_secs_f64(seconds) }
}
