//! The public door over TLS, as HTTP/2 and HTTP/1.1.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use cheesecloth::testing::model::DoorLimits;

use super::stage::{Doors, HUGE, SAFETY_NET, open_with};
use crate::support::tls;

fn client(doors: &Doors) -> reqwest::Client {
    // Another test of this process may have installed one already; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pem = doors.certificate.as_deref().unwrap();
    let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let builder = reqwest::Client::builder().no_proxy().timeout(SAFETY_NET);
    let builder = builder.resolve("localhost", doors.public);
    builder.tls_certs_only([certificate]).build().unwrap()
}

fn url(doors: &Doors, path: &str) -> String {
    format!("https://localhost:{}{path}", doors.public.port())
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

#[test]
fn http2_carries_the_problem_without_a_reason_phrase() {
    let doors = open_with(DoorLimits::default(), true);
    block_on(async {
        let client = client(&doors);
        let answered = client
            .get(url(&doors, "/simple/refused/"))
            .send()
            .await
            .unwrap();
        assert_eq!(answered.version(), reqwest::Version::HTTP_2);
        assert_eq!(answered.status(), 403);
        assert_eq!(
            answered.headers()["content-type"],
            "application/problem+json"
        );
        assert!(
            answered
                .text()
                .await
                .unwrap()
                .contains("cool-down: wait 7d")
        );

        let head = client.head(url(&doors, "/simple/x/")).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], "9");
        let post = client
            .post(url(&doors, "/u/i/"))
            .body("x")
            .send()
            .await
            .unwrap();
        assert_eq!(post.status(), 405);
        let huge = client
            .get(url(&doors, "/simple/huge/"))
            .send()
            .await
            .unwrap();
        assert_eq!(huge.bytes().await.unwrap().len() as u64, HUGE);
    });
}

#[test]
fn http2_shows_a_failed_fill_as_an_error() {
    let doors = open_with(DoorLimits::default(), true);
    block_on(async {
        let client = client(&doors);
        for path in ["/simple/growing/", "/simple/growing-unknown/"] {
            let mut answered = client.get(url(&doors, path)).send().await.unwrap();
            let mut received = 0;
            while received < 50_000 {
                received += answered.chunk().await.unwrap().unwrap().len();
            }
            doors.flows.fail_fills();
            assert!(answered.chunk().await.is_err(), "{path}: a clean end");
        }
        let after = client.get(url(&doors, "/simple/x/")).send().await.unwrap();
        assert_eq!(after.text().await.unwrap(), "page of x");
    });
}

#[test]
fn http1_through_tls_keeps_its_reason_phrase_and_its_deadline() {
    let limits = DoorLimits {
        head_timeout: Duration::from_millis(300),
        ..DoorLimits::default()
    };
    let doors = open_with(limits, true);
    let config = tls::trusting(&[doors.certificate.as_deref().unwrap()], &[]);
    let mut stream = tls::agree(&config, "localhost", doors.connect().stream);
    stream
        .write_all(b"GET /simple/refused/ HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut line = [0; 31];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 403 cool-down: wait 7d");
    // The rest of the answer is read, then half a head is followed by silence.
    stream.write_all(b"GET /simple/x/ HTTP/1.1\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("HTTP/1.1 408 Request Timeout"), "{rest}");
}

#[test]
fn a_silent_handshake_ends_at_its_deadline() {
    let limits = DoorLimits {
        head_timeout: Duration::from_millis(300),
        ..DoorLimits::default()
    };
    let doors = open_with(limits, true);
    let mut client = doors.connect();
    client.send("\x16\x03\x01");
    assert!(client.read_to_close().is_empty());
    doors.wait_for_number("reason=\"handshake\"} 1");
}
