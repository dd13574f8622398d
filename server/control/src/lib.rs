//! Controllers and the scheduler: what the leader decides.
//!
//! Pure: a controller turns a view of the cluster into a [`Plan`] of API intents; the shell runs the intents through
//! the same defaulting, admission and validation as any request, stamped with the manager's epoch. Nothing here awaits,
//! reads a clock, or calls anybody.
//!
//! A controller is one file in `controllers/` and one row in [`controllers::ALL`]; a scheduler plugin one file in
//! `scheduler/filter/` or `scheduler/score/`.

pub mod controller;
pub mod controllers;
pub mod intent;
pub mod now;
pub mod objects;
pub mod runner;
pub mod scheduler;
pub mod view;

pub use controller::{Change, Controller, Key};
pub use intent::{Deletion, Intent, Plan, Target};
pub use now::{Moment, Now, Sight};
pub use runner::{Runner, Work};
pub use view::View;
