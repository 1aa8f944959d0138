//! Passwords, kept out of any text that someone might read.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

/// A password or token. It prints as `***`; only [`Secret::expose`] gives its text.
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

impl Login {
    /// This user with this password.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: Secret::new(password),
        }
    }

    /// Takes `user:password@` out of a URL, so that the URL can be shown. Percent-encoding is undone, as it
    /// is for a header.
    pub fn take_from(url: &mut Url) -> Option<Self> {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = (decode(url.username()), decode(url.password().unwrap_or("")));
        if user.is_empty() && password.is_empty() {
            return None;
        }
        // These fail only for a URL without a host, which has no user either.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Some(Self::new(user, password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars_wherever_it_is() {
        let login = Login::new("reader", "hunter2");
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
            let mut url = Url::parse(text).unwrap();
            let login = Login::take_from(&mut url);
            assert_eq!(url.as_str(), "https://upstream.example/simple/");
            assert_eq!(
                login,
                wanted.map(|(user, password)| Login::new(user, password))
            );
        }
    }
}
