//! Where a door listens: an address and port, or a path.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a door listens, or, once it does, where it is to be found.
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

impl ListenAddress {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix { .. } => true,
        }
    }
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
    fn local_addresses_are_known() {
        for (text, expected) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("192.0.2.1:1", false),
            ("[::]:1", false),
        ] {
            assert_eq!(
                ListenAddress::Tcp(text.parse().unwrap()).is_local(),
                expected,
                "{text}"
            );
        }
        let unix = ListenAddress::Unix {
            path: "/run/x".into(),
            mode: 0o600,
        };
        assert!(unix.is_local());
        assert_eq!(unix.to_string(), "unix:/run/x");
    }
}
