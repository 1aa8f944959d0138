//! A door behind load balancers that pass bytes through and announce the client first.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use cheesecloth::testing::listen::TrustedProxies;
use cheesecloth::testing::model::DoorLimits;

use super::super::support::tls;
use super::stage::{Client, Doors, open_behind};

const REQUEST: &str = "GET /simple/x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Doors that trust the proxies of this network.
fn behind(network: &str, limits: DoorLimits, is_tls: bool) -> Doors {
    let proxies = TrustedProxies::new(&[network.parse().unwrap()]);
    open_behind(limits, is_tls, Some(proxies))
}

/// A version 2 header for a client at this address.
fn binary(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    header.extend(client);
    header.extend([192, 0, 2, 99, 0xdc, 4, 1, 0xbb]);
    header
}

fn line(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 192.0.2.99 56324 443\r\n").into_bytes()
}

fn connect(doors: &Doors, header: &[u8]) -> Client {
    let mut client = doors.connect();
    client.stream.write_all(header).unwrap();
    client
}

/// The client of each request, according to the access log.
fn clients(doors: &mut Doors) -> Vec<serde_json::Value> {
    doors.close();
    let lines = doors.lines.text();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines
        .map(|line: serde_json::Value| line["client"].clone())
        .collect()
}

#[test]
fn a_request_comes_from_whom_the_proxy_says() {
    let mut doors = behind("127.0.0.0/8", DoorLimits::default(), false);
    for header in [
        line("192.0.2.1"),
        binary([192, 0, 2, 2]),
        b"PROXY UNKNOWN\r\n".to_vec(),
    ] {
        let mut client = connect(&doors, &header);
        client.send(REQUEST);
        assert_eq!(client.read_answer().text(), "page of x");
        assert!(client.read_to_close().is_empty());
    }
    let mut unix = UnixStream::connect(&doors.unix).unwrap();
    unix.write_all(&line("192.0.2.3")).unwrap();
    unix.write_all(REQUEST.as_bytes()).unwrap();
    let mut answer = String::new();
    unix.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("page of x"), "{answer}");
    let seen = clients(&mut doors);
    assert_eq!(seen, ["192.0.2.1", "192.0.2.2", "127.0.0.1", "192.0.2.3"]);
}

#[test]
fn tls_begins_after_the_header() {
    let mut doors = behind("127.0.0.1/32", DoorLimits::default(), true);
    let config = tls::trusting(&[doors.certificate.as_deref().unwrap()], &["http/1.1"]);
    for header in [line("192.0.2.1"), binary([192, 0, 2, 2])] {
        let socket = connect(&doors, &header).stream;
        let mut stream = tls::agree(&config, "localhost", socket);
        stream.write_all(REQUEST.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // Closed with or without a TLS close_notify.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.ends_with(b"page of x"));
    }
    assert_eq!(clients(&mut doors), ["192.0.2.1", "192.0.2.2"]);
}

#[test]
fn who_does_not_say_for_whom_it_speaks_is_turned_away() {
    let limits = DoorLimits {
        head_timeout: Duration::from_millis(300),
        proxy_header: 300,
        ..DoorLimits::default()
    };
    let doors = behind("127.0.0.1/32", limits, false);
    let mut long = binary([192, 0, 2, 1]);
    long[14..16].copy_from_slice(&300_u16.to_be_bytes());
    for (count, header) in [
        REQUEST.as_bytes().to_vec(),
        b"PROXY TCP4 nobody 192.0.2.99 1 2\r\n".to_vec(),
        // Never finished.
        b"PROXY TCP4 192.0.2.1".to_vec(),
        // Never begun.
        Vec::new(),
        long,
    ]
    .into_iter()
    .enumerate()
    {
        assert!(connect(&doors, &header).read_to_close().is_empty());
        doors.wait_for_number(&format!("reason=\"proxy\"}} {}", count + 1));
    }
    // A check whether the port is open is no fault.
    drop(doors.connect());
    let mut client = connect(&doors, &line("192.0.2.1"));
    client.send(REQUEST);
    assert_eq!(client.read_answer().text(), "page of x");
    assert!(
        doors
            .numbers("/metrics")
            .text()
            .contains("reason=\"proxy\"} 5")
    );
}

#[test]
fn who_is_no_proxy_is_turned_away_whatever_it_says() {
    let doors = behind("192.0.2.0/24", DoorLimits::default(), false);
    for header in [line("192.0.2.1"), REQUEST.into()] {
        assert!(connect(&doors, &header).read_to_close().is_empty());
    }
    doors.wait_for_number("reason=\"untrusted\"} 2");
}

#[test]
fn clients_behind_one_proxy_have_their_own_shares() {
    let limits = DoorLimits {
        connections_per_address: 1,
        ..DoorLimits::default()
    };
    let doors = behind("127.0.0.1/32", limits, false);
    let get = |client: &mut Client| client.get("/simple/x/").text().to_owned();
    let mut first = connect(&doors, &line("192.0.2.1"));
    assert_eq!(get(&mut first), "page of x");
    assert!(
        connect(&doors, &line("192.0.2.1"))
            .read_to_close()
            .is_empty()
    );
    doors.wait_for_number("reason=\"address\"} 1");
    assert_eq!(get(&mut connect(&doors, &line("192.0.2.2"))), "page of x");
    assert_eq!(get(&mut first), "page of x");
}
