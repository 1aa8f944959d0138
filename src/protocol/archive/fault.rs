//! What is wrong with an archive, in words for whoever sent it.

use std::io;

/// Why a file is not what its name says, in words that follow its name.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// It is not an archive of this kind, or a damaged one.
    #[error("is not a readable {0} archive")]
    NotAnArchive(&'static str),
    /// Something follows the end of the zip, or looks like another end: readers differ in what they take
    /// for the archive then.
    #[error(
        "does not end where its zip archive ends, so that readers differ in what is in it; build it again"
    )]
    TrailingBytes,
    /// Something stands before the beginning of the zip, which some readers skip and others read.
    #[error(
        "does not begin where its zip archive begins, so that readers differ in what is in it; build it again"
    )]
    LeadingBytes,
    /// Its directory is longer than was to be read.
    #[error("has a directory over the limit of {0} bytes")]
    Directory(u64),
    /// Its metadata is longer than was to be read.
    #[error("has metadata over the limit of {0} bytes")]
    Metadata(u64),
    /// A wheel without metadata, or with so many.
    #[error("holds {0} .dist-info/METADATA files, a wheel holds one")]
    NoMetadata(usize),
    /// This metadata stands in the zip twice and says different things.
    #[error("holds {0} twice, and they differ; build it again")]
    Differing(String),
    /// It has to be unpacked further than is allowed.
    #[error("has unpacked content over the limit of {0} bytes")]
    Unpacked(u64),
    /// It could not be read at all.
    #[error("cannot be read")]
    Io(#[source] io::Error),
}
