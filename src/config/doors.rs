//! The doors as they are opened.

use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use crate::language::Choice;
use crate::model::{DoorName, Location, OperationClass};

/// Where a door is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// On TCP.
    Tcp {
        /// Port 0 lets the system pick one.
        address: SocketAddr,
        /// With TLS when given.
        tls: Option<TlsFiles>,
    },
    /// On a Unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
    },
}

/// A certificate chain and its key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// One door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorConfig {
    /// Where it is.
    pub place: Listen,
    /// Which classes of operations it allows.
    pub allows: Vec<OperationClass>,
    /// The URL under which clients see it, unless a proxy says so.
    pub outside_url: Option<Url>,
    /// Whether a proxy first says for whom it speaks (the PROXY protocol).
    pub is_behind_proxies: bool,
    /// Where a file describes it.
    pub(super) location: Option<Location>,
}

/// The three doors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doors {
    /// For everyone; reads only, unless it allows more.
    pub public: DoorConfig,
    /// The devpi API and uploads.
    pub manage: DoorConfig,
    /// Metrics and health.
    pub metrics: DoorConfig,
    /// Whether the public door is open to other machines only because there is a file, which does not
    /// say so.
    pub is_opened_by_a_file: bool,
}

impl Doors {
    /// One of them.
    #[must_use]
    pub fn at(&self, door: DoorName) -> &DoorConfig {
        match door {
            DoorName::Public => &self.public,
            DoorName::Manage => &self.manage,
            DoorName::Metrics => &self.metrics,
        }
    }

    /// Whether both are opened in the same way. Certificates may differ: they are exchanged while a door is
    /// open.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let bare = |doors: &Self| {
            let mut doors = doors.clone();
            doors.is_opened_by_a_file = false;
            for door in [&mut doors.public, &mut doors.manage, &mut doors.metrics] {
                door.location = None;
                if let Listen::Tcp { tls: Some(tls), .. } = &mut door.place {
                    (tls.cert, tls.key) = Default::default();
                }
            }
            doors
        };
        bare(self) == bare(other)
    }

    /// The places of the open doors that allow a class of operations.
    pub fn allowing(&self, class: OperationClass) -> impl Iterator<Item = &Listen> {
        let open = [&self.public, &self.manage].into_iter();
        let allowing =
            open.filter(move |door| door.place != Listen::Off && door.allows.contains(&class));
        allowing.map(|door| &door.place)
    }
}

impl Listen {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Off | Self::Unix { .. } => true,
            Self::Tcp { address, .. } => address.ip().to_canonical().is_loopback(),
        }
    }

    /// Certificate and key, with TLS.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsFiles> {
        match self {
            Self::Tcp { tls, .. } => tls.as_ref(),
            Self::Off | Self::Unix { .. } => None,
        }
    }

    /// Whether passwords sent to it cannot be read on the way.
    pub(super) fn is_private(&self) -> bool {
        self.is_local() || matches!(self, Self::Tcp { tls: Some(_), .. })
    }
}

impl Choice for OperationClass {
    const WORDS: &'static [(&'static str, Self)] = &[
        (Self::Read.as_str(), Self::Read),
        (Self::Upload.as_str(), Self::Upload),
        (Self::Manage.as_str(), Self::Manage),
    ];
}
