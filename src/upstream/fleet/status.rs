//! A devpi-server's statement about itself at `+status` (docs/protocol/devpi.md §3.2).
//!
//! Only this makes a server healthy: a proxy's error page, an installer's page and a server that is still
//! starting answer 200 too.

use serde::Deserialize;

/// Whether a server takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The only one that takes writes. A server without replicas is one as well.
    Primary,
    /// Follows a primary.
    Replica,
}

/// A server's own status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Its role.
    pub role: Role,
    /// Number of its last committed transaction; -1 for a replica that has nothing yet.
    pub serial: i64,
}

/// Why an answer is not a devpi-server's status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStatus {
    /// Not JSON, or not of devpi's shape.
    #[error("no status of a devpi-server: {0}")]
    Shape(String),
    /// JSON with another `type` than `status`.
    #[error("an object of type {0:?} and not a devpi-server's status")]
    Type(String),
    /// An unknown role.
    #[error("unknown role {0:?}")]
    Role(String),
}

#[derive(Deserialize)]
struct Envelope {
    r#type: String,
    result: Account,
}

#[derive(Deserialize)]
struct Account {
    role: String,
    serial: i64,
}

impl Status {
    /// Reads the body of `+status`.
    ///
    /// # Errors
    /// See [`InvalidStatus`].
    pub fn parse(body: &[u8]) -> Result<Self, InvalidStatus> {
        let envelope: Envelope = serde_json::from_slice(body)
            .map_err(|error| InvalidStatus::Shape(error.to_string()))?;
        if envelope.r#type != "status" {
            return Err(InvalidStatus::Type(envelope.r#type));
        }
        // MASTER is what 6.x says for every server that takes writes.
        let role = match envelope.result.role.to_ascii_uppercase().as_str() {
            "MASTER" | "PRIMARY" | "STANDALONE" => Role::Primary,
            "REPLICA" => Role::Replica,
            _ => return Err(InvalidStatus::Role(envelope.result.role)),
        };
        Ok(Self {
            role,
            serial: envelope.result.serial,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_devpi_servers_status_makes_it_healthy() {
        let good = |role, serial| Ok(Status { role, serial });
        for (body, expected) in [
            (
                r#"{"type": "status", "result": {"role": "MASTER", "serial": 7, "port": 3141}}"#,
                good(Role::Primary, 7),
            ),
            (
                r#"{"type": "status", "result": {"role": "REPLICA", "serial": -1}}"#,
                good(Role::Replica, -1),
            ),
            (
                r#"{"type": "apiconfig", "result": {"role": "MASTER", "serial": 7}}"#,
                Err(InvalidStatus::Type("apiconfig".into())),
            ),
            (
                r#"{"type": "status", "result": {"role": "WITNESS", "serial": 7}}"#,
                Err(InvalidStatus::Role("WITNESS".into())),
            ),
        ] {
            assert_eq!(Status::parse(body.as_bytes()), expected, "{body}");
        }
        for body in ["", "<html>starting</html>", "[]", r#"{"type": "status"}"#] {
            let error = Status::parse(body.as_bytes()).unwrap_err();
            assert!(matches!(error, InvalidStatus::Shape(_)), "{body}");
        }
    }
}
