//! Reading files below a folder, and compressing bytes.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Every file below a folder, sorted by path; empty if the folder does not exist.
pub(crate) fn paths_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let below = paths.flat_map(|path| match path.is_dir() {
        true => paths_below(&path),
        false => vec![path],
    });
    let mut found: Vec<PathBuf> = below.collect();
    found.sort();
    found
}

/// Compresses bytes with gzip.
pub(crate) fn gzip(content: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("room in memory");
    encoder.finish().expect("room in memory").into()
}
