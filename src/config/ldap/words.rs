//! What the keys of `manage.ldap` hold.

use url::Url;

use crate::language::{Misread, Word};
use crate::model::PersonTemplate;

/// Whether a certificate has to be valid: a word, or the number that Python has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validate(pub(super) bool);

impl Word for Validate {
    fn wanted() -> String {
        "required (2) or none (0)".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        match text {
            "required" | "optional" | "2" | "1" => Ok(Self(true)),
            "none" | "0" => Ok(Self(false)),
            _ => Err(Misread::new(format!("{text:?} is not {}", Self::wanted()))),
        }
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "enum": ["required", "optional", "none", 0, 1, 2] })
    }
}

/// A template as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(pub(super) PersonTemplate);

impl Word for Template {
    fn wanted() -> String {
        "a text with {username} in it".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let template = PersonTemplate::parse(text).map_err(Misread::new)?;
        if !template.has_username() && !template.has_userdn() {
            return Err(Misread::new(format!("{text:?} is the same for everybody"))
                .hint("put {username} where their name goes"));
        }
        Ok(Self(template))
    }
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LdapUrl(pub(super) Url);

impl Word for LdapUrl {
    fn wanted() -> String {
        "a URL such as ldaps://ldap.corp.example".into()
    }

    /// A fault does not repeat the URL: it may contain a password.
    fn read(text: &str) -> Result<Self, Misread> {
        let wrong = || Misread::new(format!("not {}", Self::wanted()));
        let url = Url::parse(text.trim()).map_err(|_| wrong())?;
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && matches!(url.path(), "" | "/")
            && url.query().is_none();
        if !has_host || !matches!(url.scheme(), "ldap" | "ldaps" | "ldapi") {
            return Err(wrong());
        }
        if !is_bare {
            return Err(wrong().hint("leave out what follows the host and the port"));
        }
        Ok(Self(url))
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": "^ldap[is]?://" })
    }
}
