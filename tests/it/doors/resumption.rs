//! Resumed TLS sessions: what a client that connects again is spared.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use cheesecloth::testing::model::DoorLimits;
use rustls::{ClientConfig, HandshakeKind};

use super::super::support::tls;
use super::stage::{Doors, open_with};

const REQUEST: &str = "GET /simple/x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Connects, sends one request and returns the kind of handshake. The answer is read to its end,
/// since tickets come after the handshake.
fn ask(doors: &Doors, config: &Arc<ClientConfig>) -> HandshakeKind {
    let mut stream = tls::agree(config, "localhost", doors.connect().stream);
    stream.write_all(REQUEST.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.ends_with(b"page of x"));
    stream.conn.handshake_kind().unwrap()
}

fn client(doors: &[&Doors]) -> Arc<ClientConfig> {
    let certificates = doors
        .iter()
        .map(|doors| doors.certificate.as_deref().unwrap());
    tls::trusting(&certificates.collect::<Vec<_>>(), &["http/1.1"])
}

#[test]
fn a_client_that_comes_back_takes_its_session_up_again() {
    let doors = open_with(DoorLimits::default(), true);
    let regular = client(&[&doors]);
    assert_eq!(ask(&doors, &regular), HandshakeKind::Full);
    for _ in 0..3 {
        assert_eq!(ask(&doors, &regular), HandshakeKind::Resumed);
    }
    let newcomer = client(&[&doors]);
    assert_eq!(ask(&doors, &newcomer), HandshakeKind::Full);
}

#[test]
fn a_new_certificate_ends_no_session_and_newcomers_see_it() {
    let doors = open_with(DoorLimits::default(), true);
    let regular = client(&[&doors]);
    assert_eq!(ask(&doors, &regular), HandshakeKind::Full);
    let renewed = doors.renew_certificate();
    // This client would not trust the new certificate, but a resumed session does not show it.
    assert_eq!(ask(&doors, &regular), HandshakeKind::Resumed);
    let newcomer = tls::trusting(&[&renewed], &["http/1.1"]);
    assert_eq!(ask(&doors, &newcomer), HandshakeKind::Full);
    assert_eq!(ask(&doors, &newcomer), HandshakeKind::Resumed);
}

#[test]
fn a_session_of_a_server_that_is_gone_begins_anew() {
    let (before, after) = (
        open_with(DoorLimits::default(), true),
        open_with(DoorLimits::default(), true),
    );
    let regular = client(&[&before, &after]);
    assert_eq!(ask(&before, &regular), HandshakeKind::Full);
    assert_eq!(ask(&before, &regular), HandshakeKind::Resumed);
    drop(before);
    assert_eq!(ask(&after, &regular), HandshakeKind::Full);
    assert_eq!(ask(&after, &regular), HandshakeKind::Resumed);
}
