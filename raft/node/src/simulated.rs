//! What is otherwise on a thread on which members are simulated: numbers are drawn from a seed, and nothing runs beside it, so
//! that the same seed gives the same life. Anywhere else nothing of this has an effect.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::time::Duration;

use rand_core::{Rng, TryRng};

thread_local! {
    static DICE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on members on this thread are simulated, and draw from this seed; `None` ends it.
pub fn simulate(seed: Option<u64>) {
    DICE.set(seed);
}

/// Whether members on this thread are simulated.
pub(crate) fn is_simulated() -> bool {
    DICE.get().is_some()
}

/// Where every random number of a member comes from: the system, or the simulation's seed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dice;

impl Dice {
    /// A number that is unlike all others.
    pub(crate) fn id(mut self) -> u64 {
        self.next_u64().max(1)
    }
}

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next_u64() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let Some(state) = DICE.get() else { return Ok(rand::random()) };
        // SplitMix64 (Steele, Lea, Flood, 2014).
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        DICE.set(Some(state));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
        Ok(())
    }
}

/// Does what may block, on a thread that may.
///
/// # Errors
/// Those of the work, and when it panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if is_simulated() {
        hesitate().await;
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Does something beside everything else, on a thread of its own.
///
/// # Errors
/// When the system has no thread for it.
pub(crate) fn beside(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    if is_simulated() {
        tokio::spawn(async move {
            hesitate().await;
            work();
        });
        return Ok(());
    }
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// In a simulation: the time that another thread takes to come to it, mostly none.
pub(crate) async fn hesitate() {
    if is_simulated() && Dice.next_u64().is_multiple_of(8) {
        tokio::time::sleep(Duration::from_millis(Dice.next_u64() % 6)).await;
    }
}
