//! The wire: messages and services as generated, and their way to and from the house's own words.

pub mod convert;

/// `dagmar.v1`: what clients speak.
pub mod v1 {
    #![allow(clippy::all, clippy::unwrap_used, missing_docs)]
    tonic::include_proto!("dagmar.v1");
}
