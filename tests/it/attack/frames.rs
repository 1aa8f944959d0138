//! HTTP/2 frame by frame over TLS: what no well-behaved client library lets a test do.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::tls::{self, TlsStream};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GO_AWAY: u8 = 7;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a read may take; only a door that hangs reaches it.
const SAFETY_NET: Duration = Duration::from_secs(60);

/// A connection that speaks HTTP/2.
pub(crate) struct Frames {
    stream: TlsStream,
    next_stream: u32,
}

/// A frame as received.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Whether it is the last one of its stream.
    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// The error code of a RST_STREAM or GOAWAY.
    pub(crate) fn error(&self) -> u32 {
        let at = if self.kind == GO_AWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

impl Frames {
    /// Negotiates HTTP/2 with the door that has this certificate, and sends nothing yet.
    pub(crate) fn agreed(door: SocketAddr, certificate: &str) -> Self {
        Self::agreed_with(&door.ip().to_string(), door, certificate)
    }

    /// The same with a door whose certificate has this name.
    pub(crate) fn agreed_with(name: &str, door: SocketAddr, certificate: &str) -> Self {
        let config = tls::trusting(&[certificate], &["h2"]);
        let socket = TcpStream::connect(door).unwrap();
        socket.set_read_timeout(Some(SAFETY_NET)).unwrap();
        socket.set_write_timeout(Some(SAFETY_NET)).unwrap();
        let stream = tls::agree(&config, name, socket);
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
        Self {
            stream,
            next_stream: 1,
        }
    }

    /// Sends the connection preface.
    pub(crate) fn begin(&mut self) {
        self.stream.write_all(PREFACE).unwrap();
        self.send(SETTINGS, 0, 0, &[]).unwrap();
    }

    /// Opens a stream with a request that has no body; returns its number.
    pub(crate) fn open(&mut self, method: &str, path: &str) -> io::Result<u32> {
        let stream = self.next_stream;
        self.next_stream += 2;
        // HPACK (RFC 7541): names from the static table, literal values, nothing added to the
        // dynamic table.
        let mut block = Vec::new();
        let mut field = |name: u8, value: &str| {
            block.extend([name, u8::try_from(value.len()).unwrap()]);
            block.extend(value.as_bytes());
        };
        field(2, method);
        field(7, "https");
        field(4, path);
        field(1, "127.0.0.1");
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &block)?;
        Ok(stream)
    }

    /// Cancels a stream.
    pub(crate) fn reset(&mut self, stream: u32) -> io::Result<()> {
        self.send(RESET, 0, stream, &8_u32.to_be_bytes())
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame)?;
        self.stream.flush()
    }

    /// The next frame that is not about the connection itself; `None` once that is closed.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.read().ok()?;
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => drop(self.send(SETTINGS, ACK, 0, &[])),
                PING if frame.flags & ACK == 0 => drop(self.send(PING, ACK, 0, &frame.payload)),
                DATA | HEADERS | RESET | GO_AWAY => return Some(frame),
                _ => {}
            }
        }
    }

    /// Reads until the connection is closed, and answers nothing that comes before.
    pub(crate) fn listen_to_the_end(&mut self) {
        while self.read().is_ok() {}
    }

    fn read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).inspect_err(|error| {
            let is_hanging = error.kind() == io::ErrorKind::WouldBlock;
            assert!(!is_hanging, "neither a frame nor an end");
        })?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload)?;
        Ok(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..9].try_into().unwrap()) & 0x7fff_ffff,
            payload,
        })
    }
}
