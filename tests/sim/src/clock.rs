//! Virtual time: microseconds that pass only when nothing is left to do at the present one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::rng::Rng;

/// What wall clocks show when a world begins: 2026-01-01T00:00:00Z, microseconds since the epoch.
pub const EPOCH_US: i64 = 1_767_225_600_000_000;

thread_local! {
    static NOW_US: Cell<u64> = const { Cell::new(0) };
    static SKEW_US: Cell<i64> = const { Cell::new(0) };
    static BITS: Cell<u64> = const { Cell::new(0) };
}

/// The time of a world. Clones share it.
#[derive(Clone)]
pub struct Clock {
    inner: Arc<Mutex<Inner>>,
    /// Instants exist only as this plus virtual time, so their differences are the same in every run.
    base: Instant,
}

#[derive(Default)]
struct Inner {
    now_us: u64,
    order: u64,
    sleepers: BTreeMap<(u64, u64), Waker>,
}

impl Clock {
    /// A clock at 0. The thread's wall clock and random bits start with it.
    pub fn new(seed: u64) -> Self {
        NOW_US.set(0);
        SKEW_US.set(0);
        BITS.set(Rng::new(seed).fork(0xb175).draw());
        Self { inner: Arc::default(), base: Instant::now() }
    }

    /// Microseconds since the world began.
    pub fn now_us(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).now_us
    }

    /// The instant of a time.
    pub fn instant(&self, at_us: u64) -> Instant {
        self.base + Duration::from_micros(at_us)
    }

    /// The time of an instant.
    pub fn us_of(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.base).as_micros()).unwrap_or(u64::MAX)
    }

    /// When the first sleeper wakes.
    pub fn next_wake_us(&self) -> Option<u64> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.sleepers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Moves on to a time and wakes who slept until then.
    pub fn advance(&self, to_us: u64) {
        NOW_US.set(to_us);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.now_us = to_us;
        while let Some(entry) = inner.sleepers.first_entry() {
            if entry.key().0 > to_us {
                break;
            }
            entry.remove().wake();
        }
    }

    /// Sleeps until a time.
    pub fn sleep_until(&self, at_us: u64) -> Sleep {
        Sleep { clock: self.clone(), at_us, key: None }
    }

    /// Sleeps for so long.
    pub fn sleep(&self, us: u64) -> Sleep {
        self.sleep_until(self.now_us().saturating_add(us))
    }
}

/// A sleep. Dropping it ends it.
pub struct Sleep {
    clock: Clock,
    at_us: u64,
    key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut inner = this.clock.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.now_us >= this.at_us {
            return Poll::Ready(());
        }
        inner.order += 1;
        let key = *this.key.get_or_insert((this.at_us, inner.order));
        inner.sleepers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.clock.inner.lock().unwrap_or_else(PoisonError::into_inner).sleepers.remove(&key);
        }
    }
}

/// Sets how far the wall clock of who runs now is off.
pub fn set_skew_us(skew_us: i64) {
    SKEW_US.set(skew_us);
}

/// The wall clock of who runs now, microseconds since the epoch.
pub fn wall_us() -> i64 {
    EPOCH_US + NOW_US.get().cast_signed() + SKEW_US.get()
}

/// Random bits of who runs now.
pub fn random_bits() -> u128 {
    let mut rng = Rng::new(BITS.get());
    let (high, low) = (rng.draw(), rng.draw());
    BITS.set(rng.draw());
    (u128::from(high) << 64) | u128::from(low)
}
