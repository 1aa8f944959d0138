//! What objects are called: a digest in hexadecimal digits, and nothing that a server might write another
//! way.

use object_store::path::Path;

use crate::model::Sha256;

/// What all objects with uploaded bytes have in their keys.
pub(super) const PRIVATE: &str = "p";

/// What follows the wheel's digest in the key of its metadata.
const METADATA_ENDING: &str = ".metadata";

/// The key of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DepotKey {
    /// A file that a stage holds.
    File(Sha256),
    /// The metadata of a wheel that a stage holds, by the wheel's digest.
    Metadata(Sha256),
}

impl DepotKey {
    /// The digest in the key.
    #[must_use]
    pub fn kept_under(&self) -> Sha256 {
        match *self {
            Self::File(digest) | Self::Metadata(digest) => digest,
        }
    }

    /// The whole key, below a prefix.
    pub(super) fn path(&self, prefix: &Path) -> Path {
        let hex = self.kept_under().to_hex();
        let ending = match self {
            Self::File(_) => "",
            Self::Metadata(_) => METADATA_ENDING,
        };
        let name = format!("{hex}{ending}");
        prefix.clone().join(PRIVATE).join(&hex[..2]).join(name)
    }

    /// The key of an object below a prefix; `None` for what is not ours.
    pub(super) fn of(path: &Path, prefix: &Path) -> Option<Self> {
        let name = path.filename()?;
        let key = match name.strip_suffix(METADATA_ENDING) {
            Some(hex) => Self::Metadata(Sha256::parse(hex).ok()?),
            None => Self::File(Sha256::parse(name).ok()?),
        };
        (key.path(prefix) == *path).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_digest_and_is_known_again() {
        let digest = Sha256::of(b"");
        for prefix in [Path::default(), Path::from("team/wheels")] {
            for key in [DepotKey::File(digest), DepotKey::Metadata(digest)] {
                assert_eq!(DepotKey::of(&key.path(&prefix), &prefix), Some(key));
            }
        }
        let hex = digest.to_hex();
        let path = DepotKey::File(digest).path(&Path::from("team"));
        assert_eq!(path.as_ref(), format!("team/p/e3/{hex}"));
        let prefix = Path::default();
        for odd in [
            format!("p/{hex}"),
            format!("p/e4/{hex}"),
            format!("p/e3/{}", hex.to_uppercase()),
            format!("m/e3/{hex}"),
            format!("p/e3/{hex}.part"),
            "records.json".to_owned(),
        ] {
            assert_eq!(
                DepotKey::of(&Path::from(odd.as_str()), &prefix),
                None,
                "{odd}"
            );
        }
    }
}
