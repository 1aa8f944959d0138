//! Clients that stop reading: however an answer is sent, too long without progress ends it.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use cheesecloth::testing::model::DoorLimits;

use super::super::attack::frames::Frames;
use super::super::support::tls;
use super::stage::{HUGE, open, open_with};

/// Only the time without progress ends an answer here: by the minimum rate the same reader would
/// have minutes.
fn impatient() -> DoorLimits {
    DoorLimits {
        send_timeout: Duration::from_millis(300),
        ..DoorLimits::default()
    }
}

#[test]
fn who_takes_nothing_is_cut_off_by_every_way_out() {
    for (way, rest) in [
        ("HTTP/1.1", "\r\n"),
        // Sent by Pingora: requests with a body, and those of an older HTTP version.
        ("HTTP/1.1", "Content-Length: 2\r\n\r\n{}"),
        ("HTTP/1.0", "\r\n"),
    ] {
        let doors = open(impatient());
        let mut client = doors.connect();
        client.send(&format!("GET /simple/huge/ {way}\r\nHost: x\r\n{rest}"));
        client.read_head();
        // Nothing is read until the door has given up, which the metrics show.
        doors.wait_for_number("reason=\"slow\"} 1");
        assert!(
            (client.read_to_close().len() as u64) < HUGE,
            "{way} {rest:?}"
        );
    }
}

#[test]
fn a_unix_socket_that_is_not_read_is_cut_off() {
    let doors = open(impatient());
    let mut stream = std::os::unix::net::UnixStream::connect(&doors.unix).unwrap();
    stream
        .write_all(b"GET /simple/huge/ HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    doors.wait_for_number("reason=\"slow\"} 1");
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    assert!((got.len() as u64) < HUGE);
}

#[test]
fn who_takes_nothing_through_tls_is_cut_off() {
    let doors = open_with(impatient(), true);
    let config = tls::trusting(&[doors.certificate.as_deref().unwrap()], &["http/1.1"]);
    let mut stream = tls::agree(&config, "localhost", doors.connect().stream);
    let request = b"GET /simple/huge/ HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request).unwrap();
    stream.flush().unwrap();
    doors.wait_for_number("reason=\"slow\"} 1");
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    assert!(!got.is_empty() && (got.len() as u64) < HUGE);
}

#[test]
fn a_stream_whose_window_is_never_opened_is_cut_off() {
    let doors = open_with(impatient(), true);
    let certificate = doors.certificate.as_deref().unwrap();
    let mut frames = Frames::agreed_with("localhost", doors.public, certificate);
    frames.begin();
    frames.open("GET", "/simple/huge/").unwrap();
    // Reads every frame that arrives and never widens the window: to the connection, all is in
    // order.
    let mut is_over = false;
    while let Some(frame) = frames.next() {
        assert!(!frame.ends_stream(), "the whole file came: {}", frame.kind);
        is_over = frame.kind == super::super::attack::frames::RESET;
        if is_over {
            break;
        }
    }
    doors.wait_for_number("reason=\"slow\"} 1");
    assert!(is_over || frames.open("GET", "/simple/x/").is_err());
}
