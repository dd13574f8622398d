//! Tasks of a world: futures that are polled one at a time, in an order drawn from the seed.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use crate::clock;
use crate::rng::Rng;

/// Where tasks come from: anybody in the world may spawn.
#[derive(Clone, Default)]
pub struct Spawner {
    fresh: Arc<Mutex<Vec<Task>>>,
}

/// A future with the process that it is part of: member and incarnation; (0, 0) for the world's own.
struct Task {
    group: Group,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// A process: the member and how often it was started.
pub type Group = (u64, u64);

/// The world's own tasks: clients, and whatever no crash ends.
pub const WORLD: Group = (0, 0);

impl Spawner {
    /// Runs a future as part of a process; it is dropped when the process ends.
    pub fn spawn(&self, group: Group, future: impl Future<Output = ()> + Send + 'static) {
        let task = Task { group, future: Box::pin(future) };
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }
}

/// Who can go on, by slot and then by number: the order in which they were woken is not the world's (tokio draws it).
type Ready = Arc<Mutex<BTreeMap<(usize, u64), Arc<Notice>>>>;

struct Notice {
    slot: usize,
    /// Of the task: slots are used again.
    number: u64,
    queued: AtomicBool,
    ready: Ready,
}

impl Wake for Notice {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            let ready = self.ready.clone();
            ready.lock().unwrap_or_else(PoisonError::into_inner).insert((self.slot, self.number), self);
        }
    }
}

/// All tasks.
pub struct Tasks {
    spawner: Spawner,
    slots: Vec<Option<(Task, Arc<Notice>)>>,
    free: Vec<usize>,
    ready: Ready,
    /// Tasks so far.
    count: u64,
    rng: Rng,
}

impl Tasks {
    /// No tasks yet.
    pub fn new(rng: Rng) -> Self {
        Self { spawner: Spawner::default(), slots: Vec::new(), free: Vec::new(), ready: Arc::default(), count: 0, rng }
    }

    /// Where to spawn.
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    fn take_in(&mut self) {
        let fresh = std::mem::take(&mut *self.spawner.fresh.lock().unwrap_or_else(PoisonError::into_inner));
        for task in fresh {
            let slot = self.free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                self.slots.len() - 1
            });
            self.count += 1;
            let (queued, ready) = (AtomicBool::new(false), self.ready.clone());
            let notice = Arc::new(Notice { slot, number: self.count, queued, ready });
            self.slots[slot] = Some((task, notice.clone()));
            notice.wake();
        }
    }

    /// Polls one task that can go on; false when there is none. `skew_us` tells how far off a member's wall clock is,
    /// and `None` that it is paused: its tasks wait.
    pub fn poll_one(&mut self, skew_us: impl Fn(u64) -> Option<i64>) -> bool {
        self.take_in();
        let notice = {
            let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
            // Who has ended meanwhile is passed over here: whether it was woken once more is not the world's either.
            ready.retain(|_, notice| {
                self.slots[notice.slot].as_ref().is_some_and(|(_, current)| Arc::ptr_eq(current, notice))
            });
            let goes_on =
                |slot: usize| self.slots[slot].as_ref().is_some_and(|(task, _)| skew_us(task.group.0).is_some());
            let runnable: Vec<(usize, u64)> = ready.keys().copied().filter(|(slot, _)| goes_on(*slot)).collect();
            let drawn = self.rng.pick(&runnable).and_then(|key| ready.remove(key));
            match drawn {
                Some(notice) => notice,
                None => return false,
            }
        };
        notice.queued.store(false, Ordering::Relaxed);
        let slot = notice.slot;
        let Some((task, _)) = &mut self.slots[slot] else { return true };
        clock::set_skew_us(skew_us(task.group.0).unwrap_or(0));
        let waker = Waker::from(notice);
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.slots[slot] = None;
            self.free.push(slot);
        }
        clock::set_skew_us(0);
        true
    }

    /// Drops every task of a process.
    pub fn end(&mut self, group: Group) {
        self.take_in();
        for slot in 0..self.slots.len() {
            if self.slots[slot].as_ref().is_some_and(|(task, _)| task.group == group) {
                self.slots[slot] = None;
                self.free.push(slot);
            }
        }
    }
}
