//! The first words on a connection.
//!
//! The kernel of a master that is paused, or has no processor to spare, accepts connections all the same. So a connection counts
//! as taken only when the master has answered something. Until then the client's words are kept, and said again to the next
//! master: a TLS client has asked for nothing before the first answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client's hello is shorter; whoever says more without an answer is passed through to where it has got.
const BYTES_MAX: usize = 64 << 10;

/// What came of speaking to a master.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It answers: the connection is its.
    Answer,
    /// Nothing, in the time that it had.
    Silence,
    /// The client has left meanwhile.
    ClientGone,
}

/// What a client has said so far.
pub(super) struct Greeting {
    said: Vec<u8>,
}

impl Greeting {
    /// Waits for the client's first words; `None` when it leaves without any.
    pub(super) async fn of(client: &mut TcpStream) -> Option<Self> {
        let mut greeting = Self { said: Vec::new() };
        greeting.listen(client).await.then_some(greeting)
    }

    /// Takes the client's next words; false when it has left.
    async fn listen(&mut self, client: &mut TcpStream) -> bool {
        self.said.reserve(4096);
        matches!(client.read_buf(&mut self.said).await, Ok(1..))
    }

    /// Says to a master all that the client has said and says, until it answers or its time is up.
    pub(super) async fn offer(&mut self, client: &mut TcpStream, master: &mut TcpStream, patience: Duration) -> Heard {
        tokio::time::timeout(patience, self.speak(client, master)).await.unwrap_or(Heard::Silence)
    }

    /// May be dropped at any time: what the client has said is kept.
    async fn speak(&mut self, client: &mut TcpStream, master: &mut TcpStream) -> Heard {
        let mut passed_on = 0;
        loop {
            if master.write_all(&self.said[passed_on..]).await.is_err() {
                return Heard::Silence;
            }
            passed_on = self.said.len();
            if passed_on > BYTES_MAX {
                return Heard::Answer;
            }
            let mut first = [0];
            tokio::select! {
                answer = master.peek(&mut first) => {
                    return if matches!(answer, Ok(1..)) { Heard::Answer } else { Heard::Silence };
                }
                is_there = self.listen(client) => if !is_there { return Heard::ClientGone },
            }
        }
    }
}
