//! A connection and the calls on it as one task.
//!
//! HTTP/2 servers mostly give each call a task. Then a batch of outcomes that arrives at once wakes each call on its own,
//! each wakes the connection when it has its answer, and the connection writes one answer at a time: a system call, and two
//! switches of tasks, for each. Here whoever is woken first finds all the others that are ready, and what they answer leaves
//! in one write. Calls of one connection do not run side by side, so a call with much to do hands it to another task.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::task::coop::unconstrained;

/// Where a connection puts its new calls.
#[derive(Clone, Default)]
pub struct Calls {
    fresh: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Calls {
    fn execute(&self, call: F) {
        self.fresh.lock().push(Box::pin(call));
    }
}

/// The task of a connection.
pub struct Together<C> {
    connection: C,
    calls: Calls,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl<C> Together<C> {
    /// A connection that was built with these calls.
    pub fn new(connection: C, calls: Calls) -> Self {
        Self { connection, calls, running: FuturesUnordered::new() }
    }
}

impl<C: Future + Unpin> Future for Together<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let this = &mut *self;
        loop {
            // A task's share of turns is for what reads sockets: a call that was refused its turn would only be asked again.
            let mut next = std::pin::pin!(unconstrained(std::future::poll_fn(|cx| {
                while let Poll::Ready(Some(())) = this.running.poll_next_unpin(cx) {}
                Poll::<()>::Pending
            })));
            let _ = next.as_mut().poll(cx);
            if let Poll::Ready(ended) = Pin::new(&mut this.connection).poll(cx) {
                return Poll::Ready(ended);
            }
            let fresh = std::mem::take(&mut *this.calls.fresh.lock());
            if fresh.is_empty() {
                return Poll::Pending;
            }
            this.running.extend(fresh);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// What is answered at once is written at once, however many calls it is; and a call that answers later wakes the
    /// connection.
    #[tokio::test]
    async fn calls_that_are_ready_together_are_answered_in_one_turn() {
        let calls = Calls::default();
        let answered = Arc::new(Mutex::new(0));
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..300).map(|_| oneshot::channel::<()>()).unzip();
        let mut waiting = Some(receivers);
        let (spawner, counted) = (calls.clone(), answered.clone());
        let mut turns = Vec::new();
        let connection = std::future::poll_fn(move |_| {
            for receiver in waiting.take().into_iter().flatten() {
                let counted = counted.clone();
                spawner.execute(async move {
                    let _ = receiver.await;
                    *counted.lock() += 1;
                });
            }
            turns.push(*counted.lock());
            if turns.last() == Some(&300) { Poll::Ready(turns.clone()) } else { Poll::Pending }
        });
        let together = tokio::spawn(Together::new(connection, calls));
        tokio::task::yield_now().await;
        for sender in senders {
            sender.send(()).expect("a call that waits");
        }
        let turns = together.await.expect("no panic");
        assert!(turns.iter().all(|answered| [0, 300].contains(answered)), "{turns:?}");
    }
}
