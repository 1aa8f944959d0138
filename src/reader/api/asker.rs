//! Who asks, as far as reading makes a difference.

use serde_json::{Value, json};

use crate::account::Principal;

/// Who asks. Reading needs no permission; the difference is what a client is told about itself, and
/// how much of the server's inside is shown.
#[derive(Debug, Clone, Copy)]
pub enum Asker<'a> {
    /// Somebody at the public door, which knows no accounts.
    Public,
    /// Somebody at the management door, after a look at the credentials: bad ones make
    /// [`Principal::Anonymous`], and the client drops them when it reads that.
    Management(&'a Principal),
}

impl Asker<'_> {
    /// `authstatus` of `+api`: `["ok", user, [groups]]` or `["noauth", "", []]`.
    pub fn auth_status(self) -> Value {
        let name = match self {
            Self::Public => None,
            Self::Management(principal) => principal.name(),
        };
        match name {
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
