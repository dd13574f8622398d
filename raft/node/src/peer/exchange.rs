//! A stream on which questions are answered in their order. What is asked many times a second goes over one, for opening a
//! call costs several times what a message on an open one does.

use std::future::Future;

use futures::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Response, Status, Streaming};

/// So many answers may be owed before the stream counts as stuck.
const OWED_MAX: usize = 64;

/// See the module. Whoever asks may give up before the answer comes, also before the peer has said that the stream is open.
/// After an error it is of no use any more.
pub(crate) struct Exchange<Q, A> {
    questions: mpsc::UnboundedSender<Q>,
    answers: Incoming<A>,
    /// Questions without an answer so far.
    owed: usize,
}

enum Incoming<A> {
    /// The call is on its way, and the first questions with it.
    Opening(oneshot::Receiver<Result<Streaming<A>, Status>>),
    Open(Box<Streaming<A>>),
}

fn ended() -> Status {
    Status::unavailable("the stream has ended")
}

impl<Q, A: Send + 'static> Exchange<Q, A> {
    /// Begins a stream by a call that takes the questions. Nobody waits for the peer to say that it is open, which would take
    /// a round trip.
    pub(crate) fn begin<F>(call: impl FnOnce(UnboundedReceiverStream<Q>) -> F) -> Self
    where
        F: Future<Output = Result<Response<Streaming<A>>, Status>> + Send + 'static,
    {
        let (questions, outgoing) = mpsc::unbounded_channel();
        let (mut opened, opening) = oneshot::channel();
        let call = call(UnboundedReceiverStream::new(outgoing));
        tokio::spawn(async move {
            let answers = tokio::select! {
                answers = call => answers,
                () = opened.closed() => return,
            };
            // Whoever asked may have left.
            let _ = opened.send(answers.map(Response::into_inner));
        });
        Self { questions, answers: Incoming::Opening(opening), owed: 0 }
    }

    /// Sends a question. Its answer comes after those that are owed already.
    pub(crate) fn send(&mut self, question: Q) -> Result<(), Status> {
        if self.owed >= OWED_MAX {
            return Err(Status::unavailable("the stream is stuck"));
        }
        self.questions.send(question).map_err(|_| ended())?;
        self.owed += 1;
        Ok(())
    }

    /// The next answer.
    pub(crate) async fn next(&mut self) -> Result<A, Status> {
        let answers = match &mut self.answers {
            Incoming::Open(answers) => answers,
            Incoming::Opening(opening) => {
                self.answers = Incoming::Open(Box::new(opening.await.map_err(|_| ended())??));
                let Incoming::Open(answers) = &mut self.answers else { return Err(ended()) };
                answers
            }
        };
        let answer = answers.message().await?.ok_or_else(ended)?;
        self.owed = self.owed.saturating_sub(1);
        Ok(answer)
    }

    /// The next answer, if it is there already.
    pub(crate) fn ready(&mut self) -> Option<Result<A, Status>> {
        if self.owed == 0 {
            return None;
        }
        self.next().now_or_never()
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&mut self, question: Q) -> Result<A, Status> {
        self.send(question)?;
        loop {
            let answer = self.next().await?;
            // The last question's, and not one's that was given up.
            if self.owed == 0 {
                return Ok(answer);
            }
        }
    }
}
