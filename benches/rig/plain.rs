//! A plain HTTP/1.1 client for one request at a time: what came, when its first byte came, when all.
//!
//! [`fetch`] opens a connection for each; a [`Line`] is kept open, as installers keep theirs.

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

/// A request to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// Beside `Host`, `Connection` and `Content-Length`.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// What is posted; a GET has nothing.
    body: Option<Vec<u8>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// From before the connection was opened to the first byte of the body, or to the end of the head
    /// where there is none. On a [`Line`], from before the request was sent.
    pub(crate) first_byte: Duration,
    /// The same to the last byte.
    pub(crate) elapsed: Duration,
}

/// A connection that carries one request after another.
#[derive(Debug)]
pub(crate) struct Line {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Request {
    /// A GET.
    pub(crate) fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// A POST of this body.
    pub(crate) fn post(path: impl Into<String>, body: Vec<u8>) -> Self {
        Self {
            body: Some(body),
            ..Self::new(path)
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The bytes of the request.
    pub(crate) fn bytes(&self, address: SocketAddr, connection: &str) -> Vec<u8> {
        let method = if self.body.is_some() { "POST" } else { "GET" };
        let mut text = format!("{method} {} HTTP/1.1\r\nHost: {address}\r\n", self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str(&format!("Connection: {connection}\r\n\r\n"));
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

impl Answer {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    fn keeps_the_connection(&self) -> bool {
        let has_end = self.header("content-length").is_some()
            || self.header("transfer-encoding").is_some()
            || matches!(self.status, 204 | 304);
        let closes = self.header("connection");
        has_end && !closes.is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl Line {
    /// Opens at the first request.
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Asks, on a new connection where the last one has ended.
    pub(crate) fn ask(&mut self, request: &Request) -> anyhow::Result<Answer> {
        let answer = self.try_to_ask(request);
        if !answer.as_ref().is_ok_and(Answer::keeps_the_connection) {
            self.stream = None;
        }
        answer.with_context(|| format!("ask http://{}{}", self.address, request.path))
    }

    fn try_to_ask(&mut self, request: &Request) -> anyhow::Result<Answer> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = BufReader::with_capacity(BUFFER, connect(self.address)?);
                self.stream.insert(stream)
            }
        };
        let started = Instant::now();
        stream
            .get_mut()
            .write_all(&request.bytes(self.address, "keep-alive"))?;
        read(stream, started)
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
    read(&mut BufReader::with_capacity(BUFFER, stream), started)
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

fn read(stream: &mut BufReader<impl Read>, started: Instant) -> anyhow::Result<Answer> {
    let (status, headers) = read_head(&mut stream.by_ref().take(HEAD_MAX))?;
    let length = find(&headers, "content-length")
        .map(str::parse::<u64>)
        .transpose()?;
    let coding = find(&headers, "transfer-encoding");
    let has_body = !matches!(status, 204 | 304) && length != Some(0);
    if has_body {
        stream.fill_buf()?;
    }
    let first_byte = started.elapsed();
    let mut body = Vec::new();
    match (status, length) {
        (204 | 304, _) => {}
        (_, _) if coding.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) => {
            read_chunks(stream, &mut body)?;
        }
        (_, Some(length)) => read_part(stream, length, &mut body)?,
        (_, None) => {
            stream.take(BODY_MAX).read_to_end(&mut body)?;
        }
    }
    Ok(Answer {
        status,
        headers,
        body,
        first_byte,
        elapsed: started.elapsed(),
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
    use super::super::content::Content;
    use super::super::origin::Origin;
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Answer> {
        read(&mut BufReader::new(text.as_bytes()), Instant::now())
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
    fn a_line_carries_one_answer_after_another() {
        let origin = Origin::start(Arc::default()).unwrap();
        let mut line = Line::to(origin.address());
        for (path, status) in [("page-1", 200), ("six", 404), ("page-2", 200)] {
            let answer = line.ask(&Request::new(format!("/simple/{path}/"))).unwrap();
            assert_eq!(answer.status, status, "{path}");
            assert!(answer.first_byte <= answer.elapsed && line.stream.is_some());
        }
    }

    #[test]
    fn what_is_thrown_away_is_counted_to_its_end() {
        let content = Content::default();
        let expected = content.page("page-1").unwrap().len() as u64;
        let origin = Origin::start(Arc::new(content)).unwrap();
        let drained = drain(origin.address(), &Request::new("/simple/page-1/"));
        assert_eq!(drained.unwrap(), expected);
        assert!(drain(origin.address(), &Request::new("/simple/six/")).is_err());
    }
}
