//! A plain HTTP/1.1 client for one request at a time: what came, when its first byte came, when all.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Until a server that says nothing is given up.
const SILENCE: Duration = Duration::from_secs(60);

/// Most bytes of a head.
const HEAD_MAX: u64 = 64 << 10;

/// Most bytes kept of a body; the largest here is the project list.
const KEPT_MAX: u64 = 512 << 20;

/// How much is read at once: large, so that the client costs little.
const BUFFER: usize = 256 << 10;

/// A GET to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// Beside `Host` and `Connection`.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Whether the body is only counted.
    pub(crate) discard: bool,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Empty when it was only counted.
    pub(crate) body: Vec<u8>,
    pub(crate) length: u64,
    /// From before the connection was opened to the last byte.
    pub(crate) elapsed: Duration,
}

impl Request {
    pub(crate) fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), headers: Vec::new(), discard: false }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Counts the body instead of keeping it.
    pub(crate) fn discard(mut self) -> Self {
        self.discard = true;
        self
    }

    /// The bytes of the request.
    pub(crate) fn bytes(&self, address: SocketAddr, connection: &str) -> Vec<u8> {
        let mut text = format!("GET {} HTTP/1.1\r\nHost: {address}\r\n", self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Connection: {connection}\r\n\r\n"));
        text.into_bytes()
    }
}

impl Answer {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Asks once, on a connection of its own.
pub(crate) fn fetch(address: SocketAddr, request: &Request) -> anyhow::Result<Answer> {
    let started = Instant::now();
    let answer = connect(address).and_then(|stream| ask(stream, address, request, started));
    answer.with_context(|| format!("get http://{address}{}", request.path))
}

/// The same over TLS, trusting nobody but who `trust` names.
pub(crate) fn fetch_over_tls(
    address: SocketAddr,
    request: &Request,
    trust: &Arc<ClientConfig>,
) -> anyhow::Result<Answer> {
    let started = Instant::now();
    let over_tls = |stream: TcpStream| {
        let session = ClientConnection::new(Arc::clone(trust), address.ip().into())?;
        ask(StreamOwned::new(session, stream), address, request, started)
    };
    let answer = connect(address).and_then(over_tls);
    answer.with_context(|| format!("get https://{address}{}", request.path))
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, SILENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    Ok(stream)
}

fn ask(
    mut stream: impl Read + Write,
    address: SocketAddr,
    request: &Request,
    started: Instant,
) -> anyhow::Result<Answer> {
    stream.write_all(&request.bytes(address, "close"))?;
    let mut answer = read(BufReader::with_capacity(BUFFER, stream), request.discard)?;
    answer.elapsed = started.elapsed();
    Ok(answer)
}

fn read(mut stream: BufReader<impl Read>, discard: bool) -> anyhow::Result<Answer> {
    let mut head = stream.by_ref().take(HEAD_MAX);
    let (status, headers) = read_head(&mut head)?;
    let mut answer =
        Answer { status, headers, body: Vec::new(), length: 0, elapsed: Duration::ZERO };
    let length = answer.header("content-length").map(str::parse::<u64>).transpose()?;
    let chunked = answer
        .header("transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let kept = if discard { None } else { Some(&mut answer.body) };
    answer.length = match (status, length) {
        (204 | 304, _) => 0,
        (_, _) if chunked => read_chunks(&mut stream, kept)?,
        (_, Some(length)) => {
            let read = read_part(&mut stream.take(length), kept)?;
            if read != length {
                bail!("the body ends after {read} of {length} bytes");
            }
            read
        }
        (_, None) => read_part(&mut stream, kept)?,
    };
    Ok(answer)
}

type Head = (u16, Vec<(String, String)>);

fn read_head(head: &mut impl std::io::BufRead) -> anyhow::Result<Head> {
    let mut line = String::new();
    head.read_line(&mut line)?;
    let status = line.split(' ').nth(1).unwrap_or_default();
    let status = status.parse().with_context(|| format!("not a status line: {line:?}"))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            bail!("the head has no end");
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok((status, headers));
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_chunks(
    stream: &mut impl std::io::BufRead,
    mut kept: Option<&mut Vec<u8>>,
) -> anyhow::Result<u64> {
    let mut total = 0;
    loop {
        let mut line = String::new();
        stream.by_ref().take(HEAD_MAX).read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).with_context(|| format!("not a chunk: {line:?}"))?;
        let read = read_part(&mut stream.by_ref().take(size), kept.as_deref_mut())?;
        if read != size {
            bail!("a chunk ends after {read} of {size} bytes");
        }
        total += read;
        line.clear();
        stream.by_ref().take(HEAD_MAX).read_line(&mut line)?;
        if size == 0 {
            return Ok(total);
        }
    }
}

fn read_part(part: &mut impl Read, kept: Option<&mut Vec<u8>>) -> anyhow::Result<u64> {
    if let Some(kept) = kept {
        let read = part.take(KEPT_MAX).read_to_end(kept)?;
        return Ok(read as u64);
    }
    let mut buffer = vec![0; BUFFER];
    let mut total = 0;
    loop {
        let read = part.read(&mut buffer)?;
        if read == 0 {
            return Ok(total);
        }
        total += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, discard: bool) -> anyhow::Result<Answer> {
        read(BufReader::new(text.as_bytes()), discard)
    }

    #[test]
    fn every_way_to_end_a_body_is_understood() {
        for (text, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", 200, "abc"),
            ("HTTP/1.1 200 OK\r\n\r\nabc", 200, "abc"),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", 304, ""),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
                200,
                "abc",
            ),
        ] {
            let answer = parse(text, false).unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (status, body.as_bytes()), "{text:?}");
            let counted = parse(text, true).unwrap();
            assert_eq!((counted.length, counted.body.len()), (body.len() as u64, 0), "{text:?}");
        }
    }

    #[test]
    fn half_an_answer_is_an_error() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nA: b\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n",
        ] {
            assert!(parse(text, false).is_err(), "{text:?}");
        }
    }

    #[test]
    fn headers_are_found_whatever_their_case() {
        let answer = parse("HTTP/1.1 200 OK\r\netag:  \"a\"\r\n\r\n", false).unwrap();
        assert_eq!(answer.header("ETag"), Some("\"a\""));
        assert_eq!(answer.header("Vary"), None);
    }
}
