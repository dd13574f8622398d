//! One verb a file. Each works on a [`crate::context::Context`], so that HTTP and controllers share it.

pub(crate) mod attempts;
pub(crate) mod create;
pub(crate) mod decode;
pub(crate) mod delete;
pub(crate) mod delete_collection;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod list_options;
pub(crate) mod patch;
pub(crate) mod update;
pub(crate) mod watch;
pub(crate) mod watch_socket;
pub(crate) mod write;
pub(crate) mod write_options;
