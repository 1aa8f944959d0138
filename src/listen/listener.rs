//! Sockets that listen: newly bound, or taken over from the process being replaced.
//!
//! In both cases a second handle to each is kept for the next process.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with, sockopt,
};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::listen::address::ListenAddress;
use crate::listen::handover::Inherited;

/// Connections that wait to be accepted, on top of the kernel's own bound (`somaxconn`).
const BACKLOG: i32 = 4096;

/// A door could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}")]
pub struct BindError {
    /// Where.
    pub address: ListenAddress,
    /// Why not.
    #[source]
    pub source: io::Error,
}

impl BindError {
    /// What went wrong at this address.
    pub(super) fn at(address: &ListenAddress) -> impl Fn(io::Error) -> Self {
        move |source| Self {
            address: address.clone(),
            source,
        }
    }
}

/// A bound socket, not yet known to any runtime, and where it really listens.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) socket: OwnedFd,
    pub(super) address: ListenAddress,
}

impl Bound {
    pub(super) fn bind(address: &ListenAddress) -> Result<Self, BindError> {
        let outcome = match address {
            ListenAddress::Tcp(tcp) => bind_tcp(*tcp),
            ListenAddress::Unix { path, mode } => bind_unix(path, *mode),
        };
        let failed = BindError::at(address);
        let socket = outcome.map_err(&failed)?;
        let address = real_address(&socket, address).map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// The socket of this name that the previous process has left.
    pub(super) fn inherit(
        name: &str,
        address: &ListenAddress,
        inherited: &mut Inherited,
    ) -> Option<Self> {
        let socket = inherited.take(name)?;
        match real_address(&socket, address) {
            Ok(address) => Some(Self { socket, address }),
            Err(error) => {
                tracing::warn!(%error, name, "cannot take over the listening socket");
                None
            }
        }
    }

    pub(super) fn listen(self) -> Result<Listener, BindError> {
        let listener = match self.address {
            ListenAddress::Tcp(_) => TcpListener::from_std(self.socket.into()).map(Listener::Tcp),
            ListenAddress::Unix { .. } => {
                UnixListener::from_std(self.socket.into()).map(Listener::Unix)
            }
        };
        listener.map_err(BindError::at(&self.address))
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = new_socket(family)?;
    // A restart must not have to wait until the previous process's connections are forgotten.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    remove_stale(path)?;
    let socket = new_socket(AddressFamily::UNIX)?;
    // Before the path exists, so that nobody connects under wider permissions.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(mode))?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn new_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

/// Removes a socket that nobody listens on any more, and nothing else.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            let words = "there is something else than a socket";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, words));
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Ok(_) | Err(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

fn real_address(socket: &OwnedFd, asked: &ListenAddress) -> io::Result<ListenAddress> {
    match asked {
        ListenAddress::Tcp(_) => {
            let name = rustix::net::getsockname(socket)?;
            let address = SocketAddr::try_from(name)?;
            Ok(ListenAddress::Tcp(address))
        }
        ListenAddress::Unix { .. } => Ok(asked.clone()),
    }
}

/// A listening socket on a runtime.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection as the kernel hands it out. TCP and Unix sockets are read and written in the same way,
/// by the same code.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    /// Who connected; `None` over a Unix socket.
    pub(super) peer: Option<SocketAddr>,
}

impl Accepted {
    pub(super) fn of_unix(stream: UnixStream) -> io::Result<Self> {
        let socket = OwnedFd::from(stream.into_std()?);
        Ok(Self {
            stream: TcpStream::from_std(socket.into())?,
            peer: None,
        })
    }
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let peer = Some(peer);
                Ok(Accepted { stream, peer })
            }
            Self::Unix(listener) => Accepted::of_unix(listener.accept().await?.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_becomes_a_real_port_that_is_taken() {
        let any = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
        let bound = Bound::bind(&any).unwrap();
        let ListenAddress::Tcp(real) = bound.address else {
            panic!("not TCP")
        };
        assert_ne!(real.port(), 0);
        let error = Bound::bind(&ListenAddress::Tcp(real)).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(error.to_string(), format!("listen on {real}"));
    }

    #[test]
    fn a_unix_socket_has_its_mode_and_a_stale_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door");
        let address = ListenAddress::Unix {
            path: path.clone(),
            mode: 0o620,
        };
        let bound = Bound::bind(&address).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o620
        );
        let error = Bound::bind(&address).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        drop(bound);
        Bound::bind(&address).unwrap();
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert!(
            Bound::bind(&ListenAddress::Unix {
                path: path.clone(),
                mode: 0o600
            })
            .is_err()
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }
}
