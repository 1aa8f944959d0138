//! The digest of small copies, whose names say nothing about their content: sidecars, page copies,
//! lists and learned facts. It precedes the content in the same file, so that both are written at the
//! same instant.
//!
//! An old copy has none. Pages and lists are read all the same: their own format is strict, and nothing
//! that a disk makes of a seal has that format. A sidecar can be any text, so one without a seal is
//! read only by a caller that knows its digest.

use bytes::Bytes;

use crate::model::Sha256;
use crate::store::key::Key;

/// The beginning of a seal, which does not begin any page copy, list or name.
const MARK: &[u8] = b"#cheesecloth: sha256 ";

/// Length of the digest in it.
const DIGITS: usize = 64;

/// Length of a seal: the mark, the digest, and the end of the line.
pub(super) const SEAL_BYTES: usize = MARK.len() + DIGITS + 1;

/// What a file with room for a seal holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// What was sealed.
    Right(Bytes),
    /// Something other than what was sealed.
    Broken,
    /// It was never sealed, or that is unknown.
    Bare(Bytes),
}

/// Whether what is kept under a key is sealed. Files that are sent from the disk as they are, and files
/// for operators, are not.
pub(super) fn is_sealed(key: &Key) -> bool {
    match key {
        Key::MirrorMetadata(_)
        | Key::PrivateMetadata(_)
        | Key::Page { .. }
        | Key::Learned { .. }
        | Key::Described { .. }
        | Key::ProjectList { .. } => true,
        Key::MirrorFile(_)
        | Key::PrivateFile(_)
        | Key::RenderedList { .. }
        | Key::RecordsSeen
        | Key::Quarantine => false,
    }
}

/// Whether a copy without a seal may be read by any caller.
pub(super) fn may_be_bare(key: &Key) -> bool {
    !matches!(key, Key::MirrorMetadata(_) | Key::PrivateMetadata(_))
}

/// What precedes the content.
pub(super) fn seal(content: &[u8]) -> Vec<u8> {
    [MARK, Sha256::of(content).to_hex().as_bytes(), b"\n"].concat()
}

/// Takes the seal off.
pub(super) fn open(file: &Bytes) -> Opened {
    let beginning = &file[..file.len().min(MARK.len())];
    if beginning != &MARK[..beginning.len()] {
        return Opened::Bare(file.clone());
    }
    // Nothing empty is ever kept, so this covers an emptied file too.
    if file.len() < SEAL_BYTES {
        return Opened::Broken;
    }
    let content = file.slice(SEAL_BYTES..);
    if file[..SEAL_BYTES] == seal(&content)[..] {
        Opened::Right(content)
    } else {
        Opened::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Hashes;
    use crate::store::error::StoreError;
    use crate::store::fs::FsStore;

    const CONTENT: &[u8] = b"Metadata-Version: 2.1\nName: six\nVersion: 1.0\n";

    #[test]
    fn no_byte_of_what_is_sealed_can_change() {
        let sealed = [seal(CONTENT), CONTENT.to_vec()].concat();
        let right = Opened::Right(CONTENT.into());
        assert_eq!(open(&sealed.clone().into()), right);
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut flipped = sealed.clone();
                flipped[at] ^= 1 << bit;
                assert!(!matches!(open(&flipped.into()), Opened::Right(_)), "{at}");
            }
            let shorter = Bytes::copy_from_slice(&sealed[..at]);
            assert_eq!(open(&shorter), Opened::Broken, "{at}");
        }
        assert_eq!(open(&[&sealed[..], b"x"].concat().into()), Opened::Broken);
    }

    #[test]
    fn a_sidecar_of_before_is_read_by_who_knows_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        let key = Key::PrivateMetadata(Sha256::of(b"wheel"));
        store.put_small(&key, CONTENT).unwrap();
        let path = folder.path().join(key.path());
        let limit = CONTENT.len() as u64;
        assert_eq!(store.read_small(&key, limit).unwrap().unwrap(), CONTENT);
        std::fs::write(&path, CONTENT).unwrap();
        assert_eq!(store.read_small(&key, limit).unwrap(), None);
        let known = |content: &[u8]| Hashes::sha256_only(Sha256::of(content));
        let read = |known| store.read_known(&key, limit, &known).unwrap();
        assert_eq!(read(known(CONTENT)).unwrap(), CONTENT);
        assert_eq!(read(known(b"another")), None);
        assert_eq!(read(Hashes::default()), None);
        std::fs::write(&path, [&seal(CONTENT)[..], b"another"].concat()).unwrap();
        let error = store.read_small(&key, limit).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }
}
