//! Requests written byte for byte: they carry only the headers that a test adds, `Host` and
//! `Connection: close`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flate2::read::GzDecoder;

/// Longer than any local program takes to answer.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// A complete answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    /// As received, without chunked framing.
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(super) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body and its `Content-Length`.
    pub(super) fn body(self, body: &[u8]) -> Self {
        let mut request = self.with("Content-Length", &body.len().to_string());
        request.body = body.to_vec();
        request
    }

    fn says(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// Sends the request. With `Expect`, the body follows only after a 100.
    ///
    /// # Errors
    /// When no HTTP/1.1 comes back.
    pub(super) fn send(&self, url: &str) -> io::Result<Answer> {
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        let address: SocketAddr = host.parse().map_err(|_| not_http(url))?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.says("host") {
            head += &format!("Host: {host}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "Connection: close\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut first = None;
        if self.says("expect") {
            let interim = read_head(&mut reader)?;
            if interim.0 != 100 {
                first = Some(interim);
            }
        }
        if first.is_none() {
            // The server may refuse before it has read everything; its answer says why.
            let _ = stream.write_all(&self.body);
        }
        let (status, headers) = match first {
            Some(first) => first,
            None => read_head(&mut reader)?,
        };
        let body = self.read_body(status, &headers, &mut reader)?;
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    fn read_body(
        &self,
        status: u16,
        headers: &[(String, String)],
        reader: &mut impl BufRead,
    ) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.method == "HEAD" || matches!(status, 204 | 304) {
            reader.read_to_end(&mut body)?;
            return Ok(body);
        }
        let is_chunked = headers
            .iter()
            .any(|(name, value)| name == "transfer-encoding" && value.contains("chunked"));
        if !is_chunked {
            reader.read_to_end(&mut body)?;
            return Ok(body);
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let length = u64::from_str_radix(line.trim(), 16).map_err(|_| not_http(&line))?;
            reader.by_ref().take(length).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

impl Answer {
    /// A header's values on one line; empty if it was not sent.
    pub(super) fn header(&self, name: &str) -> String {
        let values = self.headers.iter().filter(|(known, _)| known == name);
        let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
        values.join(", ")
    }

    /// The body, decompressed.
    pub(super) fn content(&self) -> Vec<u8> {
        if self.header("content-encoding") != "gzip" {
            return self.body.clone();
        }
        let mut content = Vec::new();
        GzDecoder::new(self.body.as_slice())
            .read_to_end(&mut content)
            .unwrap();
        content
    }

    /// The decompressed body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content()).into_owned()
    }
}

fn read_head(reader: &mut impl BufRead) -> io::Result<(u16, Vec<(String, String)>)> {
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| not_http(&first))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => return Ok((status, headers)),
        }
    }
}

fn not_http(text: &str) -> io::Error {
    let words = format!("{text:?} is not plain HTTP/1.1");
    io::Error::new(io::ErrorKind::InvalidData, words)
}
