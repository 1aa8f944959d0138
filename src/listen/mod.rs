//! The doors: translate between the wire and the flows, never decide.

mod multipart;

pub use multipart::{FormLimits, Multipart, MultipartError, Part, PartHead};
