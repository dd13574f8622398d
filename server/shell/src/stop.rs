//! When a process is told to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Turns true at the first SIGTERM or SIGINT.
pub fn on_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let (told, stop) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop");
        told.send_replace(true);
        // The senders live as long as the process: a dropped channel would read as an error, not as "go on".
        told.closed().await;
    });
    Ok(stop)
}

/// Waits until told to stop; a channel whose sender is gone never tells.
pub async fn told(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
