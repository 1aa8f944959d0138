//! Passwords, kept out of every text that someone might read.

use std::fmt;
use std::io::Read;
use std::path::Path;

use percent_encoding::percent_decode_str;
use url::Url;

/// Longest secret in a file, in bytes: longer is some other file named by mistake.
const SECRET_BYTES_MAX: u64 = 16 << 10;

/// A password or token. It prints as `***`; [`Secret::expose`] is the one way to its text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A user and the password that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads a file that holds nothing else; line ends after it are dropped, as editors add them.
    ///
    /// # Errors
    /// Why there is no secret in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let mut text = String::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text));
        if let Err(error) = read {
            return Err(format!("cannot read {} ({error})", path.display()));
        }
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() || text.len() as u64 > SECRET_BYTES_MAX {
            return Err(format!("{} does not hold a password", path.display()));
        }
        Ok(Self(secret.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Takes `user:password@` out of a URL. Percent-encoding is undone, as it is for a header.
#[must_use]
pub fn split_login(mut url: Url) -> (Url, Option<Login>) {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, password) = (decode(url.username()), decode(url.password().unwrap_or("")));
    if user.is_empty() && password.is_empty() {
        return (url, None);
    }
    // These fail only for a URL without a host, which has no user either.
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    debug_assert!(cleared.is_ok(), "a URL with a user has a host");
    let password = Secret(password);
    (url, Some(Login { user, password }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars_wherever_it_is() {
        let login = Login {
            user: "reader".into(),
            password: Secret::new("hunter2"),
        };
        let printed = format!("{login:?} {} {:?}", login.password, Some(&login.password));
        assert!(!printed.contains("hunter2"), "{printed}");
        assert_eq!(login.password.expose(), "hunter2");
    }

    #[test]
    fn a_login_is_taken_out_of_its_url() {
        let table = [
            ("https://upstream.example/simple/", None),
            (
                "https://u:p%40ss@upstream.example/simple/",
                Some(("u", "p@ss")),
            ),
            (
                "https://token@upstream.example/simple/",
                Some(("token", "")),
            ),
            ("https://:p@upstream.example/simple/", Some(("", "p"))),
        ];
        for (text, wanted) in table {
            let (url, login) = split_login(Url::parse(text).unwrap());
            assert_eq!(url.as_str(), "https://upstream.example/simple/");
            let login = login.map(|login| (login.user, login.password.0));
            assert_eq!(
                login,
                wanted.map(|(user, password)| (user.into(), password.into()))
            );
        }
    }

    #[test]
    fn a_secret_file_holds_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "hunter2\r\n").unwrap();
        assert_eq!(Secret::read(&path).unwrap().expose(), "hunter2");
        std::fs::write(&path, "\n").unwrap();
        assert!(
            Secret::read(&path)
                .unwrap_err()
                .ends_with("does not hold a password")
        );
        std::fs::write(&path, "x".repeat(20_000)).unwrap();
        assert!(Secret::read(&path).is_err());
        assert!(
            Secret::read(folder.path())
                .unwrap_err()
                .starts_with("cannot read")
        );
    }
}
