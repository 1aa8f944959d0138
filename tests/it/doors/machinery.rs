//! What Pingora answers by itself, to heads that it cannot parse and to clients that are too slow:
//! these answers forbid sniffing as well, and do not name the server.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use cheesecloth::testing::model::DoorLimits;

use super::super::support::Program;
use super::stage::{SAFETY_NET, open};

/// Heads that a layer below ours may refuse, each with what follows it.
fn heads() -> Vec<String> {
    let with = |headers: &str| format!("GET /+api HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let many: String = (0..300).map(|n| format!("X-{n}: 1\r\n")).collect();
    let mut heads = vec![
        with("Content-Length: x\r\n"),
        with("Content-Length: 1\r\nContent-Length: 2\r\n"),
        with("Content-Length: 99999999999999999999\r\n"),
        with("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
        with("Transfer-Encoding: gzip\r\n"),
        with("Transfer-Encoding: chunked\r\n") + "zz\r\n\r\n",
        with("Transfer-Encoding: chunked, chunked\r\n"),
        with("A B: 1\r\n"),
        with(": 1\r\n"),
        with("no colon\r\n"),
        with(" folded: 1\r\n"),
        with("A: \0\r\n"),
        with("A: \x01\r\n"),
        with("Expect: 200-never\r\nContent-Length: 2\r\n"),
        with("Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: A\r\n"),
        with(&many),
        with(&format!("X: {}\r\n", "x".repeat(80 << 10))),
        format!(
            "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "x".repeat(9 << 10)
        ),
        format!(
            "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "x".repeat(80 << 10)
        ),
    ];
    let whole = [
        "GET / HTTP/3.7\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/0.9\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\n\n",
        "GET /\r\n\r\n",
        "\r\n\r\n\r\n",
        "garbage\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHo",
        "\x16\x03\x01\x00\x2f\x01\x00\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    heads.extend(whole.map(str::to_owned));
    heads
}

/// Everything that a door answers until it closes.
fn answers(door: SocketAddr, sent: &[&str]) -> String {
    let mut stream = TcpStream::connect(door).unwrap();
    stream.set_read_timeout(Some(SAFETY_NET)).unwrap();
    for text in sent {
        // A door that has already refused accepts no more.
        let _ = stream.write_all(text.as_bytes());
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

/// The heads among the answers.
fn said(answers: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut rest = answers;
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        assert!(head.starts_with("HTTP/1.1 "), "{rest}");
        let head = head.to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        rest = after.get(length..).unwrap_or_default();
        heads.push(head);
    }
    heads
}

fn say_no_more_than_they_should(heads: &[String], sent: &str) {
    for head in heads {
        let shown: String = sent.chars().take(80).collect();
        assert!(
            head.contains("\r\nx-content-type-options: nosniff"),
            "{shown:?}: {head}"
        );
        assert!(!head.contains("\r\nserver:"), "{shown:?}: {head}");
    }
}

#[test]
fn every_answer_of_every_door_forbids_sniffing_whoever_makes_it() {
    let program = Program::with_policies("indexes: {}\n").start();
    let good = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for url in [
        program.public_url(),
        program.manage_url(),
        program.metrics_url(),
    ] {
        let door: SocketAddr = url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .parse()
            .unwrap();
        let mut refused = 0;
        for head in heads() {
            let alone = said(&answers(door, &[&head]));
            say_no_more_than_they_should(&alone, &head);
            refused += usize::from(alone.iter().any(|head| head.starts_with("http/1.1 4")));
            let second = said(&answers(door, &[good, &head]));
            say_no_more_than_they_should(&second, &head);
            assert!(!second.is_empty(), "{door}: {head:?}");
        }
        assert!(refused > 15, "{refused} were answered with 4xx at {url}");
    }
}

#[test]
fn who_is_too_slow_is_told_so_as_everybody_is() {
    let doors = open(DoorLimits {
        head_timeout: Duration::from_millis(100),
        ..DoorLimits::default()
    });
    for door in [doors.public, doors.metrics] {
        for sent in [
            "G",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5",
        ] {
            let mut stream = TcpStream::connect(door).unwrap();
            stream.set_read_timeout(Some(SAFETY_NET)).unwrap();
            stream.write_all(sent.as_bytes()).unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            let heads = said(&String::from_utf8_lossy(&all));
            say_no_more_than_they_should(&heads, sent);
        }
    }
}
