//! Where a directory of people is and how it is asked (LDAP, RFC 4511): what `manage.ldap` says, and
//! `devpi-ldap` in devpi's own file.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::model::Secret;

/// Longest life of an answer: what a directory takes away is gone within this time.
pub const DIRECTORY_RECHECK_MAX: Duration = Duration::from_mins(1);

/// A directory of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySettings {
    /// Its servers, in the order in which they are tried; at least one.
    pub servers: Vec<DirectoryServer>,
    /// How a user's entry is found.
    pub user: FindUser,
    /// How the groups of a user are found; nobody is in a group without it.
    pub groups: Option<DirectorySearch>,
    /// How long one server may take to answer one question.
    pub timeout: Duration,
    /// How long an answer holds; at most [`DIRECTORY_RECHECK_MAX`].
    pub recheck: Duration,
}

/// One server of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryServer {
    /// `ldap`, `ldaps` or `ldapi`, with a host and nothing else but a port.
    pub url: Url,
    /// How its connections are encrypted.
    pub tls: DirectoryTls,
}

/// How connections to a server are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryTls {
    /// Whether a connection that begins without encryption asks for it (RFC 4511 §4.14).
    pub start_tls: bool,
    /// Whether the server's certificate has to be valid.
    pub is_verified: bool,
    /// Who may have signed it; the system's authorities if there is none.
    pub authorities: Vec<CertificateSource>,
    /// Our own certificate and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Where certificates are, in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// In a file.
    File(PathBuf),
    /// In the files of a folder.
    Folder(PathBuf),
    /// In the configuration itself.
    Text(String),
}

/// How a user's entry is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindUser {
    /// By its name, without asking.
    Template(PersonTemplate),
    /// By a search.
    Search(DirectorySearch),
}

/// A search of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySearch {
    /// The entry below which it looks.
    pub base: String,
    /// What it looks for (RFC 4515).
    pub filter: PersonTemplate,
    /// How far below the base.
    pub scope: DirectoryScope,
    /// The attribute that holds what is looked for; the entry's own name for `dn` and `distinguishedName`.
    pub attribute: String,
    /// Who asks; absent: whoever the connection belongs to at that time, or nobody.
    pub account: Option<DirectoryAccount>,
}

/// An account that may search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryAccount {
    /// Its distinguished name.
    pub dn: String,
    /// Its password.
    pub password: Secret,
}

/// How far below its base a search looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DirectoryScope {
    /// Nowhere: only at the base itself.
    Base,
    /// At the entries directly below.
    OneLevel,
    /// At the base and everything below.
    #[default]
    Subtree,
}

/// A text in which `{username}` and `{userdn}` stand for those of a person; `{{` is a brace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonTemplate(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Username,
    Userdn,
}

/// A text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// A placeholder of another name.
    #[error("{{{0}}} stands for nothing here")]
    Unknown(String),
    /// A brace that is neither doubled nor closed.
    #[error("a brace that belongs to no placeholder; as itself it is written twice")]
    Brace,
}

/// Who a template is filled for.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// The name that they gave.
    pub username: &'a str,
    /// The distinguished name of their entry; empty before it is known.
    pub userdn: &'a str,
}

impl PersonTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// When something in braces is no placeholder.
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let mut pieces = Vec::new();
        let (mut plain, mut rest) = (String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let brace = &rest[at..=at];
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let (name, after) = rest
                .split_once('}')
                .filter(|_| brace == "{")
                .ok_or(InvalidTemplate::Brace)?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(match name {
                "username" => Piece::Username,
                "userdn" => Piece::Userdn,
                other => return Err(InvalidTemplate::Unknown(other.to_owned())),
            });
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// Whether it asks for a person's name.
    #[must_use]
    pub fn has_username(&self) -> bool {
        self.0.contains(&Piece::Username)
    }

    /// Whether it asks for the name of a person's entry.
    #[must_use]
    pub fn has_userdn(&self) -> bool {
        self.0.contains(&Piece::Userdn)
    }

    /// Whether it is filled to the name of an entry, and not to what a directory takes in its place, such as
    /// `anna@corp.example`.
    #[must_use]
    pub fn names_entry(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Text(text)) if text.contains('='))
    }

    /// The text for a person, of whom everything is escaped.
    #[must_use]
    pub fn fill(&self, person: Person<'_>, escape: impl Fn(&str) -> String) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Username => escape(person.username),
            Piece::Userdn => escape(person.userdn),
        });
        pieces.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_with_what_is_escaped() {
        let person = Person {
            username: "anna",
            userdn: "cn=a",
        };
        for (text, expected) in [
            ("uid={username},ou=people", "uid=<anna>,ou=people"),
            (
                "(&(a={username})(member={userdn}))",
                "(&(a=<anna>)(member=<cn=a>))",
            ),
            ("{{{username}}}", "{<anna>}"),
            ("{username}", "<anna>"),
            ("{username}=x", "<anna>=x"),
            ("nobody", "nobody"),
            ("", ""),
        ] {
            let template = PersonTemplate::parse(text).unwrap();
            let filled = template.fill(person, |text| format!("<{text}>"));
            assert_eq!(filled, expected, "{text}");
            assert_eq!(template.has_username(), text.contains("{username}"));
            assert_eq!(template.has_userdn(), text.contains("{userdn}"));
            let is_entry = text.starts_with("uid=") || text.starts_with("(&(a=");
            assert_eq!(template.names_entry(), is_entry, "{text}");
        }
    }

    #[test]
    fn what_stands_for_nothing_is_no_template() {
        let unknown = |name: &str| InvalidTemplate::Unknown(name.into());
        for (text, why) in [
            ("uid={user}", unknown("user")),
            ("uid={}", unknown("")),
            ("uid={username!r}", unknown("username!r")),
            ("uid={username", InvalidTemplate::Brace),
            ("uid=username}", InvalidTemplate::Brace),
        ] {
            assert_eq!(PersonTemplate::parse(text), Err(why), "{text}");
        }
    }
}
