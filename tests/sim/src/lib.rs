//! The whole cluster in one thread from one seed.
//!
//! A [`plan::Plan`] is drawn from a seed: members, timings, faults, work. A [`world::World`] lives it through in virtual
//! time over a model of consensus; the state machine, the event feed, the window of retries and everything above them are
//! the code that ships, up to the API, the manager with its controllers and scheduler, and what nodes decide ([`kube`]).
//! A [`judge::Judge`] sees all of it and finds what does not hold. The same seed gives the same world, step by step.

pub mod checkers;
pub mod client;
pub mod clock;
pub mod consensus;
pub mod disk;
pub mod faults;
pub mod fleet;
pub mod judge;
pub mod kube;
pub mod ledger;
pub mod member;
pub mod net;
pub mod plan;
pub mod rng;
pub mod run;
pub mod shipped;
pub mod shrink;
pub mod store;
pub mod tasks;
pub mod trace;
pub mod workloads;
pub mod world;
