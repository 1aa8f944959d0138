//! The public door answers on two paths, and both must give the same answer.
//!
//! A GET with a body goes through Pingora, as requests ordinarily do; the same request without one
//! is answered straight on the socket.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use cheesecloth::testing::exchange::{Body, StoredFile};
use cheesecloth::testing::model::DoorLimits;
use http::StatusCode;

use super::stage::{Answered, open};

/// More than a socket takes in one write, and large enough for `sendfile`.
const LARGE: usize = (9 << 20) + 17;

/// Every kind of answer of known length, by the project's name.
const KINDS: [&str; 13] = [
    "x",
    "page",
    "empty-page",
    "refused",
    "unchanged",
    "nothing",
    "file",
    "file-part",
    "file-empty",
    "file-large",
    "file-large-part",
    "unsatisfied",
    "gone",
];

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

fn file(size: usize, start: u64, length: u64) -> Body {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content(size)).unwrap();
    let file = Arc::new(StoredFile::new(file).unwrap());
    Body::File {
        file,
        start,
        length,
    }
}

/// The answer for a project of this name, if it is one of ours.
pub(super) fn answer(name: &str) -> Option<(StatusCode, Body)> {
    Some(match name {
        "page" => (StatusCode::OK, Body::Bytes(content(2 << 20).into())),
        "empty-page" => (StatusCode::OK, Body::Bytes(Bytes::new())),
        "nothing" => (StatusCode::NO_CONTENT, Body::Empty),
        "file" => (StatusCode::OK, file(300_000, 0, 300_000)),
        "file-part" => (StatusCode::PARTIAL_CONTENT, file(300_000, 299_990, 10)),
        "file-empty" => (StatusCode::OK, file(0, 0, 0)),
        "file-large" => (StatusCode::OK, file(LARGE, 0, LARGE as u64)),
        "file-large-part" => {
            let (start, length) = (4097, (LARGE - 5000) as u64);
            (StatusCode::PARTIAL_CONTENT, file(LARGE, start, length))
        }
        "file-cut" => (StatusCode::OK, file(LARGE, 0, LARGE as u64 + 1_000_000)),
        "unsatisfied" => (StatusCode::RANGE_NOT_SATISFIABLE, Body::Empty),
        "gone" => (StatusCode::GONE, Body::Empty),
        _ => return None,
    })
}

/// An answer without what differs from request to request.
fn lasting(mut answered: Answered) -> Answered {
    for own in ["date", "server-timing", "x-request-id"] {
        assert!(answered.headers.remove(own).is_some(), "{own}");
    }
    answered
}

#[test]
fn both_ways_answer_the_same() {
    let doors = open(DoorLimits::default());
    let mut short = doors.connect();
    let mut ordinary = doors.connect();
    for name in KINDS {
        for method in ["GET", "HEAD"] {
            let head = format!("{method} /simple/{name}/ HTTP/1.1\r\nHost: x\r\n");
            short.send(&format!("{head}\r\n"));
            ordinary.send(&format!("{head}Content-Length: 2\r\n\r\n{{}}"));
            let [short, ordinary] = [&mut short, &mut ordinary].map(|client| {
                let is_bare = method == "HEAD" || matches!(name, "nothing" | "unchanged");
                lasting(if is_bare {
                    client.read_head()
                } else {
                    client.read_answer()
                })
            });
            // Pingora writes header names in capitals, which proves that there are really two
            // paths.
            assert!(short.head.contains("\r\ndate: "), "{}", short.head);
            assert!(ordinary.head.contains("\r\nDate: "), "{}", ordinary.head);
            assert_eq!(short.status_line, ordinary.status_line, "{method} {name}");
            assert_eq!(short.headers, ordinary.headers, "{method} {name}");
            assert!(short.body == ordinary.body, "{method} {name}");
        }
    }
}

#[test]
fn a_large_file_is_the_file() {
    let doors = open(DoorLimits::default());
    let mut client = doors.connect();
    assert!(client.get("/simple/file-large/").body == content(LARGE));
    let part = client.get("/simple/file-large-part/");
    assert!(part.body == content(LARGE)[4097..][..LARGE - 5000]);
    assert!(client.get("/simple/page/").body == content(2 << 20));
}

#[test]
fn whoever_asks_for_the_connection_to_be_closed_is_heard() {
    let doors = open(DoorLimits::default());
    for body in ["", "Content-Length: 2\r\n"] {
        let mut client = doors.connect();
        let head = format!("GET /simple/x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{body}\r\n");
        client.send(&format!(
            "{head}{}",
            if body.is_empty() { "" } else { "{}" }
        ));
        let answered = client.read_answer();
        assert_eq!(answered.headers["connection"], "close");
        assert_eq!(answered.text(), "page of x");
        assert!(client.read_to_close().is_empty());
    }
}

/// Plain and other requests on one connection, sent without waiting: each is answered in its turn.
#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let doors = open(DoorLimits::default());
    let mut client = doors.connect();
    let plain = |name: &str| format!("GET /simple/{name}/ HTTP/1.1\r\nHost: x\r\n\r\n");
    // A request with the whole URL as its target is not a plain one: Pingora reads it.
    let whole = |name: &str| format!("GET http://x/simple/{name}/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let names = ["a", "b", "c", "d", "e", "f"];
    let asks = [
        plain("a"),
        whole("b"),
        plain("c"),
        whole("d"),
        whole("e"),
        plain("f"),
    ];
    client.send(&asks.concat());
    for (name, ask) in names.iter().zip(&asks) {
        let answered = client.read_answer();
        assert_eq!(answered.text(), format!("page of {name}"));
        let is_plain = !ask.contains("http:");
        assert_eq!(answered.head.contains("\r\ndate: "), is_plain, "{name}");
    }
}

#[test]
fn a_large_file_that_ends_early_ends_its_connection() {
    let doors = open(DoorLimits::default());
    let mut client = doors.connect();
    client.send("GET /simple/file-cut/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let stated = (LARGE + 1_000_000).to_string();
    assert_eq!(client.read_head().headers["content-length"], stated);
    assert!(client.read_to_close() == content(LARGE));
}
