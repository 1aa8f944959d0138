//! The ways in which an upload goes wrong: tables, each row with the reason that is given.

use std::io::{self, Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::support::ask::{self, Answer};
use crate::support::{Form, Wheel};

/// Sends something to an index.
pub(super) type Sending = dyn Fn(&str) -> io::Result<Answer>;

/// One way to go wrong: its name, how it is sent, the status, and words of the reason.
pub(super) type Row = (&'static str, Box<Sending>, u16, &'static str);

pub(super) fn good() -> Form {
    Form::of_wheel("acme-tool", "1.0")
}

fn form(form: Form) -> Box<Sending> {
    Box::new(move |url| form.post(url))
}

/// A wheel whose metadata is for something else.
fn of_another(project: &str, version: &str) -> Vec<u8> {
    Wheel::new(project, version).build()
}

/// A wheel that unpacks to far more than its own size.
fn bomb() -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let name = "acme_tool-1.0.dist-info/METADATA";
    writer
        .start_file(name, SimpleFileOptions::default())
        .unwrap();
    let head = "Metadata-Version: 2.1\nName: acme-tool\nVersion: 1.0\n\n";
    writer.write_all(head.as_bytes()).unwrap();
    for _ in 0..256 {
        writer.write_all(&[b' '; 1 << 20]).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[expect(clippy::too_many_lines, reason = "a table reads by rows")]
pub(super) fn contradictions() -> Vec<Row> {
    let wheel = Wheel::new("acme-tool", "1.0").filename();
    vec![
        (
            "a wrong sha256",
            form(good().with("sha256_digest", &"0".repeat(64))),
            400,
            "sha256 digest is",
        ),
        (
            "a wrong md5",
            form(good().field("md5_digest", &"0".repeat(32))),
            400,
            "md5 digest is",
        ),
        (
            "a wrong blake2",
            form(good().field("blake2_256_digest", &"0".repeat(64))),
            400,
            "blake2_256 digest is",
        ),
        (
            "a digest that is none",
            form(good().with("sha256_digest", "beef")),
            400,
            "sha256_digest is not 64 hexadecimal digits",
        ),
        (
            "a wheel that is no zip",
            form(good().holding(b"no zip at all")),
            400,
            "acme_tool-1.0-py3-none-any.whl is not a readable zip archive",
        ),
        (
            "a wheel of another name",
            form(good().holding(&of_another("other", "1.0"))),
            400,
            "is of project \"other\", not of \"acme-tool\"",
        ),
        (
            "a wheel of another version",
            form(good().holding(&of_another("acme-tool", "2.0"))),
            400,
            "is of version \"2.0\", not of \"1.0\"",
        ),
        (
            "something before a wheel's zip",
            form(
                good()
                    .holding(&[b"#!/bin/sh\n", &*Wheel::new("acme-tool", "1.0").build()].concat()),
            ),
            400,
            "does not begin where its zip archive begins",
        ),
        (
            "something after a wheel's zip",
            form(good().holding(&[&*Wheel::new("acme-tool", "1.0").build(), b"x"].concat())),
            400,
            "does not end where its zip archive ends",
        ),
        (
            "a wheel with a bomb for metadata",
            form(good().holding(&bomb())),
            400,
            "has metadata over the limit of",
        ),
        (
            "a file name of another project",
            form(good().with("name", "other")),
            400,
            "does not match project name 'other'",
        ),
        (
            "a file name of another version",
            form(good().with("version", "2.0")),
            400,
            "does not contain version '2.0'",
        ),
        (
            "two values of one field",
            form(good().field("name", "other")),
            400,
            "field 'name' was sent twice and not the same",
        ),
        (
            "two files",
            form(good().file("content", &wheel, b"again")),
            400,
            "the form has two files called content",
        ),
    ]
}

pub(super) fn omissions() -> Vec<Row> {
    vec![
        (
            "no name",
            form(good().without("name")),
            400,
            "Missing required field \"name\"",
        ),
        (
            "no version",
            form(good().without("version")),
            400,
            "Missing required field \"version\"",
        ),
        (
            "no action",
            form(good().without(":action")),
            400,
            "the form has no field :action",
        ),
        (
            "another action",
            form(good().with(":action", "remove_pkg")),
            400,
            "action 'remove_pkg' not supported",
        ),
        (
            "no content",
            form(good().without("content")),
            400,
            "content file field not found",
        ),
        (
            "content that is no file",
            form(good().without("content").field("content", "PK")),
            400,
            "content file field not found",
        ),
        (
            "an unknown field",
            form(good().field("colour", "blue")),
            400,
            "unknown field 'colour'",
        ),
        (
            "an unknown file",
            form(good().file("poster", "poster.png", b"png")),
            400,
            "unknown field 'poster'",
        ),
    ]
}

/// File names that lead elsewhere, in every spelling that some reader might decode.
pub(super) fn traversals() -> Vec<Row> {
    let names = [
        "../acme_tool-1.0-py3-none-any.whl",
        "../../../../tmp/acme_tool-1.0-py3-none-any.whl",
        "/tmp/acme_tool-1.0-py3-none-any.whl",
        "..\\acme_tool-1.0-py3-none-any.whl",
        "C:\\acme_tool-1.0-py3-none-any.whl",
        "a/acme_tool-1.0-py3-none-any.whl",
        "acme_tool-1.0-py3-none-any.whl/../../x.whl",
        "acme_tool-1.0/../../acme_tool-1.0.tar.gz",
        "..%2facme_tool-1.0-py3-none-any.whl",
        "%2e%2e%2facme_tool-1.0-py3-none-any.whl",
        "acme_tool-1.0-..%2f..%2fx.tar.gz",
        "acme_tool-1.0-..%5c..%5cx.tar.gz",
        "acme_tool-1.0-py3-none-%2e%2e.whl",
        "acme_tool-1.0\0-py3-none-any.whl",
        "acme_tool-1.0-py3-none-any.whl\0.whl",
        "acme_tool-1.0-py3-none-any\u{202e}.whl",
        "acme_tool-1.0-?x.tar.gz",
        "acme_tool-1.0-#x.tar.gz",
        ".acme_tool-1.0-py3-none-any.whl",
        "..",
        ".",
        "",
    ];
    let row = |name: &str| -> Row {
        let words = if name.is_empty() {
            "content file field not found"
        } else {
            "'"
        };
        (
            "a name that leads elsewhere",
            form(good().named(name)),
            400,
            words,
        )
    };
    names.into_iter().map(row).collect()
}

/// Sends this body with this head, whatever the head says of it.
fn raw(headers: &[(&str, &str)], body: &[u8], url: &str) -> io::Result<ask::Begun> {
    let kind = Form::content_type();
    let mut all = vec![("Accept", "application/json"), ("Content-Type", &*kind)];
    for header in headers {
        all.retain(|(name, _)| *name != header.0);
        all.push(*header);
    }
    let mut begun = ask::begin("POST", url, &all)?;
    begun.send(body)?;
    Ok(begun)
}

/// Sends this body with this content type.
fn typed(kind: &str, body: &[u8], url: &str) -> io::Result<Answer> {
    let length = body.len().to_string();
    let headers = [("Content-Type", kind), ("Content-Length", &*length)];
    raw(&headers, body, url)?.finish(|_| Ok(()))
}

pub(super) fn broken() -> Vec<Row> {
    vec![
        (
            "a body that ends before its length",
            Box::new(|url| {
                let body = good().body();
                let length = body.len().to_string();
                raw(&[("Content-Length", &length)], &body[..body.len() / 2], url)?.cut()
            }),
            400,
            "the body broke off",
        ),
        (
            "chunks that end early",
            Box::new(|url| {
                let headers = [("Transfer-Encoding", "chunked")];
                raw(&headers, b"400\r\n--a-bound", url)?.cut()
            }),
            400,
            "the body broke off",
        ),
        (
            "a form that ends early",
            Box::new(|url| {
                let body = good().body();
                typed(&Form::content_type(), &body[..body.len() - 20], url)
            }),
            400,
            "the form ends in the middle of a part",
        ),
        (
            "another boundary",
            Box::new(|url| {
                let other = "multipart/form-data; boundary=another";
                typed(other, &good().body(), url)
            }),
            400,
            "no boundary where the form starts",
        ),
        (
            "no boundary",
            Box::new(|url| typed("multipart/form-data", &good().body(), url)),
            400,
            "the content type has no boundary",
        ),
    ]
}

pub(super) fn oversized() -> Vec<Row> {
    vec![
        (
            "a hundred thousand fields",
            Box::new(|url| {
                let fields = (0..100_000).map(|_| ("classifiers".to_owned(), "x".to_owned()));
                fields
                    .fold(good(), |form, (name, value)| form.field(&name, &value))
                    .post(url)
            }),
            413,
            "the form has parts over the limit of 4096",
        ),
        (
            "a field of a hundred megabytes",
            Box::new(|url| {
                good()
                    .field("description", &"x".repeat(100 << 20))
                    .post(url)
            }),
            413,
            "the form has bytes in its fields over the limit of 4194304",
        ),
        (
            "a signature of a hundred megabytes",
            Box::new(|url| {
                good()
                    .file("gpg_signature", "a.asc", &vec![b'x'; 100 << 20])
                    .post(url)
            }),
            413,
            "the file called \"gpg_signature\" is too large",
        ),
        (
            "a file over the limit by a little",
            Box::new(|url| good().holding(&vec![b'x'; (128 << 20) + 1]).post(url)),
            413,
            "the file is larger than the 134217728 bytes that limits.upload allows",
        ),
        (
            "three gigabytes, announced",
            Box::new(|url| endless(url, &[("Content-Length", &THREE_GB.to_string())], false)),
            413,
            "the body is longer than the 134217728 bytes that limits.upload allows",
        ),
        (
            "three gigabytes, in chunks",
            Box::new(|url| endless(url, &[("Transfer-Encoding", "chunked")], true)),
            413,
            "the file is larger than the 134217728 bytes that limits.upload allows",
        ),
    ]
}

const THREE_GB: u64 = 3 << 30;

/// Sends three gigabytes, or as much of them as is accepted.
fn endless(url: &str, headers: &[(&str, &str)], chunked: bool) -> io::Result<Answer> {
    let kind = Form::content_type();
    let mut all = vec![("Accept", "application/json"), ("Content-Type", &*kind)];
    all.extend_from_slice(headers);
    let begun = ask::begin("POST", url, &all)?;
    begun.finish(|stream| {
        let mut first = Form::empty().field(":action", "file_upload").body();
        first.truncate(first.len() - "--a-boundary-that-no-content-holds--\r\n".len());
        let head = Form::file_head("content", "acme_tool-1.0.tar.gz");
        first.extend_from_slice(head.as_bytes());
        let piece = vec![0; 1 << 20];
        let mut send = |bytes: &[u8]| -> io::Result<()> {
            if chunked {
                write!(stream, "{:x}\r\n", bytes.len())?;
            }
            stream.write_all(bytes)?;
            if chunked {
                stream.write_all(b"\r\n")?;
            }
            Ok(())
        };
        send(&first)?;
        for _ in 0..THREE_GB >> 20 {
            send(&piece)?;
        }
        Ok(())
    })
}
