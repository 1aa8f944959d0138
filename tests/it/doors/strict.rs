//! Heads that violate HTTP, at every door and through both parsers of the public one; and the
//! headers that every answer carries.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use cheesecloth::testing::model::DoorLimits;

use super::stage::{Client, SAFETY_NET, open};

/// Request lines and `Host` lines, with the status that answers them.
const BAD: [(&str, &str, u16); 15] = [
    ("GET  /+api HTTP/1.1", "Host: x\r\n", 400),
    ("GET /+api  HTTP/1.1", "Host: x\r\n", 400),
    ("GET /a b HTTP/1.1", "Host: x\r\n", 400),
    ("GET evil:80 HTTP/1.1", "Host: x\r\n", 400),
    ("GET evil.example HTTP/1.1", "Host: x\r\n", 400),
    ("GET * HTTP/1.1", "Host: x\r\n", 400),
    ("GET http://evil.example/ HTTP/1.1", "Host: x\r\n", 400),
    ("GET /+api HTTP/1.1", "", 400),
    ("GET /+api HTTP/1.1", "Host: x\r\nHost: x\r\n", 400),
    ("GET /+api HTTP/1.1", "Host: x\r\nHost: y\r\n", 400),
    ("GET /+api HTTP/1.0", "Host: x\r\nHost: y\r\n", 400),
    ("GET /+api HTTP/1.1", "Host: me@x\r\n", 400),
    ("GET /+api HTTP/1.1", "Host: x y\r\n", 400),
    ("CONNECT x:80 HTTP/1.1", "Host: x\r\n", 405),
    (
        "GET /+api HTTP/1.1",
        "Host: x\r\nContent-Length: 18446744073709551616\r\n",
        400,
    ),
];

/// The rest of the head: it makes a plain request, or one that Pingora reads.
const WAYS: [&str; 2] = ["\r\n", "Content-Length: 2\r\n\r\n{}"];

#[track_caller]
fn refused(answer: &[u8], status: u16, head: &str) {
    let answer = String::from_utf8_lossy(answer).to_lowercase();
    let start = format!(" {status} ");
    assert_eq!(
        answer.find(&start),
        Some("http/1.1".len()),
        "{head:?}: {answer}"
    );
    let answers = answer.lines().filter(|line| line.starts_with("http/1."));
    assert_eq!(answers.count(), 1, "{head:?}: {answer}");
    assert!(!answer.contains("\r\nserver:"), "{head:?}: {answer}");
}

#[test]
fn a_head_with_two_readings_is_refused_at_every_door_and_ends_its_connection() {
    let doors = open(DoorLimits::default());
    for (line, host, status) in BAD {
        for rest in WAYS {
            let head = format!("{line}\r\n{host}{rest}");
            let next = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
            for door in [doors.public, doors.metrics] {
                let mut client = Client::to(door);
                client.send(&format!("{head}{next}"));
                refused(&client.read_to_close(), status, &head);
            }
            let mut stream = UnixStream::connect(&doors.unix).unwrap();
            stream.set_read_timeout(Some(SAFETY_NET)).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            refused(&answer, status, &head);
            assert!(
                String::from_utf8_lossy(&answer).contains("x-content-type-options: nosniff"),
                "{head:?}"
            );
        }
    }
}

#[test]
fn a_head_beyond_its_limit_is_refused_at_every_door() {
    let doors = open(DoorLimits {
        head: 16 << 10,
        ..DoorLimits::default()
    });
    for (filler, status) in [(17 << 10, 431), (12 << 10, 0)] {
        let head = format!(
            "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {}\r\n\r\n",
            "x".repeat(filler)
        );
        for door in [doors.public, doors.metrics] {
            let mut client = Client::to(door);
            client.send(&head);
            let answer = client.read_to_close();
            if status == 431 {
                refused(&answer, status, "long");
            } else {
                assert!(!String::from_utf8_lossy(&answer).contains(" 431 "));
            }
        }
        let mut stream = UnixStream::connect(&doors.unix).unwrap();
        stream.set_read_timeout(Some(SAFETY_NET)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        if status == 431 {
            refused(&answer, status, "long");
        } else {
            assert!(!String::from_utf8_lossy(&answer).contains(" 431 "));
        }
    }
}

#[test]
fn who_waits_to_be_told_to_go_on_is_answered_at_once() {
    let doors = open(DoorLimits {
        head_timeout: SAFETY_NET,
        ..DoorLimits::default()
    });
    let mut client = Client::to(doors.public);
    client.send(
        "POST /+api HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    let answer = client.read_head().status_line;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[test]
fn what_is_refused_is_written_down() {
    let mut doors = open(DoorLimits::default());
    let mut client = doors.connect();
    client.send("GET  / HTTP/1.1\r\nHost: x\r\n\r\n");
    client.read_to_close();
    doors.close();
    let text = doors.lines.text();
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!((&line["status"], &line["path"]), (&400.into(), &"-".into()));
}

fn says_no_more_than_it_should(door: SocketAddr, request: &str) {
    let mut client = Client::to(door);
    client.send(request);
    let head = client.read_head();
    let is_there = head.headers.get("x-content-type-options");
    assert!(
        is_there.is_some_and(|value| value == "nosniff"),
        "{request:?}: {}",
        head.head
    );
    assert!(
        !head.headers.contains_key("server"),
        "{request:?}: {}",
        head.head
    );
}

#[test]
fn every_answer_forbids_sniffing_and_none_names_its_machinery() {
    let doors = open(DoorLimits::default());
    for path in [
        "/simple/x/",
        "/simple/refused/",
        "/simple/unchanged/",
        "/simple/file/",
        "/simple/X/",
        "/nowhere",
        "/%FF",
        "/+api",
    ] {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "BREW"] {
            for rest in WAYS {
                let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{rest}");
                says_no_more_than_it_should(doors.public, &request);
            }
        }
    }
    for path in ["/metrics", "/healthz", "/readyz", "/nowhere"] {
        for method in ["GET", "POST"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            says_no_more_than_it_should(doors.metrics, &request);
        }
    }
    let many: String = (0..300).map(|n| format!("X-{n}: 1\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    says_no_more_than_it_should(doors.public, &request);
}
