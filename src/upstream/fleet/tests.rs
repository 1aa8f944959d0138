//! Fleets of servers that say what a test tells them to, over real connections.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method};
use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use crate::model::Limits;
use crate::telemetry::Metrics;
use crate::upstream::fleet::servers::Fleet;
use crate::upstream::fleet::write::{FleetBody, FleetWrite};

/// A server that gives every request the same answer, except for its status.
struct Server {
    url: Url,
    said: Arc<Mutex<String>>,
    paths: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(role: &'static str, answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let said = Arc::new(Mutex::new(answer.to_owned()));
        let paths: Arc<Mutex<Vec<String>>> = Arc::default();
        let (own_said, own_paths) = (Arc::clone(&said), Arc::clone(&paths));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else {
                        break;
                    };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap();
                let Some(path) = head.split(' ').nth(1).map(str::to_owned) else {
                    continue;
                };
                let answer = if path == "/+status" {
                    let body =
                        format!(r#"{{"type":"status","result":{{"role":"{role}","serial":7}}}}"#);
                    format!("200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                } else {
                    Vec::push(&mut own_paths.lock().unwrap(), path);
                    own_said.lock().unwrap().clone()
                };
                let answer = format!(
                    "HTTP/1.1 {}",
                    answer.replacen("\r\n", "\r\nConnection: close\r\n", 1)
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            url,
            said,
            paths,
            task,
        }
    }

    fn asked(&self) -> usize {
        self.paths.lock().unwrap().len()
    }
}

fn ok(body: &str) -> String {
    format!(
        "200 OK\r\nX-DEVPI-SERIAL: 7\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn empty(status: &str) -> String {
    format!("{status}\r\nX-DEVPI-SERIAL: 7\r\nContent-Length: 0\r\n\r\n")
}

async fn pair(primary: &str, replica: &str) -> (Server, Server, Fleet) {
    let primary = Server::start("MASTER", primary).await;
    let replica = Server::start("REPLICA", replica).await;
    let metrics = Metrics::register(Registry::new(), "0").unwrap();
    let mut limits = Limits::default();
    limits.fleet.devpi_requests = 8;
    let urls = [primary.url.clone(), replica.url.clone()];
    let fleet = Fleet::new(&urls, &limits, &metrics).unwrap();
    fleet.check().await;
    (primary, replica, fleet)
}

async fn read(fleet: &Fleet) -> Result<(u16, String), String> {
    let answer = fleet
        .read(&Method::GET, "/a/b?c=%2B", &HeaderMap::new())
        .await;
    let mut answer = answer.map_err(|error| error.to_string())?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
        body.extend_from_slice(&chunk);
    }
    Ok((answer.status().as_u16(), String::from_utf8(body).unwrap()))
}

#[tokio::test]
async fn the_healthy_take_turns_and_a_dead_one_costs_no_request() {
    let (primary, replica, fleet) = pair(&ok("primary"), &ok("replica")).await;
    for _ in 0..4 {
        assert_eq!(read(&fleet).await.unwrap().0, 200);
    }
    assert_eq!((primary.asked(), replica.asked()), (2, 2));
    assert_eq!(
        primary.paths.lock().unwrap()[0],
        "/a/b?c=%2B",
        "sent as it was asked"
    );

    primary.task.abort();
    let _ = primary.task.await;
    for _ in 0..4 {
        assert_eq!(read(&fleet).await, Ok((200, "replica".to_owned())));
    }
    assert!(fleet.lacks_primary());

    replica.task.abort();
    let _ = replica.task.await;
    let error = read(&fleet).await.unwrap_err();
    assert!(error.starts_with("no devpi-server answers: "), "{error}");
}

#[tokio::test]
async fn what_only_the_primary_knows_is_asked_of_it() {
    let (primary, replica, fleet) = pair(&ok("primary"), &empty("404 Not Found")).await;
    for _ in 0..4 {
        assert_eq!(read(&fleet).await, Ok((200, "primary".to_owned())));
    }
    assert!(replica.asked() > 0);
    // What neither has is absent.
    *primary.said.lock().unwrap() = empty("410 Gone");
    for _ in 0..2 {
        assert_eq!(read(&fleet).await.unwrap().0, 410);
    }
}

#[tokio::test]
async fn a_server_in_trouble_is_passed_over_and_trouble_everywhere_is_told() {
    let (primary, replica, fleet) = pair(&empty("503 Busy"), &ok("replica")).await;
    for _ in 0..2 {
        assert_eq!(read(&fleet).await, Ok((200, "replica".to_owned())));
    }
    // A crash at one URL is an answer, and no reason to crash the next server too.
    *primary.said.lock().unwrap() = empty("500 Internal Server Error");
    *replica.said.lock().unwrap() = empty("503 Busy");
    assert_eq!(read(&fleet).await.unwrap().0, 500);
    *primary.said.lock().unwrap() = empty("502 Bad Gateway");
    assert!(matches!(read(&fleet).await.unwrap().0, 502 | 503));
}

#[tokio::test]
async fn a_tag_holds_as_long_as_the_serial_does() {
    let (_primary, _replica, fleet) = pair(&ok("x"), &ok("x")).await;
    let mut head = HeaderMap::new();
    head.insert("x-devpi-serial", http::HeaderValue::from_static("7"));
    let tag = fleet.tag(&head).unwrap();
    assert!(fleet.still_holds(&tag).await);
    head.insert("x-devpi-serial", http::HeaderValue::from_static("6"));
    assert!(!fleet.still_holds(&fleet.tag(&head).unwrap()).await);
    assert_eq!(fleet.tag(&HeaderMap::new()), None);
}

fn body(pieces: &'static [&'static str], ends: bool) -> Option<FleetBody> {
    let end = (!ends).then(|| Err("the client went away".into()));
    let pieces = pieces
        .iter()
        .map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
    Some(Box::pin(futures_util::stream::iter(pieces.chain(end))))
}

async fn write(fleet: &Fleet, body: Option<FleetBody>) -> Result<u16, String> {
    let write = FleetWrite {
        method: &Method::POST,
        path_and_query: "/a/b",
        headers: HeaderMap::new(),
        body,
    };
    let answer = fleet.write(write).await;
    answer
        .map(|answer| answer.status().as_u16())
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_write_goes_to_the_primary_once_and_to_nobody_else() {
    let (primary, replica, fleet) = pair(&ok("primary"), &ok("replica")).await;
    for _ in 0..3 {
        assert_eq!(write(&fleet, body(&["a", "b"], true)).await, Ok(200));
        assert_eq!(write(&fleet, None).await, Ok(200));
    }
    assert_eq!((primary.asked(), replica.asked()), (6, 0));
    // In trouble, or cut off in the middle: it may have been carried out, so nobody is asked again.
    *primary.said.lock().unwrap() = empty("503 Busy");
    assert_eq!(write(&fleet, body(&["a"], true)).await, Ok(503));
    *primary.said.lock().unwrap() = String::new();
    assert!(write(&fleet, body(&["a"], true)).await.is_err());
    assert_eq!((primary.asked(), replica.asked()), (8, 0));
    primary.task.abort();
    let _ = primary.task.await;
    assert!(write(&fleet, None).await.is_err());
    assert_eq!(replica.asked(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_held_against_nobody() {
    let (_primary, _replica, fleet) = pair(&ok("primary"), &ok("replica")).await;
    for _ in 0..5 {
        assert!(write(&fleet, body(&["a"], false)).await.is_err());
    }
    assert!(!fleet.lacks_primary());
    assert_eq!(write(&fleet, body(&["a"], true)).await, Ok(200));
}

#[tokio::test]
async fn after_a_write_a_replica_that_has_not_heard_of_it_is_not_believed() {
    let (primary, replica, fleet) = pair(&ok("primary"), &ok("replica")).await;
    let tag = |serial: &'static str| {
        let mut head = HeaderMap::new();
        head.insert("x-devpi-serial", http::HeaderValue::from_static(serial));
        fleet.tag(&head).unwrap()
    };
    assert!(!fleet.is_outdated(&tag("7")) && !fleet.is_outdated("somebody else's"));
    let newer = ok("primary").replace("SERIAL: 7", "SERIAL: 8");
    *primary.said.lock().unwrap() = newer;
    assert_eq!(write(&fleet, None).await, Ok(200));
    assert!(fleet.is_outdated(&tag("7")) && fleet.is_outdated("somebody else's"));
    assert!(!fleet.is_outdated(&tag("8")));
    for _ in 0..4 {
        assert_eq!(read(&fleet).await, Ok((200, "primary".to_owned())));
    }
    assert!(
        replica.asked() > 0,
        "it was asked, and the primary after it"
    );
}
