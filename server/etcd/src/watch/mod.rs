//! Watches: one stream carries many.
//!
//! A member follows its store's events once ([`hub::Hub`]) and hands each to the watches it concerns. A watch that
//! begins in the past, or whose stream is slow, reads on by itself ([`catch_up`]) until it is where the hub is, and
//! joins it there. What waits to be sent waits in the stream's [`outbox::Outbox`], as references to events that are
//! encoded once for all of them.

mod catch_up;
mod hub;
mod index;
mod outbox;
mod shared;
mod stream;
mod watcher;

pub(crate) use hub::Hub;
