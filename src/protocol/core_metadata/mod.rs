//! What a file says of itself: found in the archive, then read.

mod archive;
mod fields;
mod tar;

pub use archive::{ArchiveFault, metadata_of};
pub use fields::{CoreMetadataFault, CoreMetadataFields};
