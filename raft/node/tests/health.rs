//! States that go astray, disks that are full, disks that stall.

#![allow(missing_docs)]

mod cluster;

use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::time::{Duration, Instant};

use cluster::{Cluster, Ends, PATIENCE, create, create_command, key, sees, until};
use raft_node::Limits;
use raft_state::port::{ProposeError, ReadLevel, Store, WhyRefused};
use raft_state::{Action, Command, Expect, ObjectCommand, Outcome};

/// Three members that may end without taking the test with them.
async fn mortals() -> (Cluster, Ends) {
    let (mut cluster, ends) = Cluster::of_mortals(3);
    cluster.start_all().await;
    (cluster, ends)
}

fn is_object(command: &Command) -> bool {
    matches!(command, Command::Object(_))
}

fn opens_an_office(command: &Command) -> bool {
    matches!(command, Command::OpenLeaseOffice { .. } | Command::OpenEpoch { .. })
}

fn mints_a_member(command: &Command) -> bool {
    matches!(command, Command::MintMember)
}

/// What lives is the same on all: an office that one of them has not seen opened, an id that it would give out once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_knows_another_office_or_member_is_fenced_within_a_second() {
    let opening = (opens_an_office as fn(&Command) -> bool, Command::OpenEpoch { holder: 1 });
    for (left_out, command) in [opening, (mints_a_member, Command::MintMember)] {
        let (cluster, ends) = mortals().await;
        let leader = cluster.leader().await;
        cluster.create_any(leader).await;
        let victim = cluster.follower().await;
        cluster.faults.lead_astray(victim, left_out);
        let at = Instant::now();
        let other = (1..=3).find(|id| *id != victim).expect("another");
        let opened = cluster.node(other).propose(vec![command.clone()], Instant::now() + PATIENCE).await;
        opened.expect("an outcome");
        let (who, why) = until("the fence", || ends.lock().expect("a list").first().cloned()).await;
        let after = at.elapsed();
        eprintln!("{command:?} left out: found after {after:?}");
        assert!(who == victim && why.contains("that of a majority"), "{who}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_state_differs_is_fenced_within_a_second_and_rebuilt() {
    for leads in [false, true] {
        let (mut cluster, ends) = mortals().await;
        let leader = cluster.leader().await;
        let victim = if leads { leader } else { cluster.follower().await };
        cluster.create_any(leader).await;
        cluster.faults.lead_astray(victim, is_object);
        // Taken by another than the victim: what that one says of its own writes is not to be believed any more.
        let other = (1..=3).find(|id| *id != victim).expect("another");
        let at = Instant::now();
        cluster.create(other, "left-out").await.expect("a write");
        let (who, why) = until("the fence", || ends.lock().expect("a list").first().cloned()).await;
        let after = at.elapsed();
        eprintln!("divergence of the {} found after {after:?}", if leads { "leader" } else { "follower" });
        assert!(who == victim && why.contains("that of a majority"), "{who}: {why}");
        assert!(after < Duration::from_secs(1), "found after {after:?}");
        cluster.kill(victim).await;
        let again = cluster.start_one(victim).await;
        assert_eq!(again.id(), 4, "it begins anew");
        assert!(sees(&again, "left-out").await);
        let mut standing = again.standing();
        let votes = standing.wait_for(|s| s.members.iter().any(|m| m.id == 4 && m.voter));
        tokio::time::timeout(PATIENCE, votes).await.expect("in time").expect("a standing");
    }
}

fn delete(name: &str) -> Command {
    Command::Object(ObjectCommand { key: key(name), epoch: None, expect: Expect::Any, action: Action::Delete })
}

/// Every member refuses writes with a word about disks, and goes on reading.
async fn refuses_writes_everywhere(cluster: &Cluster, known: &str) {
    for id in 1..=3 {
        let begun = Instant::now();
        let refusing = loop {
            let name = format!("one-more-{id}-{}", begun.elapsed().as_micros());
            match cluster.node(id).propose(vec![create_command(&name)], Instant::now() + PATIENCE).await {
                Err(ProposeError::ReadOnly(refusing)) => break refusing,
                _ => assert!(begun.elapsed() < PATIENCE, "still written at {id}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert!(refusing.because == WhyRefused::NoSpace && refusing.why.contains("nearly full"), "{refusing:?}");
        assert!(sees(cluster.node(id), known).await, "reads go on at {id}");
        until("its standing says so", || cluster.node(id).standing().borrow().refusing.clone()).await;
    }
}

async fn takes_writes_again(cluster: &Cluster, tag: &str) {
    for id in 1..=3 {
        let begun = Instant::now();
        while create(cluster.node(id), &format!("{tag}-{id}"), Instant::now() + PATIENCE).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "it does not heal");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disks_refuse_writes_with_a_word_and_heal_by_themselves() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let name = cluster.create_any(leader).await;
    let old = cluster.create_any(leader).await;
    for id in 1..=3 {
        // A little less than the reserve.
        cluster.faults.fill_disk(id, Some(100 << 20));
    }
    refuses_writes_everywhere(&cluster, &name).await;
    let making_room = vec![delete(&old), Command::Compact { revision: 2 }];
    let outcomes = cluster.node(leader).propose(making_room, Instant::now() + PATIENCE).await;
    assert!(matches!(outcomes.as_deref(), Ok([Outcome::Done { .. }, Outcome::Compacted { .. }])), "{outcomes:?}");
    for id in 1..=3 {
        cluster.faults.fill_disk(id, None);
    }
    takes_writes_again(&cluster, "afterwards").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_with_a_full_disk_hands_over_and_catches_up_when_there_is_room() {
    let cluster = Cluster::start(3).await;
    let full = cluster.leader().await;
    cluster.faults.fill_disk(full, Some(0));
    let new = cluster.leader_other_than(full).await;
    let name = cluster.create_any(new).await;
    cluster.faults.fill_disk(full, None);
    let revision = cluster.node(new).snapshot().revision();
    let read = cluster.node(full).read(ReadLevel::AtLeast(revision), Instant::now() + PATIENCE).await;
    assert!(read.expect("it catches up").get(&key(&name)).is_some());
}

/// A small disk in memory; gone when this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where one may not mount.
    fn mount(at: &Path, bytes: u64) -> Option<Self> {
        let size = format!("size={bytes}");
        let mounted = Process::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(at.to_owned()))
    }

    /// Fills it until so many bytes are left.
    fn fill(&self, left: u64) {
        use std::io::Write as _;
        let stat = rustix::fs::statvfs(&self.0).expect("a disk");
        let mut ballast = std::fs::File::create(self.0.join("ballast")).expect("a file");
        let block = vec![0_u8; 1 << 20];
        for _ in 0..(stat.f_bavail * stat.f_frsize).saturating_sub(left) / block.len() as u64 {
            ballast.write_all(&block).expect("room");
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("the ballast");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there keeps it.
        let _ = Process::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_really_full_breaks_nothing() {
    const RESERVE: u64 = 32 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = SmallDisk::mount(folder.path(), 256 << 20) else {
        eprintln!("skipped: mounting a small disk takes root");
        return;
    };
    let mut cluster = Cluster::in_folder(3, folder.path());
    cluster.limits = Limits { reserve_bytes: RESERVE, ..Limits::default() };
    cluster.start_all().await;
    let leader = cluster.leader().await;
    let name = cluster.create_any(leader).await;
    let term = cluster.node(leader).standing().borrow().term;
    // One member's disk is all members' here.
    disk.fill(RESERVE * 3 / 4);
    refuses_writes_everywhere(&cluster, &name).await;
    disk.make_room();
    takes_writes_again(&cluster, "afterwards").await;
    // Writers find the end of the disk by themselves.
    disk.fill(RESERVE + (16 << 20));
    let large = "x".repeat(8_000);
    let begun = Instant::now();
    let mut written = 0;
    while let Ok(_revision) = create(cluster.node(1), &format!("{written}-{large}"), Instant::now() + PATIENCE).await {
        written += 1;
        assert!(begun.elapsed() < PATIENCE, "{written} writes of 16 kB, and no end");
    }
    refuses_writes_everywhere(&cluster, &name).await;
    disk.make_room();
    takes_writes_again(&cluster, "in the end").await;
    eprintln!("{written} writes of 16 kB until the disk was full; term {term} before");
    for id in 1..=3 {
        for n in 0..written {
            assert!(sees(cluster.node(id), &format!("{n}-{large}")).await, "write {n} at {id}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_stalls_for_ten_seconds_costs_the_leader_its_office_and_nothing_else() {
    let (cluster, ends) = mortals().await;
    let old = cluster.leader().await;
    cluster.faults.hang_disk(old);
    let hung = Instant::now();
    let other = (1..=3).find(|id| *id != old).expect("another");
    let mut slowest = Duration::ZERO;
    while hung.elapsed() < Duration::from_secs(10) {
        let at = Instant::now();
        let written = cluster
            .node(other)
            .propose(vec![create_command(&format!("at-{}", hung.elapsed().as_micros()))], Instant::now() + PATIENCE);
        assert!(matches!(written.await.as_deref(), Ok([Outcome::Done { .. }])));
        slowest = slowest.max(at.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_ne!(cluster.leader().await, old);
    eprintln!("the slowest write took {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    cluster.faults.heal();
    let revision = cluster.node(other).snapshot().revision();
    let read = cluster.node(old).read(ReadLevel::AtLeast(revision), Instant::now() + PATIENCE).await;
    assert!(read.is_ok(), "it catches up: {read:?}");
    assert!(ends.lock().expect("a list").is_empty(), "{ends:?}");
}
