//! How a connection between members is set up.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

use crate::config::Timing;

/// Small messages leave at once. A lost one is sent again every fifth of a second or so, and not each time after twice as
/// long a pause: a network that is back shall be noticed, and little is on its way between members at a time
/// (`TCP_THIN_LINEAR_TIMEOUTS`, tcp(7)).
///
/// # Errors
/// When the connection is gone already.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    Ok(sockopt::set_tcp_thin_linear_timeouts(stream, true)?)
}

/// How long members wait for each other's systems to acknowledge anything.
pub(crate) fn patience(timing: &Timing) -> Duration {
    timing.election_max
}

/// The system gives a connection up on which nothing has been acknowledged for so long since it sent something again, whether
/// this process runs or not: one that was stopped while its network was cut would wait for what its system sends again ever more
/// seldom. A network that comes and goes as often as a system sends again, every fifth of a second, may lose each attempt; a new
/// connection is there within a few milliseconds of the moment at which packets come through.
///
/// # Errors
/// When the connection is gone already.
pub(crate) fn give_up_after(stream: &TcpStream, silence: Duration) -> io::Result<()> {
    let silence_ms = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(stream, silence_ms)?)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn both_ends_send_again_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let dialled = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("a connection");
        let (accepted, _) = listener.accept().await.expect("its other end");
        for stream in [dialled, accepted] {
            tune(&stream).expect("options");
            assert!(stream.nodelay().expect("an option"));
            assert!(sockopt::tcp_thin_linear_timeouts(&stream).expect("an option"));
            give_up_after(&stream, Duration::from_millis(1200)).expect("an option");
            assert_eq!(sockopt::tcp_user_timeout(&stream).expect("an option"), 1200);
        }
    }
}
