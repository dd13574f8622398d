//! The black box: a cluster of real processes, clients that note what they saw, faults on a seeded schedule, and
//! checkers that judge the notes. In the spirit of Jepsen and of etcd's robustness tests.
//!
//! What holds here:
//!
//! - A client notes a call before it is sent and its end after the answer is there, by one monotonic clock. A call
//!   whose answer says nothing certain is noted as *info*: it may have happened, or happen later.
//! - A seed fixes the schedule of faults and every choice of the clients. It does not fix how processes interleave:
//!   a failing seed raises the odds, the history is the proof.
//! - A checker that cannot decide within its bound has failed. A round that checked nothing has failed too.
//! - Adding a workload, a nemesis or a checker is one file and one row in its registry.

pub mod checkers;
pub mod client;
pub mod cluster;
pub mod edn;
pub mod effects;
pub mod etcd;
pub mod history;
pub mod majority;
pub mod nemeses;
pub mod planted;
pub mod progress;
pub mod report;
pub mod round;
pub mod samples;
pub mod schedule;
pub mod stalls;
pub mod supervisor;
pub mod timeline;
pub mod workloads;
pub mod world;
