//! Forms as clients send them, and as they should not.

use futures_util::{FutureExt, stream};
use proptest::prelude::*;

use crate::listen::multipart::form::*;

/// A form taken apart: fields as they came, files with all of their content.
type Parts = Vec<(String, Option<String>, Vec<u8>)>;

/// Reads a form that arrives in these chunks. Nothing ever waits, so one poll is enough.
fn read(chunks: &[&[u8]], limits: FormLimits) -> Result<Parts, MultipartError> {
    let chunks: Vec<Result<Bytes, std::io::Error>> = chunks
        .iter()
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    let content_type = "multipart/form-data; boundary=XX; charset=utf-8";
    let mut body = Incoming::of(stream::iter(chunks));
    let mut form = Multipart::new(content_type, &mut body, limits)?;
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
    let mut empty = Incoming::of(stream::empty());
    let form = Multipart::new("application/json", &mut empty, FormLimits::holding(4 << 20));
    assert!(matches!(form, Err(MultipartError::Malformed(_))));
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
    let mut body = Incoming::of(stream::iter([Ok(body)]));
    let content_type = "multipart/form-data; boundary=XX";
    let mut form = Multipart::new(content_type, &mut body, FormLimits::holding(4 << 20)).unwrap();
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
    let mut broken = Incoming::of(stream::iter([
        Ok(Bytes::from_static(b"--XX\r\n")),
        Err(std::io::Error::other("connection reset")),
    ]));
    let content_type = "multipart/form-data; boundary=XX";
    let mut form = Multipart::new(content_type, &mut broken, FormLimits::holding(4 << 20)).unwrap();
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
