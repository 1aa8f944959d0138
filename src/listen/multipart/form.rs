//! `multipart/form-data`, read as it arrives: fields as text, the file as chunks, never the whole of it.
//!
//! How the lines end is read from the first boundary line: `distutils` registers with bare LF, everybody
//! else sends CRLF, and nobody mixes. So a file may hold `\n--boundary` in a form that ends its lines
//! with CRLF, and the last `\r` of a file stays with the file in one that does not.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use crate::listen::multipart::delimiter::{Delimiter, Follows, PADDING_MAX};
use crate::listen::multipart::head::{PartHead, boundary_of, part_head};

/// Most bytes before the first boundary: a stray line end, or a sentence for old mail readers.
const PREAMBLE_MAX: usize = 1024;

type Source = Box<dyn std::error::Error + Send + Sync>;

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
    /// For forms whose fields hold at most so many bytes.
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

/// Why a form cannot be read.
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
    Body(#[source] Source),
}

/// A form being read.
#[derive(Debug)]
pub struct Multipart<S> {
    stream: S,
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
    /// Behind the last boundary.
    End,
}

impl<S, E> Multipart<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Source>,
{
    /// Starts to read a body of this content type.
    ///
    /// # Errors
    /// When the content type is not `multipart/form-data` with a boundary.
    pub fn new(content_type: &str, stream: S, limits: FormLimits) -> Result<Self, MultipartError> {
        let boundary = boundary_of(content_type).ok_or(MultipartError::Malformed(
            "the content type has no boundary",
        ))?;
        Ok(Self {
            stream,
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

    /// The next part, or nothing behind the last one. What was not read of a file is passed over.
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
            return Err(MultipartError::TooLarge {
                what: "parts",
                limit: self.limits.parts,
            });
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

    /// The next piece of the current file, never empty; nothing behind its end.
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
                    return Err(MultipartError::Malformed(
                        "no boundary where the form starts",
                    ));
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
                return Err(MultipartError::Malformed(
                    "no boundary where the form starts",
                ));
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
                    return Err(MultipartError::TooLarge {
                        what: "bytes in a part's head",
                        limit,
                    });
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
                return Err(MultipartError::TooLarge {
                    what: "bytes in its fields",
                    limit,
                });
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
        match self.stream.next().await {
            Some(Ok(bytes)) if self.buffer.is_empty() => self.buffer = BytesMut::from(bytes),
            Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
            Some(Err(error)) => return Err(MultipartError::Body(error.into())),
            None => self.ended = true,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, stream};
    use proptest::prelude::*;

    use super::*;

    /// A form taken apart: fields as they came, files with all of their content.
    type Parts = Vec<(String, Option<String>, Vec<u8>)>;

    /// Reads a form that arrives in these chunks. Nothing ever waits, so one poll is enough.
    fn read(chunks: &[&[u8]], limits: FormLimits) -> Result<Parts, MultipartError> {
        let chunks: Vec<Result<Bytes, std::io::Error>> = chunks
            .iter()
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        let content_type = "multipart/form-data; boundary=XX; charset=utf-8";
        let mut form = Multipart::new(content_type, stream::iter(chunks), limits)?;
        let reading = async {
            let mut parts = Parts::new();
            while let Some(part) = form.next().await? {
                match part {
                    FormPart::Field { name, value } => parts.push((name, None, value.into_bytes())),
                    FormPart::File(head) => {
                        let mut content = Vec::new();
                        while let Some(chunk) = form.chunk().await? {
                            assert!(!chunk.is_empty());
                            content.extend_from_slice(&chunk);
                        }
                        parts.push((head.name, head.filename, content));
                    }
                }
            }
            Ok(parts)
        };
        reading.now_or_never().unwrap()
    }

    fn whole(body: &str) -> Result<Parts, MultipartError> {
        read(&[body.as_bytes()], FormLimits::holding(4 << 20))
    }

    fn field(name: &str, value: &str) -> (String, Option<String>, Vec<u8>) {
        (name.into(), None, value.into())
    }

    fn file(filename: &str, content: &[u8]) -> (String, Option<String>, Vec<u8>) {
        ("content".into(), Some(filename.into()), content.into())
    }

    /// What distutils sends: a line end before the first boundary, the file in the middle.
    const UPLOAD: &str = "\r\n--XX\r\nContent-Disposition: form-data; name=\":action\"\r\n\r\n\
        file_upload\r\n--XX\r\nContent-Disposition: form-data; name=\"content\";filename=\"a-1.zip\"\
        \r\n\r\nPK\r\n--XX-\n--XX\n\r\n--X\r\n\r\n--XX\r\nContent-Disposition: form-data; name=\"name\"\
        \r\n\r\na\r\n--XX--\r\n";

    #[test]
    fn a_form_with_the_file_in_the_middle() {
        let parts = whole(UPLOAD).unwrap();
        let content = b"PK\r\n--XX-\n--XX\n\r\n--X\r\n";
        let expected = [
            field(":action", "file_upload"),
            file("a-1.zip", content),
            field("name", "a"),
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_registration_of_distutils_ends_its_lines_with_lf() {
        let body = "\n--XX\nContent-Disposition: form-data; name=\"name\"\n\na\n--XX\n\
            Content-Disposition: form-data; name=\"content\"; filename=\"f\"\n\nb\r\n--XX--\n";
        let expected = [field("name", "a"), file("f", b"b\r")];
        assert_eq!(
            whole(body).unwrap(),
            expected,
            "the carriage return is the file's"
        );
    }

    #[test]
    fn odd_but_readable_forms() {
        let head = "Content-Disposition: form-data; name=a";
        let table = [
            ("--XX--".to_owned(), vec![]),
            ("--XX--\r\nepilogue".to_owned(), vec![]),
            (
                format!("for old mail readers\r\n--XX\r\n{head}\r\n\r\n\r\n--XX--"),
                vec![field("a", "")],
            ),
            (
                format!("--XX \t\r\n{head}\r\n\r\n1\r\n--XX   \r\n{head}\r\n\r\n2\r\n--XX--"),
                vec![field("a", "1"), field("a", "2")],
            ),
            (
                format!("--XX\r\n{head}\r\n\r\n\r\n--XXL\r\n--XX--"),
                vec![field("a", "\r\n--XXL")],
            ),
        ];
        for (body, parts) in table {
            assert_eq!(whole(&body).unwrap(), parts, "{body:?}");
        }
    }

    #[test]
    fn what_is_no_form_is_told() {
        let head = "Content-Disposition: form-data; name=a";
        let table = [
            ("".to_owned(), "ends in the middle"),
            ("--YY\r\n".to_owned(), "ends in the middle"),
            ("x\n".repeat(1000), "no boundary where"),
            ("x".repeat(4000), "no boundary where"),
            (format!("--XX\r\n{head}\r\n\r\n"), "ends in the middle"),
            (
                format!("--XX\r\n{head}\r\n\r\nvalue\r\n--XX"),
                "ends in the middle",
            ),
            (
                format!("--XX\r\n{head}\r\n\r\nvalue\r\n--XX-"),
                "ends in the middle",
            ),
            (format!("--XX\r\n{head}"), "ends in the middle"),
            (
                "--XX\r\n\r\n\r\n--XX--".to_owned(),
                "without a form-data name",
            ),
            (
                "--XX\r\nContent-Disposition: inline\r\n\r\n--XX--".to_owned(),
                "without a form-data name",
            ),
        ];
        for (body, message) in table {
            let error = whole(&body).unwrap_err().to_string();
            assert!(error.contains(message), "{body:?}: {error}");
        }
        let error = Multipart::new(
            "application/json",
            stream::iter(Vec::<Result<Bytes, std::io::Error>>::new()),
            FormLimits::holding(4 << 20),
        );
        assert!(matches!(error, Err(MultipartError::Malformed(_))));
        let latin = b"--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n\xfc\r\n--XX--";
        let error = read(&[latin], FormLimits::holding(4 << 20))
            .unwrap_err()
            .to_string();
        assert!(error.contains("not UTF-8"), "{error}");
    }

    #[test]
    fn every_limit_holds_and_a_file_is_under_none() {
        let limits = FormLimits {
            parts: 3,
            head_bytes: 90,
            value_bytes: 64,
        };
        assert_eq!(read(&[UPLOAD.as_bytes()], limits).unwrap().len(), 3);
        let long = UPLOAD.replace("PK", &"PK".repeat(10_000));
        assert_eq!(read(&[long.as_bytes()], limits).unwrap().len(), 3);
        for (limits, what) in [
            (FormLimits { parts: 2, ..limits }, "parts"),
            (
                FormLimits {
                    head_bytes: 40,
                    ..limits
                },
                "bytes in a part's head",
            ),
            (
                FormLimits {
                    value_bytes: 20,
                    ..limits
                },
                "bytes in its fields",
            ),
        ] {
            let error = read(&[UPLOAD.as_bytes()], limits).unwrap_err();
            let told = matches!(error, MultipartError::TooLarge { what: told, .. } if told == what);
            assert!(told, "{what}: {error:?}");
        }
    }

    #[test]
    fn a_file_that_nobody_reads_is_passed_over() {
        let body = Bytes::from_static(UPLOAD.as_bytes());
        let stream = stream::iter([Ok::<_, std::io::Error>(body)]);
        let content_type = "multipart/form-data; boundary=XX";
        let mut form = Multipart::new(content_type, stream, FormLimits::holding(4 << 20)).unwrap();
        let mut names = Vec::new();
        while let Some(part) = form.next().now_or_never().unwrap().unwrap() {
            names.push(match part {
                FormPart::Field { name, .. } | FormPart::File(PartHead { name, .. }) => name,
            });
        }
        assert_eq!(names, [":action", "content", "name"]);
    }

    #[test]
    fn a_broken_body_is_an_error_of_its_own() {
        let broken = stream::iter([
            Ok(Bytes::from_static(b"--XX\r\n")),
            Err(std::io::Error::other("connection reset")),
        ]);
        let content_type = "multipart/form-data; boundary=XX";
        let mut form = Multipart::new(content_type, broken, FormLimits::holding(4 << 20)).unwrap();
        let error = form.next().now_or_never().unwrap().unwrap_err();
        assert!(matches!(error, MultipartError::Body(_)), "{error:?}");
    }

    /// Content made of everything a delimiter is made of.
    fn tricky() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            &b"\r"[..],
            b"\n",
            b"\r\n",
            b"--",
            b"-",
            b"X",
            b"XX",
            b"--XX",
            b"\r\n--XX",
            b"\n--XX",
            b" ",
            b"a",
            b"\0\xff",
        ]);
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    /// Whether a form with this line end could carry the content at all.
    fn can_be_sent(content: &[u8], line_end: &str) -> bool {
        let framed = [line_end.as_bytes(), content, line_end.as_bytes()].concat();
        let delimiter = format!("{line_end}--XX");
        !memchr::memmem::find_iter(&framed, delimiter.as_bytes()).any(|at| {
            let rest = &framed[at + delimiter.len()..];
            let blanks = rest
                .iter()
                .take_while(|byte| matches!(byte, b' ' | b'\t'))
                .count();
            rest.starts_with(b"--") || rest[blanks..].starts_with(line_end.as_bytes())
        })
    }

    proptest! {
        #[test]
        fn what_was_sent_arrives_however_it_is_cut(
            content in tricky(),
            line_end in prop::sample::select(vec!["\r\n", "\n"]),
            cuts in prop::collection::vec(0usize..400, 0..12),
        ) {
            prop_assume!(can_be_sent(&content, line_end));
            let head = format!(
                "--XX{line_end}Content-Disposition: form-data; name=content; filename=f{line_end}{line_end}"
            );
            let end = format!("{line_end}--XX--{line_end}");
            let body = [head.as_bytes(), &content, end.as_bytes()].concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([body.len()]) {
                chunks.push(&body[from..cut]);
                from = cut;
            }
            let parts = read(&chunks, FormLimits::holding(4 << 20)).unwrap();
            prop_assert_eq!(parts, [file("f", &content)]);
        }

        #[test]
        fn any_bytes_give_the_same_answer_whole_and_one_by_one(noise in tricky(), start in 0usize..3) {
            let start = [&b""[..], b"--XX\r\n", UPLOAD.as_bytes()][start];
            let body = [start, &noise, b"\r\n--XX--"].concat();
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            let slowly = read(&bytes, FormLimits::holding(4 << 20)).map_err(|error| error.to_string());
            let at_once = read(&[&body], FormLimits::holding(4 << 20)).map_err(|error| error.to_string());
            prop_assert_eq!(slowly, at_once);
        }
    }
}
