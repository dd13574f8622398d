//! The relay: takes every packet from the tun device it left by and hands it to the one it is for, or loses it, doubles
//! it, keeps it for a while.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::Rng;
use rand::rngs::StdRng;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::weather::Weather;
use crate::world::choices;

/// Larger than any packet.
const PACKET_BYTES_MAX: usize = 16 * 1024;
/// How often a relay without traffic looks whether it shall end.
const IDLE: Duration = Duration::from_millis(50);

/// A thread that relays until this value is dropped.
pub(super) struct Relay {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Relay {
    /// Starts to relay between these devices, by the addresses that they serve.
    pub(super) fn start(ends: Vec<([u8; 4], File)>, weather: Arc<Weather>, seed: u64) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let mut switch = Switch { ends, weather, random: choices(seed, "relay"), late: BinaryHeap::new(), number: 0 };
        let stop = over.clone();
        let thread = std::thread::Builder::new().name("relay".to_owned()).spawn(move || {
            while !stop.load(Ordering::Acquire) {
                switch.turn();
            }
        })?;
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A packet that is kept: due when, the how-manieth, for whom.
type Late = Reverse<(Instant, u64, usize, Vec<u8>)>;

struct Switch {
    ends: Vec<([u8; 4], File)>,
    weather: Arc<Weather>,
    random: StdRng,
    late: BinaryHeap<Late>,
    number: u64,
}

impl Switch {
    /// Waits for packets, or for one that is due, and moves them.
    fn turn(&mut self) {
        let wait =
            self.late.peek().map_or(IDLE, |Reverse((due, ..))| due.saturating_duration_since(Instant::now()).min(IDLE));
        let mut polled: Vec<PollFd<'_>> = self.ends.iter().map(|(_, file)| PollFd::new(file, PollFlags::IN)).collect();
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
        let _ = poll(&mut polled, Some(&wait));
        let ready: Vec<usize> = polled
            .iter()
            .enumerate()
            .filter_map(|(end, polled)| polled.revents().contains(PollFlags::IN).then_some(end))
            .collect();
        for end in ready {
            self.take(end);
        }
        while let Some(Reverse((due, ..))) = self.late.peek()
            && *due <= Instant::now()
        {
            if let Some(Reverse((_, _, to, packet))) = self.late.pop() {
                self.hand(to, &packet);
            }
        }
    }

    /// Takes all packets that wait at one end.
    fn take(&mut self, from: usize) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        while let Ok(length) = (&self.ends[from].1).read(&mut buffer) {
            self.route(from, &buffer[..length]);
        }
    }

    fn route(&mut self, from: usize, packet: &[u8]) {
        // IPv4 only: the destination stands at byte 16. IPv6's own chatter has nowhere to go.
        if packet.len() < 20 || packet[0] >> 4 != 4 {
            return;
        }
        let Some(to) = self.ends.iter().position(|(address, _)| address[..] == packet[16..20]) else { return };
        let link = self.weather.on(from, to);
        if link.cut || self.random.random_ratio(link.lost.min(1000), 1000) {
            return;
        }
        let copies = if self.random.random_ratio(link.doubled.min(1000), 1000) { 2 } else { 1 };
        for _ in 0..copies {
            if link.late_max.is_zero() {
                self.hand(to, packet);
                continue;
            }
            let late = self.random.random_range(link.late_min..=link.late_max);
            self.number += 1;
            self.late.push(Reverse((Instant::now() + late, self.number, to, packet.to_vec())));
        }
    }

    /// A device that takes no more loses the packet, as any switch does.
    fn hand(&self, to: usize, packet: &[u8]) {
        let _ = (&self.ends[to].1).write(packet);
    }
}
