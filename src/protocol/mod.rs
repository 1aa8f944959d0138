//! What a request asks and what a response may claim.
//!
//! A request's way through this room:
//!
//! ```text
//! path, headers ─ PublicRoute::parse ─┬ pages ─ Preferences ─ is_not_modified
//!                                     └ files ─ is_not_modified ─ select_range
//! ```
//!
//! Everything here is pure: headers in, decisions out. Refusals get their words from [`Problem`].

mod accept;
mod archive;
mod attestation;
mod audience;
mod conditional;
mod date;
mod encoding;
mod freshness;
mod gzip_piece;
mod head;
mod header_list;
mod manage_route;
mod packing;
mod preferences;
mod problem;
mod range;
mod route;
mod segments;
mod strict;
mod upload_form;

pub use accept::Format;
#[cfg(test)]
pub use archive::zip_of;
pub use archive::{
    ArchiveBounds, ArchiveFault, Around, CoreMetadataFields, DIRECTORY_WEIGHT, Examined,
    ReleaseMetadata, Unfit, ZipFault, examine, find_in_zip, has_startup_files, is_dist_info,
    metadata_of,
};
pub use attestation::{PROVENANCE_TYPE, is_provenance};
pub use audience::Audience;
pub use conditional::{ETag, is_not_modified};
pub use date::{http_date, parse_http_date};
pub use encoding::Encoding;
pub use freshness::{lifetime, stated_lifetime, wants_validated};
pub use gzip_piece::{GzipMember, GzipPiece};
pub use head::{CACHE_STATUS, Head, SERVER_TIMING, X_REQUEST_ID, constant_headers};
pub use manage_route::{CacheWork, Deletable, Intent, ManageRoute, RecallIntent};
pub use packing::Packing;
pub use preferences::Preferences;
pub use problem::{Problem, devpi_message, reason_phrase};
pub use range::{Selected, content_range, content_range_unsatisfied, select_range};
pub use route::{ApiOf, AskedIndex, PublicRoute, UPLOADS_FEED};
pub use strict::{BadHead, check_parts, check_raw, is_host};
pub use upload_form::{
    ClaimedDigests, FileSubmission, Submission, SubmittedRelease, UploadForm, complete, is_version,
    names_version, stated_requirement,
};
