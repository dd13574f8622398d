//! Scalars that are more than JSON's own: times, quantities, bytes. Each is read strictly and written canonically, so that
//! equal values are equal text.

mod base64;
mod quantity;
mod time;

pub(crate) use base64::invalid_at;
pub(crate) use quantity::{MALFORMED as QUANTITY_MALFORMED, canonical as canonical_quantity};
pub(crate) use time::{Precision, canonical as canonical_time};
