//! Structural schemas of the API's types, and everything that works on them: decoding and pruning, patches, field ownership
//! and server-side apply, OpenAPI documents, protobuf.
//!
//! Pure: no clocks, no I/O, a defined order everywhere. One engine serves built-in kinds (facts in
//! `definitions/table.txt`, made by xtask) and whatever else brings a [`Schema`]: a set of [`Definitions`] can be built from
//! the structural schemas of custom resources as well.
//!
//! A write passes through here in this order: [`decode`] (or a [`patch`] and [`check`]) → the kind's defaulting →
//! [`apply::track_update`] → validation. A server-side apply replaces the first and the third by [`apply::apply`].
//!
//! Invariants:
//! - What leaves [`decode`] or [`check`] has only fields of its schema, of the right types, without nulls but where Go would write one.
//! - What leaves [`settle`] has every field that Go's encoder would write, empty as it may be.
//! - A write that changes nothing leaves `managedFields` as they are, byte for byte.
//! - Applying a configuration twice is applying it once.

pub mod apply;
mod check;
mod decode;
pub mod definitions;
pub mod go;
pub mod openapi;
pub mod parse;
pub mod patch;
pub mod protobuf;
mod scalar;
mod settle;

pub use decode::{DecodeError, Decoded, FieldValidation, Format, check, decode, no_object, unrecognized};
pub use definitions::{Definition, Definitions, Field, Schema, Type};
pub use settle::settle;
