//! One GET on the wire, for what no client library shows: the reason phrase above all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer of a local program takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Asks `http://address:port/path` without following redirects.
///
/// # Errors
/// When nobody answers, or what comes back is not HTTP/1.1.
pub(crate) fn get(url: &str) -> std::io::Result<Answer> {
    let (host, path) = split(url)?;
    let address: SocketAddr = host.parse().map_err(|_| not_http(url))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first)?;
    let mut words = first.trim_end().splitn(3, ' ').skip(1);
    let status = words
        .next()
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| not_http(&first))?;
    let mut chunked = false;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("transfer-encoding") => {
                chunked = value.trim().eq_ignore_ascii_case("chunked");
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = Vec::new();
    if chunked {
        read_chunks(&mut stream, &mut body)?;
    } else {
        stream.read_to_end(&mut body)?;
    }
    Ok(Answer {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn split(url: &str) -> std::io::Result<(&str, &str)> {
    let rest = url.strip_prefix("http://").ok_or_else(|| not_http(url))?;
    Ok(rest.split_once('/').unwrap_or((rest, "")))
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> std::io::Result<()> {
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

fn not_http(text: &str) -> std::io::Error {
    std::io::Error::new(
        std::io::ErrorKind::InvalidData,
        format!("{text:?} is not plain HTTP/1.1"),
    )
}
