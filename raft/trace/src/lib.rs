//! Spans: how long the parts of one request took, on whichever members it went through.
//!
//! A request that is traced carries a [`Context`] with it: inside a task by [`within`], between members in a message. What is
//! begun under it becomes a [`Span`], which goes to the collector of this process when it ends. Contexts are those of W3C's
//! Trace Context, so that clients' own traces go on here; spans are those of OpenTelemetry.
//!
//! Invariants:
//! - where nobody collects, or a request is not traced, nothing is allocated, timed or drawn at random;
//! - a collector that cannot keep up loses spans, and delays nobody.

mod context;

use std::borrow::Cow;
use std::future::Future;
use std::sync::OnceLock;
use std::time::SystemTime;

use tokio::sync::mpsc;

pub use context::Context;

/// Spans that have ended and are not collected yet, at most.
const ENDED_MAX: usize = 8192;

static COLLECTOR: OnceLock<mpsc::Sender<Ended>> = OnceLock::new();

tokio::task_local! {
    static CURRENT: Context;
}

/// Which side of a call a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Neither.
    Internal,
    /// It answers a request.
    Server,
}

/// What is said of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A word.
    Text(String),
    /// A number.
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its own.
    pub context: Context,
    /// Id of the span that it is a part of.
    pub parent: Option<[u8; 8]>,
    /// What it is about.
    pub name: Cow<'static, str>,
    /// Which side it is.
    pub kind: Kind,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// What is said of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it came to nothing, if so.
    pub failure: Option<String>,
}

/// Begins to collect: what ends from now on comes out here. Once a process; `None` afterwards.
pub fn collect() -> Option<mpsc::Receiver<Ended>> {
    let (sender, receiver) = mpsc::channel(ENDED_MAX);
    COLLECTOR.set(sender).ok().map(|()| receiver)
}

/// Whether anybody collects.
pub fn is_collected() -> bool {
    COLLECTOR.get().is_some()
}

/// The context of the request that this task works for, when it is traced.
pub fn current() -> Option<Context> {
    if !is_collected() {
        return None;
    }
    CURRENT.try_with(|context| *context).ok()
}

/// Does some work for a request that is traced.
pub async fn within<F: Future>(context: Context, work: F) -> F::Output {
    CURRENT.scope(context, work).await
}

/// A span that goes on. It ends when it is dropped.
#[derive(Debug)]
pub struct Span(Option<Ended>);

impl Span {
    /// The first span of a request on this member: of a trace that a client began, or of a new one.
    pub fn of_request(parent: Option<Context>, name: String) -> Self {
        Self::begin(parent, name.into(), Kind::Server)
    }

    /// A part of another span, of this member or another.
    pub fn part_of(parent: Context, name: &'static str) -> Self {
        Self::begin(Some(parent), name.into(), Kind::Internal)
    }

    fn begin(parent: Option<Context>, name: Cow<'static, str>, kind: Kind) -> Self {
        let context = parent.map_or_else(Context::new, |parent| parent.child());
        let now = SystemTime::now();
        let (attributes, failure) = (Vec::new(), None);
        let parent = parent.map(|parent| parent.span_id);
        Self(Some(Ended { context, parent, name, kind, began: now, ended: now, attributes, failure }))
    }

    /// What its parts are begun under.
    pub fn context(&self) -> Context {
        self.0.as_ref().map_or_else(Context::default, |ended| ended.context)
    }

    /// Says something of it.
    pub fn say(&mut self, what: &'static str, value: impl Into<Value>) {
        if let Some(ended) = &mut self.0 {
            ended.attributes.push((what, value.into()));
        }
    }

    /// It came to nothing.
    pub fn fail(&mut self, why: impl Into<String>) {
        if let Some(ended) = &mut self.0 {
            ended.failure = Some(why.into());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let (Some(mut ended), Some(collector)) = (self.0.take(), COLLECTOR.get()) {
            ended.ended = SystemTime::now();
            // Full: it is lost.
            let _ = collector.try_send(ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_span_ends_when_it_is_dropped_and_its_parts_know_it() {
        assert_eq!(current(), None);
        let unseen = Span::of_request(None, "before anybody collects".to_owned());
        drop(unseen);
        let mut collected = collect().expect("the first collector");
        assert!(collect().is_none());
        let mut request = Span::of_request(None, "GET /".to_owned());
        request.say("http.response.status_code", 200_u64);
        let part = within(request.context(), async { current().map(|context| Span::part_of(context, "part")) });
        part.await.expect("a request that is traced").fail("nothing came of it");
        let context = request.context();
        drop(request);
        let (part, request) = (collected.recv().await.expect("the part"), collected.recv().await.expect("the whole"));
        assert_eq!((part.context.trace_id, part.parent), (context.trace_id, Some(context.span_id)));
        assert_eq!(part.failure.as_deref(), Some("nothing came of it"));
        assert_eq!(
            (request.parent, request.attributes),
            (None, vec![("http.response.status_code", Value::Number(200))])
        );
        assert!(request.began <= part.began && part.ended <= request.ended);
        assert_eq!(current(), None);
    }
}
