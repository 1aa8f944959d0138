//! Upload forms: what they ask for, or everything that is wrong with them.

mod agreement;
mod digests;
mod fault;
mod fields;
mod form;

pub use agreement::{is_version, names_version};
pub use digests::ClaimedDigests;
pub use fields::{complete, stated_requirement};
pub use form::{FileSubmission, Submission, SubmittedRelease, UploadForm};
