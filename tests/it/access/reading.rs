//! Response heads and slow readers at the management door, with the built program.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::super::attack::frames::{Frames, RESET};
use super::super::support::{Form, Program, Wheel, tls};

const INDEX: &str = "indexes: { root/acme: { bases: [], acl_upload: [':ANONYMOUS:'] } }\n";

fn address(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once("://").unwrap();
    rest.trim_end_matches('/').parse().unwrap()
}

#[test]
fn a_head_with_two_readings_is_refused_at_the_management_door_too() {
    let program = Program::with_policies(INDEX).start();
    let door = address(program.manage_url());
    let host = format!("Host: {door}\r\n");
    for (line, headers) in [
        ("GET  /+api HTTP/1.1", host.clone()),
        ("GET evil:80 HTTP/1.1", host.clone()),
        ("GET * HTTP/1.1", host.clone()),
        ("GET http://evil.example/+api HTTP/1.1", host.clone()),
        ("GET /+api HTTP/1.1", String::new()),
        ("PUT /me HTTP/1.1", "Content-Length: 0\r\n".to_owned()),
        ("GET /+api HTTP/1.1", format!("{host}{host}")),
        (
            "GET /+api HTTP/1.1",
            format!("{host}Host: evil.example\r\n"),
        ),
    ] {
        let mut stream = TcpStream::connect(door).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream
            .write_all(format!("{line}\r\n{headers}\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 400 "),
            "{line} {headers}: {answer}"
        );
        assert!(!answer.to_lowercase().contains("\r\nserver:"), "{answer}");
    }
    for request in [
        format!("GET /+api HTTP/1.1\r\n{host}Connection: close\r\n\r\n"),
        format!("GET http://{door}/+api HTTP/1.1\r\n{host}Connection: close\r\n\r\n"),
        "GET /+api HTTP/1.0\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(door).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 OK\r\n"), "{request}: {answer}");
        assert!(
            answer.contains("x-content-type-options: nosniff"),
            "{answer}"
        );
    }
}

#[test]
fn a_stream_that_is_not_taken_ends_its_connection_at_the_management_door_too() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = tls::self_signed(folder.path(), "127.0.0.1");
    let place = folder.path().display();
    let data = folder.path().join("data");
    // Uploaded over plain HTTP; read over TLS below.
    let program = Program::with_policies(INDEX).data(&data).start();
    let wheel = Wheel::new("acme-tool", "1.0").data(4 << 20);
    let (name, content) = (wheel.filename(), wheel.build());
    let form = Form::of("acme-tool", "1.0", &name, &content);
    let stored = form.post(&format!("{}root/acme/", program.manage_url()));
    let stored = stored.unwrap();
    assert_eq!(stored.status, 200, "{stored:?}");
    assert!(program.stop().success());

    let yaml = format!(
        "{INDEX}limits: {{ send_timeout: 300ms }}\n\
         listen: {{ manage: {{ tls: {{ cert: {place}/cert.pem, key: {place}/key.pem }} }} }}\n"
    );
    let program = Program::with_policies(&yaml).data(&data).start();
    let digest = cheesecloth::testing::model::Sha256::of(&content).to_hex();
    let path = format!("/root/acme/+f/{}/{}/{name}", &digest[..3], &digest[3..16]);
    let mut frames = Frames::agreed(address(program.manage_url()), &certificate);
    frames.begin();
    frames.open("GET", &path).unwrap();
    // Reads every frame that arrives, and never widens the flow-control window.
    while let Some(frame) = frames.next() {
        assert!(!frame.ends_stream(), "the whole file came");
        if frame.kind == RESET {
            break;
        }
    }
    let slow = "cheesecloth_connections_refused_total{door=\"manage\",reason=\"slow\"}";
    program.wait_for_metric(slow, |count| count >= 1.0);
}
