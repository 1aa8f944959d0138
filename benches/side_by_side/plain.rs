//! A plain HTTP/1.1 client for one request at a time: what came, when its first byte came, when all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::net::RecvFlags;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Until a server that says nothing is given up.
const SILENCE: Duration = Duration::from_secs(60);

/// Most bytes of a head.
const HEAD_MAX: u64 = 64 << 10;

/// Most bytes of a body; the largest here is a file of 100 MB.
const BODY_MAX: u64 = 512 << 20;

/// How much is read at once: large, so that the client costs little.
const BUFFER: usize = 256 << 10;

/// A GET to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// Beside `Host` and `Connection`.
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// From before the connection was opened to the last byte.
    pub(crate) elapsed: Duration,
}

impl Request {
    pub(crate) fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
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
        find(&self.headers, name)
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
    let mut answer = read(BufReader::with_capacity(BUFFER, stream))?;
    answer.elapsed = started.elapsed();
    Ok(answer)
}

/// Asks, and lets the kernel throw the body away: its length. For bodies so large, and clients so many,
/// that copying would measure the client.
pub(crate) fn drain(address: SocketAddr, request: &Request) -> anyhow::Result<u64> {
    let drain = |mut stream: TcpStream| -> anyhow::Result<u64> {
        stream.write_all(&request.bytes(address, "close"))?;
        let mut reader = BufReader::with_capacity(BUFFER, &stream);
        let (status, headers) = read_head(&mut reader.by_ref().take(HEAD_MAX))?;
        let length: u64 = find(&headers, "content-length")
            .context("no length")?
            .parse()?;
        if status != 200 {
            bail!("the answer is {status}, not 200");
        }
        let mut came = reader.buffer().len() as u64;
        let mut buffer = vec![0; BUFFER];
        while came < length {
            // On TCP this discards what has come without a copy (tcp(7)).
            match rustix::net::recv(&stream, &mut buffer[..], RecvFlags::TRUNC)?.1 {
                0 => bail!("the body ends after {came} of {length} bytes"),
                part => came += part as u64,
            }
        }
        Ok(came)
    };
    connect(address)
        .and_then(drain)
        .with_context(|| format!("get http://{address}{}", request.path))
}

fn read(mut stream: BufReader<impl Read>) -> anyhow::Result<Answer> {
    let (status, headers) = read_head(&mut stream.by_ref().take(HEAD_MAX))?;
    let length = find(&headers, "content-length")
        .map(str::parse::<u64>)
        .transpose()?;
    let coding = find(&headers, "transfer-encoding");
    let mut body = Vec::new();
    match (status, length) {
        (204 | 304, _) => {}
        (_, _) if coding.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) => {
            read_chunks(&mut stream, &mut body)?;
        }
        (_, Some(length)) => read_part(&mut stream, length, &mut body)?,
        (_, None) => {
            stream.take(BODY_MAX).read_to_end(&mut body)?;
        }
    }
    Ok(Answer {
        status,
        headers,
        body,
        elapsed: Duration::ZERO,
    })
}

/// The first header of this name.
fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

type Head = (u16, Vec<(String, String)>);

fn read_head(head: &mut impl BufRead) -> anyhow::Result<Head> {
    let mut line = String::new();
    head.read_line(&mut line)?;
    let status = line.split(' ').nth(1).unwrap_or_default();
    let status = status
        .parse()
        .with_context(|| format!("not a status line: {line:?}"))?;
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

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> anyhow::Result<()> {
    loop {
        let mut line = String::new();
        stream.by_ref().take(HEAD_MAX).read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size =
            u64::from_str_radix(size, 16).with_context(|| format!("not a chunk: {line:?}"))?;
        read_part(stream, size, body)?;
        line.clear();
        stream.by_ref().take(HEAD_MAX).read_line(&mut line)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn read_part(stream: &mut impl Read, length: u64, body: &mut Vec<u8>) -> anyhow::Result<()> {
    if body.len() as u64 + length > BODY_MAX {
        bail!("the body is longer than {BODY_MAX} bytes");
    }
    let read = stream.take(length).read_to_end(body)? as u64;
    if read != length {
        bail!("the body ends {} bytes early", length - read);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Answer> {
        read(BufReader::new(text.as_bytes()))
    }

    #[test]
    fn every_way_to_end_a_body_is_understood() {
        for (text, status, body) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef",
                200,
                "abc",
            ),
            ("HTTP/1.1 200 OK\r\n\r\nabc", 200, "abc"),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
                304,
                "",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
                200,
                "abc",
            ),
        ] {
            let answer = parse(text).unwrap();
            assert_eq!(
                (answer.status, answer.body.as_slice()),
                (status, body.as_bytes()),
                "{text:?}"
            );
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
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn headers_are_found_whatever_their_case() {
        let answer = parse("HTTP/1.1 200 OK\r\netag:  \"a\"\r\n\r\n").unwrap();
        assert_eq!(answer.header("ETag"), Some("\"a\""));
        assert_eq!(answer.header("Vary"), None);
    }

    #[test]
    fn what_is_thrown_away_is_counted_to_its_end() {
        let content = super::super::content::Content::default();
        let expected = content.page("page-1").unwrap().len() as u64;
        let origin = super::super::origin::Origin::start(content).unwrap();
        let drained = drain(origin.address(), &Request::new("/simple/page-1/"));
        assert_eq!(drained.unwrap(), expected);
        assert!(drain(origin.address(), &Request::new("/simple/six/")).is_err());
    }
}
