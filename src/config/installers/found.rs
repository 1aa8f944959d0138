//! One setting of an installer.

use url::Url;

/// An installer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Installer {
    /// pip.
    Pip,
    /// uv.
    Uv,
    /// poetry.
    Poetry,
}

impl Installer {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pip => "pip",
            Self::Uv => "uv",
            Self::Poetry => "poetry",
        }
    }
}

/// What a setting does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// It takes the place of the built-in index.
    Index,
    /// It is asked as well.
    Extra,
    /// Files are looked for there as well.
    Links,
    /// How several indexes are combined.
    Strategy,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Whose.
    pub installer: Installer,
    /// Where it is written: a file, or a variable of the environment.
    pub at: String,
    /// The key, as that place spells it.
    pub key: String,
    /// The URL, without its login, or the word.
    pub value: String,
    /// What it does.
    pub kind: SettingKind,
    /// Whether another place has its say instead.
    pub is_overridden: bool,
}

impl Setting {
    /// The values of a key: white space and commas part several URLs.
    pub(super) fn several(
        installer: Installer,
        (at, key): (&str, &str),
        text: &str,
        kind: SettingKind,
    ) -> Vec<Self> {
        let words = text.split_whitespace().filter(|word| !word.is_empty());
        let setting = |word: &str| Self {
            installer,
            at: at.to_owned(),
            key: key.to_owned(),
            value: redacted(word),
            kind,
            is_overridden: false,
        };
        words.map(setting).collect()
    }
}

/// A URL without what may be secret in it: whoever logs in, with what, and what a query says. Anything else is
/// left as it is, up to an `@`.
#[must_use]
pub fn redacted(text: &str) -> String {
    // uv spells a named index name=URL.
    let (name, text) = match text.split_once('=') {
        Some((name, url)) if url.contains("://") && !name.contains([':', '/']) => (Some(name), url),
        _ => (None, text),
    };
    let bare = match Url::parse(text) {
        Ok(mut url) if url.has_host() => {
            if !url.username().is_empty() || url.password().is_some() {
                let _ = (url.set_username("***"), url.set_password(None));
            }
            if url.query().is_some() {
                url.set_query(Some("***"));
            }
            url.to_string()
        }
        Ok(_) | Err(_) => match text.rsplit_once('@') {
            Some((_, rest)) => format!("***@{rest}"),
            None => text.to_owned(),
        },
    };
    match name {
        Some(name) => format!("{name}={bare}"),
        None => bare,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_login_is_shown() {
        for (text, expected) in [
            (
                "https://u:s3cret@h.example/simple/",
                "https://***@h.example/simple/",
            ),
            (
                "https://s3cret@h.example/simple",
                "https://***@h.example/simple",
            ),
            (
                "corp=https://u:s3cret@h.example/",
                "corp=https://***@h.example/",
            ),
            (
                "https://h.example/simple/?token=s3cret",
                "https://h.example/simple/?***",
            ),
            ("https://u:s3cret@/simple", "***@/simple"),
            ("u:s3cret@h.example", "***@h.example"),
            ("unsafe-best-match", "unsafe-best-match"),
            ("./wheels", "./wheels"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }
}
