//! What a file says about itself: found in the archive, then parsed.

mod bounded;
mod copies;
mod directory;
mod examine;
mod fault;
mod fields;
mod headers;
mod metadata;
#[cfg(test)]
mod sample;
mod sdist;
mod startup;
mod whole;
mod zipped;

pub use bounded::{ArchiveBounds, DIRECTORY_WEIGHT};
pub use examine::{Examined, Unfit, examine};
pub use fault::ArchiveFault;
pub use fields::CoreMetadataFields;
pub use metadata::{is_dist_info, metadata_of};
#[cfg(test)]
pub use sample::zip_of;
pub use startup::has_startup_files;
pub use whole::ReleaseMetadata;
pub use zipped::{Around, ZipFault, find_in_zip};
