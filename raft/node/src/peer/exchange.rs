//! A stream on which one question is answered before the next is asked. What is asked many times a second goes over one,
//! for opening a call costs several times what a message on an open one does.

use std::future::Future;

use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Response, Status, Streaming};

/// See the module. One whose question was dropped before its answer came must be dropped too: the answer would pass for
/// that to the next question.
pub(crate) struct Exchange<Q, A> {
    questions: mpsc::UnboundedSender<Q>,
    answers: Streaming<A>,
}

impl<Q, A> Exchange<Q, A> {
    /// Opens the stream by a call that takes the questions.
    pub(crate) async fn open<F>(call: impl FnOnce(UnboundedReceiverStream<Q>) -> F) -> Result<Self, Status>
    where
        F: Future<Output = Result<Response<Streaming<A>>, Status>>,
    {
        let (questions, outgoing) = mpsc::unbounded_channel();
        let answers = call(UnboundedReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Self { questions, answers })
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&mut self, question: Q) -> Result<A, Status> {
        let ended = || Status::unavailable("the stream has ended");
        self.questions.send(question).map_err(|_| ended())?;
        self.answers.message().await?.ok_or_else(ended)
    }
}
