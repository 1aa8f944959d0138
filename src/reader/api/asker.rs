//! Who is asking, as far as it matters for reading.

use serde_json::{Value, json};

use crate::account::Principal;

/// Who is asking. Reading needs no permission; the difference is what a client is told about itself, and
/// how much of the server's internals is shown.
#[derive(Debug, Clone, Copy)]
pub enum Asker<'a> {
    /// Somebody at the public door, which knows no accounts.
    Public,
    /// Somebody at the management door, after checking the credentials: invalid ones make
    /// [`Principal::Anonymous`], and the client discards them when it reads that.
    Management(&'a Principal),
}

impl Asker<'_> {
    /// The name of a user who is logged in.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Public => None,
            Self::Management(principal) => principal.name(),
        }
    }

    /// `authstatus` of `+api`: `["ok", user, [groups]]` or `["noauth", "", []]`.
    pub fn auth_status(self) -> Value {
        match self.user() {
            Some(name) => json!(["ok", name, []]),
            None => json!(["noauth", "", []]),
        }
    }

    /// Whether more is shown than what every client may know.
    pub fn sees_inside(self) -> bool {
        match self {
            Self::Public => false,
            Self::Management(_) => true,
        }
    }
}
