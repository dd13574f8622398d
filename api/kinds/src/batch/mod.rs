//! Jobs (batch/v1). Stored, defaulted and judged; no controller of ours runs them yet.

pub mod cron_job;
pub mod job;
mod schedule;
