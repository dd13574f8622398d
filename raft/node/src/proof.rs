//! Whether this member serves, shown by serving: a read that the leader confirmed, and what it must see applied here.
//!
//! A member that was stopped or cut off hears its leader again long before it has what was written meanwhile, and what it hears
//! first may have waited in its own buffers. So whoever was out of touch shows anew that it serves before it says that it does.

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::machine::Applied;
use crate::reads::Reads;

/// See the module.
pub(crate) struct Proof {
    reads: Reads,
    applied: watch::Receiver<Applied>,
    state: State,
}

enum State {
    Open,
    /// A read is on its way.
    Asked(JoinHandle<bool>),
    Shown,
}

impl Proof {
    pub(crate) fn new(reads: Reads, applied: watch::Receiver<Applied>) -> Self {
        Self { reads, applied, state: State::Open }
    }

    /// What was shown counts no longer, and what is on its way may come from before.
    pub(crate) fn lapse(&mut self) {
        if let State::Asked(read) = std::mem::replace(&mut self.state, State::Open) {
            read.abort();
        }
    }

    /// Looks, and asks when nothing is on its way.
    pub(crate) fn holds(&mut self) -> bool {
        match &mut self.state {
            State::Shown => return true,
            State::Asked(read) if !read.is_finished() => return false,
            State::Asked(_) | State::Open => {}
        }
        if let State::Asked(read) = &mut self.state
            && futures::FutureExt::now_or_never(read).is_some_and(|served| served.unwrap_or(false))
        {
            self.state = State::Shown;
            return true;
        }
        let (reads, mut applied) = (self.reads.clone(), self.applied.clone());
        self.state = State::Asked(tokio::spawn(async move {
            let Ok(index) = reads.index(false).await else { return false };
            applied.wait_for(|applied| applied.index >= index).await.is_ok()
        }));
        false
    }
}

impl Drop for Proof {
    fn drop(&mut self) {
        self.lapse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(proof: &mut Proof, until: bool) -> impl Future<Output = ()> {
        std::future::poll_fn(move |context| {
            if proof.holds() == until {
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        })
    }

    #[tokio::test]
    async fn who_was_out_of_touch_serves_again_when_it_has_what_a_read_must_see() {
        let (reads, mut asked) = Reads::new();
        let (reached, applied) = watch::channel(Applied::default());
        let mut proof = Proof::new(reads, applied);
        assert!(!proof.holds(), "it has not served yet");
        asked.recv().await.expect("a read").confirm(7);
        assert!(!proof.holds(), "what the read must see is not here");
        reached.send_modify(|applied| applied.index = 7);
        looks(&mut proof, true).await;
        proof.lapse();
        assert!(!proof.holds(), "it was out of touch");
        // One that was asked before it was out of touch again tells nothing.
        let before = asked.recv().await.expect("a read");
        proof.lapse();
        assert!(!proof.holds());
        before.confirm(7);
        let after = asked.recv().await.expect("another read");
        assert!(!proof.holds());
        after.confirm(7);
        looks(&mut proof, true).await;
    }
}
