//! The doors as a client sees them, over real sockets: what they promise and what they tolerate.

mod machinery;
mod proxies;
mod resumption;
mod slow;
mod stage;
mod strict;
mod tls;
mod writers;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use cheesecloth::testing::model::DoorLimits;
use stage::{Answered, Client, HUGE, SAFETY_NET, open};

#[test]
fn a_connection_serves_many_requests() {
    let doors = open(DoorLimits::default());
    let mut client = doors.connect();
    for name in ["one", "two", "three"] {
        let answered = client.get(&format!("/u/i/+simple/{name}/"));
        assert_eq!(answered.status_line, "HTTP/1.1 200 OK");
        assert_eq!(answered.text(), format!("page of {name}"));
        assert_eq!(answered.headers["connection"], "keep-alive");
        assert_eq!(answered.headers["cache-status"], "cheesecloth; hit");
        assert!(answered.headers.contains_key("date"));
    }
    // devpi-client sends a body with some GETs; it must not be taken for the next request.
    client.send("GET /simple/x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(client.read_answer().text(), "page of x");
    assert_eq!(client.get("/simple/y/").text(), "page of y");
}

#[test]
fn requests_on_one_connection_are_numbered() {
    let doors = open(DoorLimits {
        requests_per_connection: 2,
        ..DoorLimits::default()
    });
    let mut client = doors.connect();
    assert_eq!(client.get("/simple/x/").headers["connection"], "keep-alive");
    assert_eq!(client.get("/simple/x/").headers["connection"], "close");
    assert!(client.read_to_close().is_empty());
}

#[test]
fn head_is_get_without_content() {
    let doors = open(DoorLimits::default());
    let mut client = doors.connect();
    let of_answer = |answered: &Answered| {
        let mut headers = answered.headers.clone();
        // These depend on the request rather than the content.
        for own in ["date", "server-timing", "x-request-id"] {
            assert!(headers.remove(own).is_some(), "{own}");
        }
        (answered.status_line.clone(), headers)
    };
    for path in [
        "/simple/x/",
        "/simple/refused/",
        "/simple/huge/",
        "/simple/X/",
        "/%FF",
        "/nothing",
    ] {
        client.send(&format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let head = client.read_head();
        // On another connection, so that the huge body need not be read.
        let mut other = doors.connect();
        other.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let get = other.read_head();
        assert_eq!(of_answer(&head), of_answer(&get), "{path}");
    }
    client.send("GET /simple/unchanged/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_head().status_line, "HTTP/1.1 304 Not Modified");
    assert_eq!(client.get("/simple/x/").text(), "page of x");
}

#[test]
fn writers_are_told_where_to_go_even_in_mid_upload() {
    let doors = open(DoorLimits::default());
    let mut client = doors.connect();
    client.send("POST /packages/stable/ HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n");
    for _ in 0..128 {
        client.stream.write_all(&[b'x'; 64 << 10]).unwrap();
    }
    let answered = client.read_answer();
    assert!(
        answered
            .status_line
            .starts_with("HTTP/1.1 405 this address only reads")
    );
    assert_eq!(answered.headers["allow"], "GET, HEAD");
    assert!(answered.text().contains("management door"));

    let mut client = doors.connect();
    client.send("PUT /u/i HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n");
    let answered = client.read_answer();
    assert_eq!(answered.headers["content-type"], "application/json");
    assert_eq!(answered.headers["x-devpi-api-version"], "2");
    assert!(
        answered
            .text()
            .starts_with("{\n  \"message\": \"this address only reads")
    );
}

#[test]
fn a_refusal_reaches_whoever_reads_reason_phrases() {
    let doors = open(DoorLimits::default());
    let answered = doors.connect().get("/u/i/+simple/refused/");
    assert_eq!(answered.status_line, "HTTP/1.1 403 cool-down: wait 7d");
    assert_eq!(answered.headers["content-type"], "application/problem+json");
    assert!(answered.text().contains("\"title\":\"refused by policy\""));
}

#[test]
fn other_spellings_are_redirected() {
    let doors = open(DoorLimits::default());
    let answered = doors.connect().get("/u/i/+simple/Hello.Pkg/?a=b");
    assert_eq!(answered.status_line, "HTTP/1.1 301 Moved Permanently");
    assert_eq!(answered.headers["location"], "../hello-pkg/?a=b");
}

#[test]
fn a_dripping_head_ends_at_its_deadline() {
    let doors = open(DoorLimits {
        head_timeout: Duration::from_millis(300),
        ..DoorLimits::default()
    });
    let mut client = doors.connect();
    // The first request shows that the deadline starts again with each one.
    assert_eq!(client.get("/simple/x/").text(), "page of x");
    client
        .stream
        .set_read_timeout(Some(Duration::from_millis(30)))
        .unwrap();
    let started = Instant::now();
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    client.send("GET /simple/x/ HTTP/1.1\r\nX: ");
    loop {
        // The read times out between two bytes of the head, and returns once there is an answer.
        match client.stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(_) if client.stream.write_all(b"x").is_err() => break,
            Err(_) => assert!(started.elapsed() < SAFETY_NET, "still reading"),
        }
    }
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert!(
        answer.starts_with(b"HTTP/1.1 408 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    doors.wait_for_number("reason=\"head_time\"} 1");
}

#[test]
fn an_oversized_head_is_refused() {
    let doors = open(DoorLimits {
        head: 8 << 10,
        uri: 4 << 10,
        ..DoorLimits::default()
    });
    let mut client = doors.connect();
    client.send(&format!(
        "GET / HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(64 << 10)
    ));
    let answer = client.read_to_close();
    assert!(
        answer.starts_with(b"HTTP/1.1 431 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let answered = doors.connect().get(&format!("/{}", "x".repeat(5 << 10)));
    assert_eq!(
        answered.status_line,
        "HTTP/1.1 414 the request target is longer than 4096 bytes"
    );
}

#[test]
fn what_is_no_http_is_refused() {
    let doors = open(DoorLimits::default());
    for nonsense in [
        "\x16\x03\x01\x02\x00\x01",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        let mut client = doors.connect();
        client.send(nonsense);
        let answer = client.read_to_close();
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{nonsense:?}");
    }
    assert_eq!(doors.connect().get("/simple/x/").text(), "page of x");
}

#[test]
fn a_resting_connection_is_closed() {
    let doors = open(DoorLimits {
        idle_timeout: Duration::from_millis(200),
        ..DoorLimits::default()
    });
    assert!(doors.connect().read_to_close().is_empty());
    let mut client = doors.connect();
    assert_eq!(client.get("/simple/x/").text(), "page of x");
    assert!(client.read_to_close().is_empty());
}

#[test]
fn one_address_has_its_share_of_connections() {
    let doors = open(DoorLimits {
        connections_per_address: 2,
        ..DoorLimits::default()
    });
    let mut first = doors.connect();
    let mut second = doors.connect();
    assert_eq!(first.get("/simple/x/").text(), "page of x");
    assert_eq!(second.get("/simple/x/").text(), "page of x");
    assert!(doors.connect().read_to_close().is_empty());
    drop(first);
    let started = Instant::now();
    // The slot is free as soon as the door has noticed the close.
    while !is_served(doors.connect()) {
        assert!(started.elapsed() < SAFETY_NET, "the slot is never free");
    }
    assert_eq!(second.get("/simple/x/").text(), "page of x");
}

fn is_served(mut client: Client) -> bool {
    let request = b"GET /simple/x/ HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut byte = [0];
    client.stream.write_all(request).is_ok()
        && client.stream.read(&mut byte).is_ok_and(|read| read == 1)
}

#[test]
fn beyond_all_slots_a_connection_waits() {
    let doors = open(DoorLimits {
        connections: 1,
        ..DoorLimits::default()
    });
    let mut first = doors.connect();
    assert_eq!(first.get("/simple/x/").text(), "page of x");
    let mut second = doors.connect();
    second.send("GET /simple/y/ HTTP/1.1\r\nHost: x\r\n\r\n");
    second
        .stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    assert!(
        second.stream.read(&mut [0]).is_err(),
        "served without a slot"
    );
    drop(first);
    second.stream.set_read_timeout(Some(SAFETY_NET)).unwrap();
    assert_eq!(second.read_answer().text(), "page of y");
}

#[test]
fn a_reader_that_is_too_slow_is_cut_off() {
    let limits = DoorLimits {
        min_send_rate: 1 << 30,
        send_grace: Duration::from_millis(200),
        ..DoorLimits::default()
    };
    let doors = open(limits);
    let mut client = doors.connect();
    client.send("GET /simple/huge/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(
        client.read_head().headers["content-length"],
        *HUGE.to_string()
    );
    // Nothing is read until the door has given up, which the metrics show.
    doors.wait_for_number("reason=\"slow\"} 1");
    assert!((client.read_to_close().len() as u64) < HUGE);
}

#[test]
fn a_large_file_arrives_whole() {
    let doors = open(DoorLimits::default());
    let mut client = doors.connect();
    let answered = client.get("/simple/huge/");
    assert_eq!(answered.body.len() as u64, HUGE);
    assert_eq!(client.get("/simple/x/").text(), "page of x");
}

#[test]
fn a_failed_fill_is_seen_as_a_short_body() {
    let mut doors = open(DoorLimits::default());
    let mut client = doors.connect();
    client.send("GET /simple/growing/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_head().headers["content-length"], "100000");
    // What has arrived is sent immediately, not once a buffer is full or the file complete.
    let mut first = vec![0; 50_000];
    client.stream.read_exact(&mut first).unwrap();
    doors.flows.fail_fills();
    assert!(client.read_to_close().is_empty());

    let mut client = doors.connect();
    client.send("GET /simple/growing-unknown/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_head().headers["transfer-encoding"], "chunked");
    let mut first = vec![0; 50_000];
    client.stream.read_exact(&mut first).unwrap();
    doors.flows.fail_fills();
    let rest = client.read_to_close();
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "a clean end: {}",
        String::from_utf8_lossy(&rest)
    );
    doors.close();
    assert_eq!(doors.lines.text().matches("\"bytes\":50000").count(), 2);
}

#[test]
fn a_unix_socket_is_a_door_too() {
    let doors = open(DoorLimits {
        connections_per_address: 1,
        ..DoorLimits::default()
    });
    let _share = doors.connect();
    for _ in 0..3 {
        let mut stream = UnixStream::connect(&doors.unix).unwrap();
        stream.set_read_timeout(Some(SAFETY_NET)).unwrap();
        stream
            .write_all(b"GET /simple/x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\r\n\r\npage of x"), "{answer}");
    }
}

#[test]
fn the_metrics_door_tells_of_the_public_one() {
    let doors = open(DoorLimits::default());
    assert_eq!(doors.numbers("/healthz").text(), "alive\n");
    assert_eq!(
        doors.numbers("/readyz").status_line,
        "HTTP/1.1 503 Service Unavailable"
    );
    doors.ready.set(true);
    assert_eq!(doors.numbers("/readyz").text(), "ready\n");
    assert_eq!(doors.numbers("/").status_line, "HTTP/1.1 404 Not Found");
    let mut client = doors.connect();
    for path in ["/simple/x/", "/simple/refused/", "/simple/x/"] {
        client.get(path);
    }
    // A request is counted after its answer has been sent, so the last one may not be counted yet.
    client.get("/simple/y/");
    let text = doors.numbers("/metrics").text().to_owned();
    for line in [
        "cheesecloth_http_requests_total{code=\"403\",door=\"public\",method=\"GET\",route=\"project_page\"} 1",
        "cheesecloth_connections{door=\"public\"} 1",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
}

#[test]
fn a_request_is_written_down_once() {
    let mut doors = open(DoorLimits::default());
    let mut client = doors.connect();
    client.send("GET /u/i/+simple/x/?secret=1 HTTP/1.1\r\nHost: x\r\nX-Request-Id: ci-7\r\nUser-Agent: pip/26\r\n\r\n");
    assert_eq!(client.read_answer().headers["x-request-id"], "ci-7");
    doors.close();
    let text = doors.lines.text();
    assert_eq!(text.lines().count(), 1);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (field, expected) in [
        ("request_id", "ci-7"),
        ("door", "public"),
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("path", "/u/i/+simple/x/"),
        ("project", "x"),
        ("cache", "hit"),
        ("user_agent", "pip/26"),
        ("time", "1970-01-01T00:00:00.000Z"),
    ] {
        assert_eq!(line[field], expected, "{field}");
    }
    assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &9.into()));
}

#[test]
fn a_stop_waits_for_answers_and_for_nothing_else() {
    let mut doors = open(DoorLimits::default());
    let mut resting = doors.connect();
    resting.get("/simple/x/");
    let mut busy = doors.connect();
    busy.send("GET /simple/waiting/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(doors.flows.asked.notified());
    doors.stop.request();
    assert!(resting.read_to_close().is_empty());
    busy.stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let early = busy.stream.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(early, Err(std::io::ErrorKind::WouldBlock), "cut off");
    busy.stream.set_read_timeout(Some(SAFETY_NET)).unwrap();
    doors.flows.go_on.notify_one();
    assert_eq!(busy.read_answer().text(), "at last");
    let started = Instant::now();
    doors.close();
    // Far below the grace period, which is only for requests that do not end.
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn who_asks_on_while_the_door_closes_is_answered_once_more() {
    let doors = open(DoorLimits::default());
    let places = [(doors.public, "/simple/x/"), (doors.metrics, "/healthz")];
    let mut kept = places.map(|(address, path)| {
        let mut client = Client::to(address);
        let first = client.get(path);
        assert!(
            first
                .headers
                .get("connection")
                .is_none_or(|value| value != "close")
        );
        (client, path, first.body)
    });
    doors.stop.request();
    for (client, path, body) in &mut kept {
        let last = client.get(path);
        assert_eq!(last.body, *body);
        assert_eq!(last.headers["connection"], "close", "{path}");
        assert!(client.read_to_close().is_empty());
    }
}
