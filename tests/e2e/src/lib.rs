//! Clusters of real processes and a lean client, for the end-to-end tests and the benchmarks.

pub mod browser;
pub mod build;
pub mod client;
pub mod cluster;
pub mod docker;
pub mod etcd;
pub mod golden;
pub mod pages;
pub mod ports;

pub use client::{Client, Reply};
pub use cluster::Cluster;
