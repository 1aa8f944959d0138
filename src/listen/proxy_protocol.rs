//! The PROXY protocol, versions 1 and 2: who is behind a load balancer that passes bytes on.
//!
//! The header precedes everything else on a connection, including TLS, and is read here up to its last
//! byte and no further. Only named addresses may send it: any other client could claim to be anyone.
//! Parsed by hand, because the hard part is not to read too much of the stream, which no parser of
//! buffers takes care of, and the rest is short.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncReadExt};

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length.
const FIXED: usize = 16;

/// The longest line of version 1, its end included.
const LINE_MAX: usize = 107;

/// A connection does not begin as it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyFault {
    /// It ended before it began: a check whether the port is open.
    #[error("nothing came")]
    Nothing,
    /// It broke off.
    #[error("read the header")]
    Read(#[from] io::Error),
    /// It is longer than allowed.
    #[error("the header is longer than {0} bytes")]
    Long(usize),
    /// There is none.
    #[error("that is no header of the PROXY protocol")]
    Malformed,
}

/// Reads the header: the client's address, or `None` if the proxy speaks for itself or does not know.
/// `bytes_max` bounds version 2, which may carry more than addresses.
pub(super) async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
) -> Result<Option<SocketAddr>, ProxyFault> {
    let mut header = [0; SIGNATURE.len()];
    if stream.read(&mut header[..1]).await? == 0 {
        return Err(ProxyFault::Nothing);
    }
    // The shortest header of version 1 is longer than the signature of version 2.
    stream.read_exact(&mut header[1..]).await?;
    if header == SIGNATURE {
        read_binary(stream, bytes_max).await
    } else if header.starts_with(b"PROXY ") {
        read_line(stream, header.to_vec()).await
    } else {
        Err(ProxyFault::Malformed)
    }
}

