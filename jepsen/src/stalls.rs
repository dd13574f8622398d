//! Times in which this machine did not run us: a busy host must not be taken for an outage of the cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often we look.
const TICK: Duration = Duration::from_millis(10);
/// A tick that comes so much too late is a stall.
const LATE: Duration = Duration::from_millis(100);

/// Notes when a thread that does nothing but tick was not run.
#[derive(Default)]
pub struct Stalls(Mutex<Vec<(Duration, Duration)>>);

impl Stalls {
    /// Watches until the returned guard is dropped. A thread of its own: the clients' runtime may itself be what stalls.
    pub fn watch(self: &Arc<Self>, begun: Instant) -> Guard {
        let stalls = Arc::downgrade(self);
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut last = begun.elapsed();
            while stopped.recv_timeout(TICK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let now = begun.elapsed();
                if now - last > TICK + LATE
                    && let Some(stalls) = stalls.upgrade()
                {
                    stalls.0.lock().push((last, now));
                }
                last = now;
            }
        });
        Guard { stop, thread: Some(thread) }
    }

    /// All stalls, as times since the beginning.
    pub fn all(&self) -> Vec<(Duration, Duration)> {
        self.0.lock().clone()
    }
}

/// Ends the watching thread when dropped.
pub struct Guard {
    stop: std::sync::mpsc::Sender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (closed, _) = std::sync::mpsc::channel();
        self.stop = closed;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How many processes want each processor of this machine, on average over the last minute.
pub fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    load / std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64)
}
