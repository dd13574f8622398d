//! A stream on which one question is answered before the next is asked. What is asked many times a second goes over one,
//! for opening a call costs several times what a message on an open one does.

use std::future::Future;

use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Response, Status, Streaming};

/// So many answers may be owed before the stream counts as stuck.
const OWED_MAX: usize = 64;

/// See the module. Whoever asks may give up before the answer comes: it is left out when it does.
pub(crate) struct Exchange<Q, A> {
    questions: mpsc::UnboundedSender<Q>,
    answers: Streaming<A>,
    /// Questions without an answer so far. Answers come in the order of the questions.
    owed: usize,
}

impl<Q, A> Exchange<Q, A> {
    /// Opens the stream by a call that takes the questions.
    pub(crate) async fn open<F>(call: impl FnOnce(UnboundedReceiverStream<Q>) -> F) -> Result<Self, Status>
    where
        F: Future<Output = Result<Response<Streaming<A>>, Status>>,
    {
        let (questions, outgoing) = mpsc::unbounded_channel();
        let answers = call(UnboundedReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Self { questions, answers, owed: 0 })
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&mut self, question: Q) -> Result<A, Status> {
        let ended = || Status::unavailable("the stream has ended");
        if self.owed >= OWED_MAX {
            return Err(Status::unavailable("the stream is stuck"));
        }
        self.questions.send(question).map_err(|_| ended())?;
        self.owed += 1;
        loop {
            let answer = self.answers.message().await?.ok_or_else(ended)?;
            self.owed -= 1;
            // The last question's, and not one's that was given up.
            if self.owed == 0 {
                return Ok(answer);
            }
        }
    }
}
