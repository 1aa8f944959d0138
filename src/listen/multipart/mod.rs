//! Forms as uploads send them, read as they arrive.

mod delimiter;
mod form;
mod head;

pub use form::{FormLimits, FormPart, Multipart, MultipartError};
