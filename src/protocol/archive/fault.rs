//! What is wrong with an archive, in words for its sender.

use std::io;

/// Why a file is not what its name says, in words that follow its name.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// It is not an archive of this kind, or a damaged one.
    #[error("is not a readable {0} archive")]
    NotAnArchive(&'static str),
    /// Something follows the end of the zip, or looks like another end: readers then differ in what
    /// they take for the archive.
    #[error(
        "does not end where its zip archive ends, so that readers differ in what is in it; build it again"
    )]
    TrailingBytes,
    /// Something precedes the beginning of the zip, which some readers skip and others read.
    #[error(
        "does not begin where its zip archive begins, so that readers differ in what is in it; build it again"
    )]
    LeadingBytes,
    /// Its directory exceeds the bound.
    #[error("has a directory over the limit of {0} bytes")]
    Directory(u64),
    /// Its metadata exceeds the bound.
    #[error("has metadata over the limit of {0} bytes")]
    Metadata(u64),
    /// A wheel without metadata, or with this many.
    #[error("holds {0} .dist-info/METADATA files, a wheel holds one")]
    NoMetadata(usize),
    /// This metadata occurs twice in the zip with different contents.
    #[error("holds {0} twice, and they differ; build it again")]
    Differing(String),
    /// It would have to be unpacked further than allowed.
    #[error("has unpacked content over the limit of {0} bytes")]
    Unpacked(u64),
    /// It could not be read at all.
    #[error("cannot be read")]
    Io(#[source] io::Error),
}
