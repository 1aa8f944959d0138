//! A secret in a file of its own.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::model::Secret;

/// Longest secret in a file, in bytes; a longer file was named by mistake.
const SECRET_BYTES_MAX: u64 = 16 << 10;

/// Reads a file that holds nothing but a secret; trailing line ends are dropped, as editors add them.
///
/// # Errors
/// Why it holds no secret.
pub(super) fn read_secret(path: &Path) -> Result<Secret, String> {
    let mut text = String::new();
    let read = fs::File::open(path)
        .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text));
    if let Err(error) = read {
        return Err(format!("cannot read {} ({error})", path.display()));
    }
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || text.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("{} does not hold a password", path.display()));
    }
    Ok(Secret::new(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_holds_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "hunter2\r\n").unwrap();
        assert_eq!(read_secret(&path).unwrap().expose(), "hunter2");
        fs::write(&path, "\n").unwrap();
        assert!(
            read_secret(&path)
                .unwrap_err()
                .ends_with("does not hold a password")
        );
        fs::write(&path, "x".repeat(20_000)).unwrap();
        assert!(read_secret(&path).is_err());
        assert!(
            read_secret(folder.path())
                .unwrap_err()
                .starts_with("cannot read")
        );
    }
}
