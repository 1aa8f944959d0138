//! Servers at the depot's address that mean no good, or are none of S3's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cheesecloth::testing::depot::{Depot, DepotError, DepotKey};
use cheesecloth::testing::model::{BucketCredentials, BucketPlace, Secret, Sha256};
use cheesecloth::testing::telemetry::Metrics;
use prometheus::Registry;

const TOKEN: &str = "FwoGZXIvYXdzEBYaDHhunter2/with+signs==";

/// Answers each request with what is made of its first line and head, and keeps all of them.
struct Hostile {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hostile {
    fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || {
                    let head = read_request(&client);
                    kept.lock().unwrap().push(head.clone());
                    let _ = (&client).write_all(answer(&head).as_bytes());
                });
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn depot(&self) -> Depot {
        let pairs = [
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE0000"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_SESSION_TOKEN", TOKEN),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), Secret::new(value)));
        let place = BucketPlace {
            bucket: "wheels".to_owned(),
            endpoint: Some(format!("http://{}", self.address).parse().unwrap()),
            region: "us-east-1".to_owned(),
            prefix: String::new(),
            credentials: BucketCredentials::Environment(pairs.to_vec()),
        };
        let metrics = Metrics::register(Registry::new(), "0").unwrap();
        Depot::open(&place, Duration::ZERO, metrics.depot()).unwrap()
    }
}

/// A request's head; its body is read and forgotten.
fn read_request(client: &TcpStream) -> String {
    let (mut reader, mut head) = (BufReader::new(client), String::new());
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return head;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1);
    let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    let _ = reader.read_exact(&mut vec![0; length]);
    head
}

fn answer(status: &str, head: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n{body}"
    )
}

fn key() -> DepotKey {
    DepotKey::File(Sha256::of(b"wheel"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_is_followed_and_it_is_said_what_to_write() {
    let elsewhere = Hostile::start(|_| answer("200 OK", "", "stolen"));
    let to = elsewhere.address;
    for (status, head, words) in [
        (
            "307 Temporary Redirect",
            format!("Location: http://{to}/wheels/x\r\n"),
            format!("write endpoint: http://{to} below depot.s3"),
        ),
        (
            "301 Moved Permanently",
            format!("Location: http://{to}/\r\nx-amz-bucket-region: eu-west-1\r\n"),
            "write region: eu-west-1 below depot.s3".to_owned(),
        ),
    ] {
        let is_lasting = status.starts_with("301");
        let hostile = Hostile::start(move |_| answer(status, &head, ""));
        let depot = hostile.depot();
        let told = depot.get(key()).await.unwrap_err();
        assert!(told.to_string().contains(&words), "{told}");
        assert!(told.to_string().contains("which is not followed"), "{told}");
        let tried = depot.try_out().await.unwrap_err();
        assert!(tried.to_string().contains(&words), "{tried}");
        assert_eq!(
            matches!(tried, DepotError::Unfit { .. }),
            is_lasting,
            "{tried}"
        );
        assert!(hostile.asked()[0].contains(TOKEN));
    }
    assert_eq!(elsewhere.asked(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_repeats_the_request_does_not_make_it_said() {
    // As an error of S3's, and as a page for people.
    let echoes: [fn(&str) -> String; 2] = [
        |head| {
            let told = format!(
                "<Error><Code>AccessDenied</Code><Message>You sent {TOKEN} as AKIDEXAMPLE0000</Message>\
                 <Request>{head}</Request></Error>"
            );
            answer("403 Forbidden", "", &told)
        },
        |head| answer("400 Bad Request", "", &format!("<html>{head}</html>")),
    ];
    for (echo, words) in echoes.into_iter().zip([
        "403 Forbidden: AccessDenied: You sent *** as ***",
        "400 Bad Request: an answer that is no error of S3's",
    ]) {
        let hostile = Hostile::start(echo);
        let depot = hostile.depot();
        for told in [
            depot.get(key()).await.unwrap_err(),
            depot.try_out().await.unwrap_err(),
        ] {
            let told = format!("{told} {told:?} {:?}", depot.trouble());
            assert!(told.contains(words), "{told}");
            for secret in [TOKEN, "hunter2", "AKIDEXAMPLE0000", "Signature="] {
                assert!(!told.contains(secret), "{secret}: {told}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_announces_takes_no_memory() {
    // More than any machine has.
    let length = 1_u64 << 62;
    let head = "ETag: \"x\"\r\nLast-Modified: Mon, 05 Jan 2026 00:00:00 GMT\r\n";
    for status in ["200 OK", "403 Forbidden"] {
        let endless = move |_: &str| {
            format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n{{"
            )
        };
        let hostile = Hostile::start(endless);
        let depot = hostile.depot();
        let told = depot.note().await.unwrap_err();
        assert!(matches!(told, DepotError::Unavailable { .. }), "{told}");
        if status == "200 OK" {
            assert!(told.to_string().contains("has at most 65536"), "{told}");
        }
        depot.try_out().await.unwrap_err();
        let wheel = Sha256::of(b"wheel");
        assert!(!matches!(
            depot.metadata(wheel, u64::MAX).await,
            Ok(Some(_))
        ));
    }
}
