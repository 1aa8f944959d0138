//! What a file says about itself: found in the archive, then parsed.

mod bounded;
mod copies;
mod examine;
mod fault;
mod fields;
mod metadata;
mod sdist;
mod zipped;

pub use bounded::{ArchiveBounds, DIRECTORY_WEIGHT};
pub use examine::{Examined, Unfit, examine};
pub use fields::CoreMetadataFields;
pub use metadata::is_dist_info;
pub use zipped::{Around, ZipFault, find_in_zip};
