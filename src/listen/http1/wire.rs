//! What HTTP/1.1 is spoken over: a socket, or TLS on one.

use pingora::protocols::IO;
use pingora::protocols::tls::TlsStream;

use crate::listen::socket::Socket;

/// A connection of a door.
pub trait Wire: IO + 'static {
    /// The socket itself, where what is written goes out as it is.
    fn plain(&self) -> Option<&Socket>;
}

impl Wire for Socket {
    fn plain(&self) -> Option<&Socket> {
        Some(self)
    }
}

impl Wire for TlsStream<Socket> {
    fn plain(&self) -> Option<&Socket> {
        None
    }
}
