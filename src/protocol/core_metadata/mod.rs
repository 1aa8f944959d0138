//! What a file says of itself: found in the archive, then read.

mod archive;
mod bounded;
mod copies;
mod examine;
mod fields;
mod tar;

pub use bounded::{ArchiveBounds, Bounded, DIRECTORY_WEIGHT, Spent};
pub use copies::copies_agree;
pub use examine::{Examined, Unfit, examine};
pub use fields::CoreMetadataFields;
