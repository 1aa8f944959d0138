//! Where a door listens: an address and port, or a path.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a door listens or, once it is open, where it can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// TCP; port 0 lets the system choose one.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Permission bits: who may connect.
        mode: u32,
    },
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix { path, .. } => write!(formatter, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_socket_is_shown_by_its_path() {
        let unix = ListenAddress::Unix {
            path: "/run/x".into(),
            mode: 0o600,
        };
        assert_eq!(unix.to_string(), "unix:/run/x");
    }
}
