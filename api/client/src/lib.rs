//! The typed client of `trireme.v1`, for the command line, tests and other programs.
//!
//! It knows several masters and speaks to one of them; when that one fails, the next. Reads, lists and watches go on at
//! another master where they stopped, within the caller's deadline. A transaction is sent again only when the first attempt
//! is known to have changed nothing; otherwise the error says that its outcome is unknown, and who wants to repeat it has to
//! look first.
//!
//! Invariants:
//! - no transaction is applied twice by this client's doing;
//! - a list is of one revision, a watch has neither gaps nor repetitions, however many masters they went through;
//! - every call ends by its deadline; watches have none.

mod cluster;
mod error;
mod list;
mod maintenance;
mod masters;
mod store;
mod unproven;
mod watch;

pub use api_proto::v1;
pub use error::Error;
pub use list::List;
pub use maintenance::Backup;
pub use masters::{Client, Options, Tls};
pub use store::Freshness;
pub use unproven::unproven;
pub use watch::Watch;
