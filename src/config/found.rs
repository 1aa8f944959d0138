//! The index that stands for pip's, and where it was named.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::model::Login;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundIndex {
    /// The index.
    pub url: Url,
    /// How to log in to it, if its URL said.
    pub login: Option<Login>,
    /// Where it was named.
    pub origin: Origin,
    /// In which file, if pip says so of its configuration.
    pub file: Option<PathBuf>,
}

impl FoundIndex {
    /// Its URL including the login, as records keep it.
    #[must_use]
    pub fn url_with_login(&self) -> Url {
        let mut url = self.url.clone();
        if let Some(login) = &self.login {
            // These fail only for a URL without a host, and pip's has one.
            let _ = url.set_username(&login.user);
            let _ = url.set_password(Some(login.password.expose()));
        }
        url
    }
}

impl fmt::Display for FoundIndex {
    /// Which index, and where it was named: never its login.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (by {}", self.url, self.origin.as_str())?;
        if let Some(file) = &self.file {
            write!(formatter, ", {}", file.display())?;
        }
        if self.login.is_some() {
            formatter.write_str("; with a login")?;
        }
        formatter.write_str(")")
    }
}

/// Where the index was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `CHEESECLOTH_MIRROR_URL`.
    OurVariable,
    /// `PIP_INDEX_URL`.
    PipVariable,
    /// One of pip's configuration files.
    PipConfiguration,
    /// pip itself.
    PipDefault,
    /// pip, at an earlier start.
    Remembered,
}

impl Origin {
    /// Its name in the words of a fault or a log line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OurVariable => "CHEESECLOTH_MIRROR_URL",
            Self::PipVariable => "PIP_INDEX_URL",
            Self::PipConfiguration => "pip's configuration",
            Self::PipDefault => "pip's own default",
            Self::Remembered => "what pip said at an earlier start",
        }
    }
}
