//! Kinds around networks.

pub mod endpoint_slice;
pub mod ip_address;
