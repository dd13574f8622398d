//! `trireme.v1` on the API port, with the client that other programs use.

#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api_client::{Client, Error, Freshness, Options, Tls, v1};
use tests_e2e::cluster::Cluster;

/// A client of some masters, by their index.
fn client(cluster: &Cluster, masters: &[usize]) -> Result<Client> {
    let read = |name: &str| std::fs::read_to_string(cluster.dir().join(name));
    let tls = Tls { ca_pem: read("ca.crt")?, cert_pem: read("admin.crt")?, key_pem: read("admin.key")? };
    let masters = masters.iter().map(|index| cluster.api(*index).to_string()).collect();
    Ok(Client::new(&Options { masters, tls: Some(tls), deadline: Duration::from_secs(20) })?)
}

#[tokio::test]
async fn the_keyspace_is_served_by_every_master_and_through_the_death_of_one() -> Result<()> {
    let cluster = Cluster::up(3, 0)?;
    let all = client(&cluster, &[0, 1, 2])?;
    reads_and_writes(&cluster, &all).await?;
    objects_are_read_but_not_written(&all).await?;
    strangers_are_refused(&cluster).await?;
    a_watch_goes_on_at_another_master(&cluster, &all).await
}

async fn reads_and_writes(cluster: &Cluster, all: &Client) -> Result<()> {
    let first = all.put("/app/a", "1").await?;
    for index in 0..3 {
        let (entry, revision) = client(cluster, &[index])?.get("/app/a", Freshness::Linearizable).await?;
        let entry = entry.context("it was written")?;
        assert_eq!((entry.value.as_ref(), entry.mod_revision), (&b"1"[..], first), "at master {index}");
        assert!(revision >= first);
    }
    assert_eq!(all.put_at("/app/a", "2", first + 1).await?, None, "another revision");
    let second = all.put_at("/app/a", "2", first).await?.context("the right revision")?;
    let (past, _) = all.get("/app/a", Freshness::Exact(first)).await?;
    assert_eq!(past.context("it was there")?.value.as_ref(), b"1");
    for number in 0..300 {
        all.put(format!("/app/many/{number:03}"), vec![b'x'; 16_000]).await?;
    }
    let (entries, _) = all.list("/app/many/", Freshness::Linearizable).collect().await?;
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.clone()).collect();
    assert!(keys.len() == 300 && keys.is_sorted(), "{} keys", keys.len());
    assert!(all.delete("/app/a").await? && !all.delete("/app/a").await?);
    let floor = all.compact(second).await?;
    assert!(matches!(all.compact(second).await, Err(Error::Compacted { floor: at }) if at == floor));
    assert!(matches!(all.get("/app/a", Freshness::Exact(first)).await, Err(Error::Compacted { .. })));
    Ok(())
}

async fn objects_are_read_but_not_written(all: &Client) -> Result<()> {
    let key = "/registry/core/namespaces/default";
    let (entry, _) = all.get(key, Freshness::Linearizable).await?;
    let entry = entry.context("every cluster has it")?;
    let object: serde_json::Value = serde_json::from_slice(&entry.value)?;
    assert_eq!(object["metadata"]["resourceVersion"], entry.mod_revision.to_string());
    let refused = all.put(key, "{}").await;
    assert_eq!(refused.err().and_then(|e| e.code()), Some(tonic::Code::PermissionDenied));
    Ok(())
}

async fn strangers_are_refused(cluster: &Cluster) -> Result<()> {
    let ca = std::fs::read_to_string(cluster.dir().join("ca.crt"))?;
    let tls = tonic::transport::ClientTlsConfig::new().ca_certificate(tonic::transport::Certificate::from_pem(ca));
    let channel = tonic::transport::Endpoint::from_shared(format!("https://{}", cluster.api(0)))?
        .tls_config(tls)?
        .connect()
        .await?;
    let mut store = v1::store_client::StoreClient::new(channel.clone());
    let request = v1::GetRequest { key: "/app/a".into(), ..Default::default() };
    assert_eq!(store.get(request).await.err().map(|s| s.code()), Some(tonic::Code::Unauthenticated));
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let request = tonic_health::pb::HealthCheckRequest { service: "trireme.v1.Store".to_owned() };
    assert_eq!(health.check(request).await?.into_inner().status, 1, "health is for everybody");
    let mut reflection = tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(channel);
    let none = tokio_stream::empty::<tonic_reflection::pb::v1::ServerReflectionRequest>();
    let refused = reflection.server_reflection_info(none).await;
    assert_eq!(refused.err().map(|s| s.code()), Some(tonic::Code::Unauthenticated));
    Ok(())
}

async fn a_watch_goes_on_at_another_master(cluster: &Cluster, all: &Client) -> Result<()> {
    let mut watch = all.watch("/watched/", None);
    while watch.progress().is_none() {
        watch.next().await?;
    }
    let writer = {
        let all = all.clone();
        tokio::spawn(async move {
            let mut written = BTreeMap::new();
            for number in 0..200_u32 {
                // The outcome of the write that the death meets may be unknown: look, then.
                let key = format!("/watched/{number}");
                let revision = match all.put(key.clone(), "v").await {
                    Ok(revision) => revision,
                    Err(Error::OutcomeUnknown(_)) => match all.get(key.clone(), Freshness::Linearizable).await?.0 {
                        Some(entry) => entry.mod_revision,
                        None => all.put(key.clone(), "v").await?,
                    },
                    Err(error) => return Err(error),
                };
                written.insert(revision, key);
            }
            Ok::<_, Error>(written)
        })
    };
    let mut seen = BTreeMap::new();
    let mut killed = false;
    while seen.len() < 200 {
        for event in tokio::time::timeout(Duration::from_secs(20), watch.next()).await.context("a silent watch")?? {
            let entry = event.entry.context("an event of something")?;
            if seen.last_key_value().is_some_and(|(last, _)| *last >= entry.mod_revision) {
                bail!("revision {} after {:?}", entry.mod_revision, seen.last_key_value());
            }
            seen.insert(entry.mod_revision, String::from_utf8_lossy(&entry.key).into_owned());
        }
        if seen.len() > 50 && !killed {
            killed = true;
            cluster.kill(&format!("m{}", cluster.leader().await? + 1))?;
        }
    }
    assert_eq!(writer.await??, seen);
    Ok(())
}
