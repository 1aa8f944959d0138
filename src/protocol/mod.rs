//! What a request asks and what a response may claim.

mod core_metadata;
mod upload_form;

pub use core_metadata::{ArchiveFault, CoreMetadataFault, CoreMetadataFields, metadata_of};
pub use upload_form::{
    ClaimedDigests, FileSubmission, FormFault, FormFaults, MetadataFields, Submission,
    SubmittedRelease, UploadForm, complete, is_list_field,
};
