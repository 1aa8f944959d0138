//! Wheels that installers accept, of any size, from a seed.

use std::io::{Cursor, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A wheel and what an index says of it.
#[derive(Debug)]
pub(crate) struct Wheel {
    pub(crate) filename: String,
    pub(crate) content: Vec<u8>,
    pub(crate) metadata: String,
}

/// A wheel of `module` whose one data file has `payload` bytes that do not compress.
pub(crate) fn build(
    module: &str,
    version: &str,
    payload: usize,
    requires: &[String],
) -> anyhow::Result<Wheel> {
    let mut metadata = format!("Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n");
    for requirement in requires {
        metadata.push_str(&format!("Requires-Dist: {requirement}\n"));
    }
    metadata.push('\n');
    // A description, so that the sidecar has the size of an ordinary project's.
    for line in 0..64 {
        metadata.push_str(&format!(
            "{line:3} About {module}, a wheel made for measuring transfers.\n"
        ));
    }
    let info = format!("{module}-{version}.dist-info");
    let tags =
        "Wheel-Version: 1.0\nGenerator: side_by_side\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let files = [
        (format!("{module}/__init__.py"), b"".to_vec()),
        (format!("{module}/data.bin"), noise(module, payload)),
        (format!("{info}/METADATA"), metadata.clone().into_bytes()),
        (format!("{info}/WHEEL"), tags.as_bytes().to_vec()),
    ];
    let mut record = String::new();
    let mut zip = ZipWriter::new(Cursor::new(Vec::with_capacity(payload + 16_384)));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (path, content) in &files {
        let digest = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(content));
        record.push_str(&format!("{path},sha256={digest},{}\n", content.len()));
        zip.start_file(path.as_str(), options)?;
        zip.write_all(content)?;
    }
    record.push_str(&format!("{info}/RECORD,,\n"));
    zip.start_file(format!("{info}/RECORD"), options)?;
    zip.write_all(record.as_bytes())?;
    let content = zip.finish()?.into_inner();
    Ok(Wheel {
        filename: format!("{module}-{version}-py3-none-any.whl"),
        content,
        metadata,
    })
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: &str, length: usize) -> Vec<u8> {
    let mut state = seed.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64: a state that is not 0 never becomes 0.
        state |= u64::from(state == 0);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_wheel_holds_its_metadata_and_is_the_same_every_time() {
        let requires = ["other".to_owned()];
        let wheel = build("some", "1.0", 1000, &requires).unwrap();
        assert_eq!(wheel.filename, "some-1.0-py3-none-any.whl");
        assert_eq!(
            wheel.content,
            build("some", "1.0", 1000, &requires).unwrap().content
        );
        let mut archive = zip::ZipArchive::new(Cursor::new(wheel.content)).unwrap();
        let mut metadata = String::new();
        let mut entry = archive.by_name("some-1.0.dist-info/METADATA").unwrap();
        entry.read_to_string(&mut metadata).unwrap();
        assert_eq!(metadata, wheel.metadata);
        assert!(metadata.contains("Requires-Dist: other\n"));
    }

    #[test]
    fn noise_has_its_length_and_depends_on_the_seed() {
        for length in [0, 1, 8, 1001] {
            assert_eq!(noise("a", length).len(), length);
        }
        assert_ne!(noise("a", 64), noise("b", 64));
    }
}
