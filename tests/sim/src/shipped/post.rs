//! The network between members: it carries the calls of the peer protocol frame by frame, as connections do. What is lost on a
//! connection is sent again, so it comes late and keeps what follows waiting; connections break, and nobody knows what arrived.
//! Calls may come twice where the protocol bears it, and overtake each other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_node::ground::{Answer, BoxFuture, Call, PeerPort};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tonic::Status;
use tonic::body::Body;

use super::line::{Arriving, HangUp, Piece, Way, pump};
use crate::net::Weather;
use crate::rng::Rng;
use crate::tasks::Group;

/// After so long without an answer a connection counts as broken.
const SILENCE_US: u64 = 900_000;
/// As long as connecting may take.
const CONNECT_US: u64 = 150_000;
/// When what was lost is sent again.
const AGAIN_US: u64 = 200_000;
/// Calls that change nothing when they come twice, but for what the protocol must bear.
const MAY_DOUBLE: [&str; 4] = ["/Vote", "/PreVote", "/TransferLeader", "/Compare"];

/// What goes over a line.
pub enum Letter {
    /// A call begins.
    Open(Box<http::request::Parts>),
    /// A part of a body.
    Piece(Way, Piece),
    /// An answer begins.
    Head(Box<http::response::Parts>),
    /// Nobody takes the call.
    Refuse(&'static str),
    /// It is over before its end.
    Reset,
}

impl Letter {
    fn word(&self) -> (&'static str, u64) {
        match self {
            Self::Open(_) => ("call", 0),
            Self::Piece(_, Piece::Data(data)) => ("data", data.len() as u64),
            Self::Piece(_, Piece::Trailers(_)) => ("trailers", 0),
            Self::Piece(_, Piece::End) => ("end", 0),
            Self::Head(_) => ("answer", 0),
            Self::Refuse(_) => ("refused", 0),
            Self::Reset => ("reset", 0),
        }
    }
}

/// A call under way.
struct Line {
    from: Group,
    to: Group,
    lane: usize,
    up: mpsc::UnboundedSender<Piece>,
    at_server: Option<mpsc::UnboundedReceiver<Piece>>,
    down: mpsc::UnboundedSender<Piece>,
    head: Option<oneshot::Sender<Result<http::response::Parts, Status>>>,
    /// What it was asked, when it is to come twice.
    copy: Option<(http::request::Parts, Vec<Piece>)>,
    /// Closed with the line.
    _there: watch::Sender<()>,
    gone: watch::Receiver<()>,
}

/// Who listens.
struct Listener {
    start: u64,
    port: PeerPort,
    handle: Handle,
}

/// A machine's end of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Machine {
    /// A process runs, or the system answers that none does.
    #[default]
    Up,
    /// Nothing answers.
    Dark,
}

/// A letter with its line, and which way it goes.
type Posted = (u64, Way, Letter);

