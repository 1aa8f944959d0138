//! Who a request comes from.

use globset::GlobBuilder;

use crate::db::TokenOperation;
use crate::model::IndexName;

/// The user who may do everything, unless `restrict_modify` says otherwise.
pub const ROOT: &str = "root";

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A client that gave no credentials.
    Anonymous,
    /// A user, or a token that acts for one.
    Known(Identity),
}

/// A user, or a token that acts for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: String,
    /// What a CI token is limited to; `None` for everything the user may do.
    pub scope: Option<Scope>,
    /// The groups that the user is in, without the colon that lists write before them.
    pub groups: Vec<String>,
    /// How they said who they are.
    pub means: Means,
}

/// How somebody says who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// A password that is kept here.
    Password,
    /// A CI token.
    Token,
    /// A login, which somebody who gave a password got for it.
    Session,
    /// A password that a directory knows.
    Ldap,
    /// A proxy's word.
    Header,
}

impl Means {
    /// As the audit writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Token => "token",
            Self::Session => "session",
            Self::Ldap => "ldap",
            Self::Header => "header",
        }
    }
}

/// A CI token and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The token's id, its public part.
    pub token: String,
    /// Globs of the allowed indexes; empty for any index. `*` does not match a slash.
    pub indexes: Vec<String>,
    /// The allowed operations.
    pub operations: Vec<TokenOperation>,
}

impl Scope {
    /// Whether it covers an index. An invalid glob matches nothing.
    #[must_use]
    pub fn reaches(&self, index: &IndexName) -> bool {
        let matches = |pattern: &String| {
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            glob.is_ok_and(|glob| glob.compile_matcher().is_match(index.as_str()))
        };
        self.indexes.is_empty() || self.indexes.iter().any(matches)
    }
}

impl Principal {
    /// A user who gave a password, and is in no group.
    #[must_use]
    pub fn user(name: impl Into<String>) -> Self {
        Self::Known(Identity {
            user: name.into(),
            scope: None,
            groups: Vec::new(),
            means: Means::Password,
        })
    }

    /// The user's name; `None` for anonymous.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Known(identity) => Some(&identity.user),
        }
    }

    /// Whether it is this user.
    #[must_use]
    pub fn is(&self, user: &str) -> bool {
        self.name() == Some(user)
    }

    /// The groups they are in.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        match self {
            Self::Anonymous => &[],
            Self::Known(identity) => &identity.groups,
        }
    }

    /// How they said who they are.
    #[must_use]
    pub fn means(&self) -> Option<Means> {
        match self {
            Self::Anonymous => None,
            Self::Known(identity) => Some(identity.means),
        }
    }

    /// What a CI token is limited to.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        match self {
            Self::Anonymous => None,
            Self::Known(identity) => identity.scope.as_ref(),
        }
    }
}
