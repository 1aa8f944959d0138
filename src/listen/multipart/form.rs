//! `multipart/form-data`, parsed as it arrives: fields as text, the file in chunks, never held as a
//! whole.
//!
//! The line ending is learned from the first boundary line: `distutils` registers with bare LF,
//! everybody else sends CRLF, and nobody mixes them. So a file may contain `\n--boundary` in a form
//! that ends its lines with CRLF, and a file's last `\r` stays with the file in one that does not.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;

use crate::listen::incoming::{Incoming, IncomingError};
use crate::listen::multipart::delimiter::{Delimiter, Follows, PADDING_MAX};
use crate::listen::multipart::head::{PartHead, boundary_of, part_head};

/// Most bytes before the first boundary: a stray line end, or a sentence for old mail readers.
const PREAMBLE_MAX: usize = 1024;

/// How much of a form is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormLimits {
    /// Parts of a form. A release with many dependencies and classifiers has a few hundred.
    pub parts: usize,
    /// Bytes of one part's header lines.
    pub head_bytes: usize,
    /// Bytes of all fields' names and values together. Descriptions are the long ones: a README or two.
    pub value_bytes: usize,
}

impl FormLimits {
    /// For forms whose fields hold at most `value_bytes`.
    #[must_use]
    pub fn holding(value_bytes: usize) -> Self {
        Self {
            parts: 4096,
            head_bytes: 8 << 10,
            value_bytes,
        }
    }
}

/// One part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormPart {
    /// A field.
    Field {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A file; its content follows from [`Multipart::chunk`].
    File(PartHead),
}

/// Why a form cannot be parsed.
#[derive(Debug, thiserror::Error)]
pub enum MultipartError {
    /// It is not a form, or not a well-formed one: 400.
    #[error("not a multipart form: {0}")]
    Malformed(&'static str),
    /// More than is kept in memory: 413.
    #[error("the form has {what} over the limit of {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
    /// The body ended or broke off before the form did.
    #[error("the form ends in the middle of a part")]
    Truncated,
    /// The body could not be read.
    #[error("the form did not come: {0}")]
    Body(#[source] IncomingError),
}

const NO_BOUNDARY: MultipartError = MultipartError::Malformed("no boundary where the form starts");

impl MultipartError {
    /// Too much of something.
    pub(in crate::listen) fn over(what: &'static str, limit: usize) -> Self {
        Self::TooLarge { what, limit }
    }
}

/// A form being read.
pub struct Multipart<'a> {
    body: &'a mut Incoming,
    ended: bool,
    buffer: BytesMut,
    boundary: String,
    /// Its line end is known once the first boundary line was met.
    delimiter: Delimiter,
    state: State,
    limits: FormLimits,
    parts: usize,
    value_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Preamble,
    /// At a part's header lines.
    Head,
    /// In a part's content.
    Content,
    /// After the last boundary.
    End,
}

impl<'a> Multipart<'a> {
    /// Starts to parse a body of this content type.
    ///
    /// # Errors
    /// When the content type is not `multipart/form-data` with a boundary.
    pub fn new(
        content_type: &str,
        body: &'a mut Incoming,
        limits: FormLimits,
    ) -> Result<Self, MultipartError> {
        let boundary = boundary_of(content_type).ok_or(MultipartError::Malformed(
            "the content type has no boundary",
        ))?;
        Ok(Self {
            body,
            ended: false,
            buffer: BytesMut::new(),
            delimiter: Delimiter::new(&boundary, "\r\n"),
            boundary,
            state: State::Preamble,
            limits,
            parts: 0,
            value_bytes: 0,
        })
    }

    /// The next part; `None` after the last one. The unread rest of a file is skipped.
    ///
    /// # Errors
    /// See [`MultipartError`].
    pub async fn next(&mut self) -> Result<Option<FormPart>, MultipartError> {
        if self.state == State::Preamble {
            self.pass_preamble().await?;
        }
        while self.chunk().await?.is_some() {}
        if self.state == State::End {
            return Ok(None);
        }
        let head = self.head().await?;
        self.parts += 1;
        self.value_bytes += head.name.len();
        if self.parts > self.limits.parts {
            return Err(MultipartError::over("parts", self.limits.parts));
        }
        self.state = State::Content;
        if head.filename.is_some() {
            return Ok(Some(FormPart::File(head)));
        }
        let value = self.value().await?;
        Ok(Some(FormPart::Field {
            name: head.name,
            value,
        }))
    }

