//! Single requests on the wire, for what no client library shows or does: above all the reason
//! phrase, and bodies that are not as they should be.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any local program takes to answer.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The body as bytes, for content that is not text.
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// A header's text; empty if it was not sent.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// Gets `http://address:port/path` without following redirects.
///
/// # Errors
/// When nobody answers, or the answer is not HTTP/1.1.
pub(crate) fn get(url: &str) -> io::Result<Answer> {
    send("GET", url, &[], b"")
}

/// Sends a request whose body has a stated length.
///
/// # Errors
/// When nobody answers, or the answer is not HTTP/1.1.
pub(crate) fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let length = body.len().to_string();
    let mut headers = headers.to_vec();
    if !body.is_empty() {
        headers.push(("Content-Length", &length));
    }
    begin(method, url, &headers)?.finish(|stream| stream.write_all(body))
}

/// A request whose head has been sent.
pub(crate) struct Begun {
    stream: TcpStream,
}

/// Sends a request's head, and no body yet.
///
/// # Errors
/// When nobody listens.
pub(crate) fn begin(method: &str, url: &str, headers: &[(&str, &str)]) -> io::Result<Begun> {
    let (host, path) = split(url)?;
    let address: SocketAddr = host.parse().map_err(|_| not_http(url))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    Ok(Begun { stream })
}

impl Begun {
    /// Sends more of the body.
    ///
    /// # Errors
    /// When the server no longer reads it.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends the rest of the body, as far as it is accepted, and reads the answer.
    ///
    /// # Errors
    /// When there is no answer, or it is not HTTP/1.1.
    pub(crate) fn finish(
        mut self,
        write: impl FnOnce(&mut TcpStream) -> io::Result<()>,
    ) -> io::Result<Answer> {
        match write(&mut self.stream) {
            // The server may refuse before it has read everything; its answer says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        read(BufReader::new(self.stream))
    }

    /// Ends the body early, and reads the answer.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn cut(self) -> io::Result<Answer> {
        self.finish(|stream| stream.shutdown(std::net::Shutdown::Write))
    }

    /// Reads the answer's head, and leaves its content to the caller.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn content(self) -> io::Result<impl Read> {
        let mut stream = BufReader::new(self.stream);
        let (first, _) = head(&mut stream)?;
        if !first.contains(" 200 ") {
            return Err(not_http(&first));
        }
        Ok(stream)
    }
}

fn head(stream: &mut impl BufRead) -> io::Result<(String, Vec<(String, String)>)> {
    let mut first = String::new();
    stream.read_line(&mut first)?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => return Ok((first, headers)),
        }
    }
}

fn read(mut stream: impl BufRead) -> io::Result<Answer> {
    let (first, headers) = head(&mut stream)?;
    let mut words = first.trim_end().splitn(3, ' ').skip(1);
    let status = words
        .next()
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| not_http(&first))?;
    let mut answer = Answer {
        status,
        reason: words.next().unwrap_or_default().to_owned(),
        headers,
        body: String::new(),
        bytes: Vec::new(),
    };
    let length = answer.header("content-length").parse::<u64>();
    if answer
        .header("transfer-encoding")
        .eq_ignore_ascii_case("chunked")
    {
        read_chunks(&mut stream, &mut answer.bytes)?;
    } else if let Ok(length) = length {
        let read = stream.take(length).read_to_end(&mut answer.bytes)?;
        if read as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    } else {
        stream.read_to_end(&mut answer.bytes)?;
    }
    answer.body = String::from_utf8_lossy(&answer.bytes).into_owned();
    Ok(answer)
}

fn split(url: &str) -> io::Result<(&str, &str)> {
    let rest = url.strip_prefix("http://").ok_or_else(|| not_http(url))?;
    Ok(rest.split_once('/').unwrap_or((rest, "")))
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).map_err(|_| not_http(&line))?;
        stream.by_ref().take(length).read_to_end(body)?;
        stream.read_line(&mut String::new())?;
        if length == 0 {
            return Ok(());
        }
    }
}

fn not_http(text: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{text:?} is not plain HTTP/1.1"),
    )
}