/// A step of the trace: who, what, line, size.
pub type Moved = (u64, &'static str, u64, u64);

struct Inner {
    now_us: u64,
    rng: Rng,
    weather: Weather,
    lines: BTreeMap<u64, Line>,
    next_line: u64,
    order: u64,
    queue: BTreeMap<(u64, u64), Posted>,
    /// Letters on links that are cut.
    held: BTreeMap<(u64, u64), VecDeque<Posted>>,
    cut: BTreeMap<(u64, u64), u64>,
    last_us: BTreeMap<(u64, u64, u64), u64>,
    /// Connections: from, to, lane.
    connected: BTreeMap<(u64, u64, usize), ()>,
    listeners: BTreeMap<u64, Listener>,
    starts: BTreeMap<u64, u64>,
    machines: BTreeMap<u64, Machine>,
    moved: Vec<Moved>,
}

/// See the module.
pub struct Post(Mutex<Inner>);

impl Post {
    /// A network in this weather.
    pub fn new(rng: Rng, weather: Weather) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner {
            now_us: 0,
            rng,
            weather,
            lines: BTreeMap::new(),
            next_line: 1,
            order: 0,
            queue: BTreeMap::new(),
            held: BTreeMap::new(),
            cut: BTreeMap::new(),
            last_us: BTreeMap::new(),
            connected: BTreeMap::new(),
            listeners: BTreeMap::new(),
            starts: BTreeMap::new(),
            machines: BTreeMap::new(),
            moved: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process begins on a machine.
    pub fn begins(&self, group: Group) {
        let mut inner = self.lock();
        inner.starts.insert(group.0, group.1);
        inner.machines.insert(group.0, Machine::Up);
    }

    /// A process listens.
    pub fn listens(&self, group: Group, port: PeerPort, handle: Handle) {
        self.lock().listeners.insert(group.0, Listener { start: group.1, port, handle });
    }

    /// A process is gone. The system says so to whoever asks, unless the power is gone too.
    pub fn ends(&self, id: u64, power: bool) {
        let removed = {
            let mut inner = self.lock();
            inner.starts.remove(&id);
            inner.machines.insert(id, if power { Machine::Dark } else { Machine::Up });
            let patience_us = if power { SILENCE_US } else { 0 };
            let lines: Vec<u64> =
                inner.lines.iter().filter(|(_, l)| l.from.0 == id || l.to.0 == id).map(|(line, _)| *line).collect();
            let (low, high) = inner.weather.delay_us;
            for line in lines {
                let at_us = inner.now_us + patience_us + inner.rng.between(low, high);
                inner.push(at_us, line, Way::Down, Letter::Reset);
            }
            inner.connected.retain(|(from, to, _), ()| *from != id && *to != id);
            inner.listeners.remove(&id)
        };
        drop(removed);
    }

    /// Sets the weather.
    pub fn set_weather(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    /// Nothing passes from one to the other until the links are mended.
    pub fn cut(&self, from: u64, to: u64) {
        let mut inner = self.lock();
        let now_us = inner.now_us;
        inner.cut.entry((from, to)).or_insert(now_us);
    }

    /// All links work again; what was held comes, a little late.
    pub fn mend(&self) {
        let mut inner = self.lock();
        inner.cut.clear();
        let held = std::mem::take(&mut inner.held);
        for letters in held.into_values() {
            for (line, way, letter) in letters {
                inner.dispatch(line, way, letter);
            }
        }
    }

    /// Sends a letter over a line.
    pub fn send(&self, line: u64, way: Way, letter: Letter) {
        let mut inner = self.lock();
        inner.dispatch(line, way, letter);
    }

    /// Begins a call. To be called on the runtime of who calls.
    pub fn call(
        self: &Arc<Self>,
        from: Group,
        to: u64,
        lane: usize,
        call: Call,
    ) -> BoxFuture<'static, Result<Answer, Status>> {
        let (parts, body) = call.into_parts();
        let (head, answered) = oneshot::channel();
        let (down, pieces) = mpsc::unbounded_channel();
        let (line, gone) = self.lock().open(from, to, lane, down, Some(head), parts);
        tokio::spawn(pump(self.clone(), line, Way::Up, body, gone));
        let hang_up = HangUp { post: self.clone(), line };
        Box::pin(async move {
            match answered.await {
                Ok(Ok(parts)) => Ok(Answer::from_parts(parts, Body::new(Arriving::new(pieces, Some(hang_up))))),
                Ok(Err(status)) => Err(status),
                Err(_) => Err(Status::unavailable("the connection broke")),
            }
        })
    }

    /// Whether a machine says that nobody listens, and when it does.
    pub fn is_refused(&self, from: u64, to: u64) -> (bool, u64) {
        let mut inner = self.lock();
        let cut = inner.cut.contains_key(&(from, to)) || inner.cut.contains_key(&(to, from));
        let dark = inner.machines.get(&to) == Some(&Machine::Dark);
        let (low, high) = inner.weather.delay_us;
        match cut || dark {
            true => (false, CONNECT_US),
            false => (!inner.listeners.contains_key(&to), inner.rng.between(low, high) + inner.rng.between(low, high)),
        }
    }

    /// Time passes: everything that is due arrives.
    pub fn advance(self: &Arc<Self>, now_us: u64) -> Vec<Moved> {
        self.lock().now_us = now_us;
        self.break_silent(now_us);
        loop {
            let due = {
                let mut inner = self.lock();
                match inner.queue.first_entry() {
                    Some(entry) if entry.key().0 <= now_us => entry.remove(),
                    _ => break,
                }
            };
            let (line, way, letter) = due;
            self.deliver(line, way, letter);
        }
        std::mem::take(&mut self.lock().moved)
    }

    /// Connections over a link that has been cut for long are broken, as the pings on them find out.
    fn break_silent(&self, now_us: u64) {
        let dead: Vec<Line> = {
            let mut inner = self.lock();
            let long: Vec<(u64, u64)> =
                inner.cut.iter().filter(|(_, since)| now_us - **since > SILENCE_US).map(|(link, _)| *link).collect();
            let is_dead = |line: &Line| {
                long.iter().any(|(a, b)| (line.from.0, line.to.0) == (*a, *b) || (line.to.0, line.from.0) == (*a, *b))
            };
            let dead: Vec<u64> = inner.lines.iter().filter(|(_, l)| is_dead(l)).map(|(line, _)| *line).collect();
            for (a, b) in &long {
                inner.held.remove(&(*a, *b));
                inner.held.remove(&(*b, *a));
                inner.connected.retain(|(from, to, _), ()| (*from, *to) != (*a, *b) && (*to, *from) != (*a, *b));
            }
            dead.iter().filter_map(|line| inner.lines.remove(line)).collect()
        };
        // Their ends wake tasks, which may send.
        drop(dead);
    }

    /// A paused process does not answer pings.
    pub fn break_paused(&self, id: u64) {
        let dead: Vec<Line> = {
            let mut inner = self.lock();
            let lines: Vec<u64> =
                inner.lines.iter().filter(|(_, l)| l.from.0 == id || l.to.0 == id).map(|(line, _)| *line).collect();
            inner.connected.retain(|(from, to, _), ()| *from != id && *to != id);
            lines.iter().filter_map(|line| inner.lines.remove(line)).collect()
        };
        drop(dead);
    }

    fn deliver(self: &Arc<Self>, number: u64, way: Way, letter: Letter) {
        let ended = {
            let mut inner = self.lock();
            let (what, size) = letter.word();
            let Some(line) = inner.lines.get_mut(&number) else { return };
            let (from, to) = (line.from, line.to);
            let at = if way == Way::Up { to.0 } else { from.0 };
            inner.moved.push((at, what, number, size));
            match letter {
                Letter::Open(parts) => {
                    drop(inner);
                    return self.begin(number, to, *parts);
                }
                Letter::Piece(Way::Up, piece) => {
                    inner.take_up(number, piece);
                    None
                }
                Letter::Piece(Way::Down, piece) => inner.take_down(number, piece),
                Letter::Head(parts) => {
                    inner.answer(number, *parts);
                    None
                }
                Letter::Refuse(why) => {
                    let mut line = inner.lines.remove(&number);
                    if let Some(head) = line.as_mut().and_then(|line| line.head.take()) {
                        // Whoever called may have left.
                        let _ = head.send(Err(Status::unavailable(why)));
                    }
                    line
                }
                Letter::Reset => inner.lines.remove(&number),
            }
        };
        // Its ends wake tasks, and a body that is dropped may send.
        drop(ended);
    }

    /// A call arrives: it is answered on the runtime of who listens.
    fn begin(self: &Arc<Self>, number: u64, to: Group, parts: http::request::Parts) {
        let (port, handle, pieces, gone) = {
            let mut inner = self.lock();
            let there = inner.listeners.get(&to.0).filter(|listener| listener.start == to.1);
            let Some((port, handle)) = there.map(|listener| (listener.port.clone(), listener.handle.clone())) else {
                inner.dispatch(number, Way::Down, Letter::Refuse("connection refused"));
                return;
            };
            let Some(line) = inner.lines.get_mut(&number) else { return };
            let Some(pieces) = line.at_server.take() else { return };
            (port, handle, pieces, line.gone.clone())
        };
        let call = Call::from_parts(parts, Body::new(Arriving::new(pieces, None)));
        let post = self.clone();
        handle.spawn(async move {
            let mut over = gone.clone();
            let answer = async {
                let (parts, body) = port(call).await.into_parts();
                post.send(number, Way::Down, Letter::Head(Box::new(parts)));
                pump(post.clone(), number, Way::Down, body, gone).await;
            };
            tokio::select! {
                biased;
                // Only ever closed.
                _ = over.changed() => {}
                () = answer => {}
            }
        });
    }
}

impl Inner {
    fn open(
        &mut self,
        from: Group,
        to: u64,
        lane: usize,
        down: mpsc::UnboundedSender<Piece>,
        head: Option<oneshot::Sender<Result<http::response::Parts, Status>>>,
        parts: http::request::Parts,
    ) -> (u64, watch::Receiver<()>) {
        let number = self.next_line;
        self.next_line += 1;
        let (up, at_server) = mpsc::unbounded_channel();
        let (there, gone) = watch::channel(());
        let may_double = MAY_DOUBLE.iter().any(|name| parts.uri.path().ends_with(name));
        let double = head.is_some() && may_double && self.rng.permille(self.weather.double_permille);
        let to = (to, self.starts.get(&to).copied().unwrap_or(0));
        let line = Line {
            from,
            to,
            lane,
            up,
            at_server: Some(at_server),
            down,
            head,
            copy: double.then(|| (parts.clone(), Vec::new())),
            _there: there,
            gone: gone.clone(),
        };
        self.lines.insert(number, line);
        self.dispatch(number, Way::Up, Letter::Open(Box::new(parts)));
        (number, gone)
    }

    /// A piece arrives at the server.
    fn take_up(&mut self, number: u64, piece: Piece) {
        let Some(line) = self.lines.get_mut(&number) else { return };
        let ends = matches!(piece, Piece::End);
        if let Some((_, pieces)) = &mut line.copy {
            pieces.push(piece.clone());
        }
        let copy = if ends { line.copy.take() } else { None };
        let (from, to, lane) = (line.from, line.to.0, line.lane);
        // A server that reads no more has answered already.
        let _ = line.up.send(piece);
        if let Some((parts, pieces)) = copy {
            self.again(from, to, lane, parts, pieces);
        }
    }

    /// A piece arrives at who called; the line, when it is over with it.
    fn take_down(&mut self, number: u64, piece: Piece) -> Option<Line> {
        let ends = matches!(piece, Piece::End);
        // Whoever called may have left.
        let _ = self.lines.get(&number)?.down.send(piece);
        if ends { self.lines.remove(&number) } else { None }
    }

    /// An answer begins to arrive: the connection stands.
    fn answer(&mut self, number: u64, parts: http::response::Parts) {
        let Some(line) = self.lines.get_mut(&number) else { return };
        let (from, to, lane) = (line.from.0, line.to.0, line.lane);
        let head = line.head.take();
        self.connected.insert((from, to, lane), ());
        if let Some(head) = head {
            // Whoever called may have left.
            let _ = head.send(Ok(parts));
        }
    }

    /// The same call comes once more, and nobody waits for what it answers.
    fn again(&mut self, from: Group, to: u64, lane: usize, parts: http::request::Parts, pieces: Vec<Piece>) {
        let (down, _) = mpsc::unbounded_channel();
        let (line, _) = self.open(from, to, lane, down, None, parts);
        for piece in pieces {
            self.dispatch(line, Way::Up, Letter::Piece(Way::Up, piece));
        }
    }

    fn push(&mut self, at_us: u64, line: u64, way: Way, letter: Letter) {
        self.order += 1;
        self.queue.insert((at_us, self.order), (line, way, letter));
    }

    fn dispatch(&mut self, number: u64, way: Way, letter: Letter) {
        let Some(line) = self.lines.get(&number) else { return };
        let (sender, receiver) = if way == Way::Up { (line.from, line.to) } else { (line.to, line.from) };
        let (from, to, lane) = (line.from.0, line.to.0, line.lane);
        // What a process says that is no more.
        if self.starts.get(&sender.0) != Some(&sender.1) && !matches!(letter, Letter::Refuse(_)) {
            return;
        }
        let link = (sender.0, receiver.0);
        let is_open = matches!(letter, Letter::Open(_));
        let fresh = !self.connected.contains_key(&(from, to, lane));
        let dark = self.machines.get(&receiver.0) == Some(&Machine::Dark);
        let is_cut = self.cut.contains_key(&link);
        if is_open && fresh && (dark || is_cut || self.cut.contains_key(&(link.1, link.0))) {
            let at_us = self.now_us + CONNECT_US;
            return self.push(at_us, number, Way::Down, Letter::Refuse("connecting took too long"));
        }
        if is_cut {
            self.held.entry(link).or_default().push_back((number, way, letter));
            return;
        }
        let (low, high) = self.weather.delay_us;
        let mut at_us = self.now_us + self.rng.between(low, high);
        if dark {
            // Nobody answers the pings on it either.
            return self.push(self.now_us + SILENCE_US, number, Way::Down, Letter::Reset);
        }
        if !is_open && self.starts.get(&receiver.0) != Some(&receiver.1) {
            // Whoever is there now knows nothing of this connection, and says so.
            return self.push(at_us, number, Way::Down, Letter::Reset);
        }
        if is_open && fresh {
            // Shaking hands.
            at_us += 2 * self.rng.between(low, high);
        }
        if self.rng.permille(self.weather.loss_permille) {
            at_us += AGAIN_US;
        }
        let pipe = if self.weather.overtaking { 1000 + number } else { lane as u64 };
        let last = self.last_us.entry((link.0, link.1, pipe)).or_insert(0);
        at_us = at_us.max(*last);
        *last = at_us;
        self.push(at_us, number, way, letter);
    }
}