    /// The next piece of the current file, never empty; `None` after its end.
    ///
    /// # Errors
    /// See [`MultipartError`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MultipartError> {
        if self.state != State::Content {
            return Ok(None);
        }
        let mut searched = 0;
        loop {
            let Some(at) = self.delimiter.find(&self.buffer, searched) else {
                // The last bytes may be the start of a delimiter.
                let safe = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
                if safe > 0 {
                    return Ok(Some(self.buffer.split_to(safe).freeze()));
                }
                self.more().await?;
                continue;
            };
            let after = at + self.delimiter.len();
            match self.delimiter.follows(&self.buffer[after..]) {
                Follows::Content => searched = at + 1,
                Follows::Unknown if at > 0 => return Ok(Some(self.buffer.split_to(at).freeze())),
                Follows::Unknown => {
                    self.more().await?;
                    searched = at;
                }
                Follows::Part(_) | Follows::End if at > 0 => {
                    return Ok(Some(self.buffer.split_to(at).freeze()));
                }
                Follows::Part(length) => {
                    self.buffer.advance(after + length);
                    self.state = State::Head;
                    return Ok(None);
                }
                Follows::End => {
                    self.state = State::End;
                    return Ok(None);
                }
            }
        }
    }

    /// Finds the first boundary line and learns from it how lines end.
    async fn pass_preamble(&mut self) -> Result<(), MultipartError> {
        let dashes = format!("--{}", self.boundary);
        let mut line = 0;
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.buffer[line..]).map(|at| at + line) else {
                if self.buffer.len() > PREAMBLE_MAX + dashes.len() + PADDING_MAX {
                    return Err(NO_BOUNDARY);
                }
                if self.ended && self.buffer[line..].starts_with(format!("{dashes}--").as_bytes()) {
                    self.state = State::End;
                    return Ok(());
                }
                self.more().await?;
                continue;
            };
            if let Some(rest) = self.buffer[line..end].strip_prefix(dashes.as_bytes()) {
                let line_end = if rest.ends_with(b"\r") { "\r\n" } else { "\n" };
                let is_last = rest.starts_with(b"--");
                if is_last || rest.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
                    self.delimiter = Delimiter::new(&self.boundary, line_end);
                    self.state = if is_last { State::End } else { State::Head };
                    self.buffer.advance(end + 1);
                    return Ok(());
                }
            }
            line = end + 1;
            if line > PREAMBLE_MAX {
                return Err(NO_BOUNDARY);
            }
        }
    }

    /// Reads a part's header lines up to the empty one.
    async fn head(&mut self) -> Result<PartHead, MultipartError> {
        let limit = self.limits.head_bytes;
        let mut line = 0;
        loop {
            let window = &self.buffer[line..self.buffer.len().min(limit + 1)];
            let Some(length) = memchr::memchr(b'\n', window) else {
                if self.buffer.len() > limit {
                    return Err(MultipartError::over("bytes in a part's head", limit));
                }
                self.more().await?;
                continue;
            };
            let end = line + length;
            if matches!(&self.buffer[line..end], b"" | b"\r") {
                let head = self.buffer.split_to(end + 1);
                let lines = std::str::from_utf8(&head[..line])
                    .map_err(|_| MultipartError::Malformed("header lines that are not UTF-8"))?;
                return part_head(lines)
                    .ok_or(MultipartError::Malformed("a part without a form-data name"));
            }
            line = end + 1;
        }
    }

    /// Reads a field's value.
    async fn value(&mut self) -> Result<String, MultipartError> {
        let mut value = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            self.value_bytes += chunk.len();
            let limit = self.limits.value_bytes;
            if self.value_bytes > limit {
                return Err(MultipartError::over("bytes in its fields", limit));
            }
            value.extend_from_slice(&chunk);
        }
        String::from_utf8(value).map_err(|_| MultipartError::Malformed("a field that is not UTF-8"))
    }

    /// Waits for more of the body.
    async fn more(&mut self) -> Result<(), MultipartError> {
        if self.ended {
            return Err(MultipartError::Truncated);
        }
        match self.body.next().await {
            Some(Ok(bytes)) if self.buffer.is_empty() => self.buffer = BytesMut::from(bytes),
            Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
            Some(Err(error)) => return Err(MultipartError::Body(error)),
            None => self.ended = true,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