async fn read_line(
    stream: &mut (impl AsyncRead + Unpin),
    mut line: Vec<u8>,
) -> Result<Option<SocketAddr>, ProxyFault> {
    // Byte by byte: what follows the line belongs to the client. Once per connection, for one line.
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE_MAX {
            return Err(ProxyFault::Long(LINE_MAX));
        }
        line.push(stream.read_u8().await?);
    }
    let text = std::str::from_utf8(&line[..line.len() - 2]).map_err(|_| ProxyFault::Malformed)?;
    parse_line(text).ok_or(ProxyFault::Malformed)
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`, or `PROXY UNKNOWN` and anything. An outer `None` is a
/// fault.
fn parse_line(text: &str) -> Option<Option<SocketAddr>> {
    let mut words = text.split(' ');
    let (_, family) = (words.next(), words.next()?);
    let is_v4 = match family {
        "UNKNOWN" => return Some(None),
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    let mut address = || {
        let address = IpAddr::from_str(words.next()?).ok()?;
        (address.is_ipv4() == is_v4).then_some(address)
    };
    let (client, _) = (address()?, address()?);
    let mut port = || {
        let text = words.next()?;
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (port, _) = (port()?, port()?);
    match words.next() {
        None => Some(Some(SocketAddr::new(client, port))),
        Some(_) => None,
    }
}

async fn read_binary(
    stream: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
) -> Result<Option<SocketAddr>, ProxyFault> {
    let mut rest = [0; FIXED - SIGNATURE.len()];
    stream.read_exact(&mut rest).await?;
    let [version_and_command, family, high, low] = rest;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version_and_command >> 4 != 2 {
        return Err(ProxyFault::Malformed);
    }
    if FIXED + length > bytes_max {
        return Err(ProxyFault::Long(bytes_max));
    }
    let mut addresses = vec![0; length];
    stream.read_exact(&mut addresses).await?;
    match (version_and_command & 0x0f, family) {
        // LOCAL: the proxy's own connection. Its addresses mean nothing.
        (0, _) => Ok(None),
        // Unspecified, or a Unix socket on the proxy's machine.
        (1, 0x00 | 0x31 | 0x32) => Ok(None),
        (1, 0x11) => client::<4>(&addresses),
        (1, 0x21) => client::<16>(&addresses),
        _ => Err(ProxyFault::Malformed),
    }
}

/// The source of a pair of addresses and ports; further fields after them are ignored.
fn client<const BYTES: usize>(addresses: &[u8]) -> Result<Option<SocketAddr>, ProxyFault>
where
    IpAddr: From<[u8; BYTES]>,
{
    let (source, rest) = addresses
        .split_first_chunk::<BYTES>()
        .ok_or(ProxyFault::Malformed)?;
    let ports = rest.get(BYTES..BYTES + 4).ok_or(ProxyFault::Malformed)?;
    let port = u16::from_be_bytes([ports[0], ports[1]]);
    Ok(Some(SocketAddr::new(IpAddr::from(*source), port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1024;

    /// What is made of these bytes, and how many are left of what follows them.
    async fn read(header: &[u8]) -> Result<(String, usize), String> {
        let bytes = [header, b"GET /"].concat();
        let mut stream = &bytes[..];
        let client = read_header(&mut stream, MAX).await;
        let client = client.map_err(|fault| fault.to_string())?;
        let client = client.map_or("itself".to_owned(), |client| client.to_string());
        Ok((client, stream.len()))
    }

    fn binary(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [&SIGNATURE, &[command, family][..], &length, addresses].concat()
    }

    #[tokio::test]
    async fn every_header_is_read_to_its_last_byte_and_not_further() {
        let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 4, 1, 0xbb];
        let mut v6 = [0; 36];
        (v6[15], v6[33]) = (1, 80);
        let with_more = [&v4[..], &[4, 0, 2, 9, 9]].concat();
        for (header, client) in [
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".to_vec(),
                "192.0.2.1:56324",
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(),
                "[2001:db8::1]:1",
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), "itself"),
            (b"PROXY UNKNOWN ffff::1 whatever\r\n".to_vec(), "itself"),
            (binary(0x21, 0x11, &v4), "192.0.2.1:56324"),
            (binary(0x21, 0x11, &with_more), "192.0.2.1:56324"),
            (binary(0x21, 0x21, &v6), "[::1]:80"),
            (binary(0x20, 0x00, &[]), "itself"),
            (binary(0x20, 0x11, &v4), "itself"),
            (binary(0x21, 0x00, &[1, 2]), "itself"),
            (binary(0x21, 0x31, &[0; 216]), "itself"),
        ] {
            let expected = Ok((client.to_owned(), b"GET /".len()));
            assert_eq!(read(&header).await, expected, "{header:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_a_fault() {
        let none = "that is no header of the PROXY protocol";
        for (header, fault) in [
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), none),
            (
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00".to_vec(),
                none,
            ),
            (b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n".to_vec(), none),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n".to_vec(), none),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n".to_vec(), none),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n".to_vec(), none),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n".to_vec(), none),
            (b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(), none),
            (b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(), none),
            (b"PROXY TCP4 \xff 192.0.2.2 1 2\r\n".to_vec(), none),
            (binary(0x11, 0x11, &[0; 12]), none),
            (binary(0x22, 0x11, &[0; 12]), none),
            (binary(0x21, 0x12, &[0; 12]), none),
            (binary(0x21, 0x11, &[0; 11]), none),
            (binary(0x21, 0x21, &[0; 35]), none),
            (
                binary(0x21, 0x11, &[0; MAX]),
                "the header is longer than 1024 bytes",
            ),
            (
                [b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(),
                "the header is longer than 107 bytes",
            ),
        ] {
            assert_eq!(read(&header).await, Err(fault.to_owned()), "{header:?}");
        }
        for (cut, fault) in [("", "nothing came"), ("PROXY TCP4 1", "read the header")] {
            let outcome = read_header(&mut cut.as_bytes(), MAX).await;
            assert_eq!(outcome.unwrap_err().to_string(), fault, "{cut}");
        }
    }
}
