//! Answers that the HTTP machinery makes by itself, to heads that it cannot read (400, 408, 414, 431).
//!
//! Nothing of ours has a say in them, so they are completed on their way out: they forbid sniffing, as
//! every answer does, and do not name what made them. An answer is the machinery's own if its first
//! byte comes while a head is awaited, which the guard over the connection knows.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use memchr::memmem;
use tokio::io::AsyncWrite;

const NO_SNIFFING: &[u8] = b"X-Content-Type-Options: nosniff\r\n";

/// Completes answers of the machinery's own.
#[derive(Debug, Default)]
pub(super) struct Completing {
    /// What of a completed answer is still to be written.
    rest: BytesMut,
}

impl Completing {
    /// Writes the beginning of an answer that the machinery made.
    pub(super) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut W,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(completed) = completed(bytes) else {
            return Pin::new(inner).poll_write(context, bytes);
        };
        self.rest = completed;
        // Whatever is left goes out with the next write, flush or end.
        match self.poll_rest(inner, context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    /// Writes what is left.
    pub(super) fn poll_rest<W: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let count = ready!(Pin::new(&mut *inner).poll_write(context, &self.rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

/// The same bytes with the head as it should be; nothing where they do not begin with a whole head.
fn completed(bytes: &[u8]) -> Option<BytesMut> {
    if !bytes.starts_with(b"HTTP/1.") {
        return None;
    }
    let end = memmem::find(bytes, b"\r\n\r\n")? + 2;
    let (head, rest) = bytes.split_at(end);
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let mut completed = BytesMut::with_capacity(bytes.len() + NO_SNIFFING.len());
    completed.extend_from_slice(lines.next()?);
    completed.extend_from_slice(NO_SNIFFING);
    for line in lines.filter(|line| !is_replaced(line)) {
        completed.extend_from_slice(line);
    }
    completed.extend_from_slice(rest);
    Some(completed)
}

fn is_replaced(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    [&b"server"[..], b"x-content-type-options"]
        .iter()
        .any(|replaced| name.eq_ignore_ascii_case(replaced))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_every_answer_says_and_not_who_made_it() {
        let bare = b"HTTP/1.1 400 Bad Request\r\nServer: Machinery\r\nContent-Length: 2\r\n\r\nno";
        let whole = b"HTTP/1.1 400 Bad Request\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 2\r\n\r\nno";
        assert_eq!(completed(bare).unwrap(), whole[..]);
        assert_eq!(completed(whole).unwrap(), whole[..]);
        let headless = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        let completed_headless = completed(headless).unwrap();
        assert_eq!(
            completed_headless,
            b"HTTP/1.1 400 Bad Request\r\nX-Content-Type-Options: nosniff\r\n\r\n"[..]
        );
        for other in [&b"HTTP/1.1 400 Bad"[..], b"PK\x03\x04\r\n\r\n", b""] {
            assert!(completed(other).is_none());
        }
    }
}
