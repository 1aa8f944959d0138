//! When a client has used up its time, or its bytes.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::listen::head_guard::*;

struct Scene {
    guard: HeadGuard<DuplexStream>,
    client: DuplexStream,
    refused: Arc<Mutex<Vec<TurnedAway>>>,
}

fn scene() -> Scene {
    let (client, server) = duplex(4096);
    let refused = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&refused);
    let limits = DoorLimits {
        head: 100,
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_mins(1),
        ..DoorLimits::default()
    };
    let on_refusal: OnRefusal = Arc::new(move |reason| note.lock().unwrap().push(reason));
    Scene {
        guard: HeadGuard::new(server, Arc::new(limits), Presence::default(), on_refusal),
        client,
        refused,
    }
}

async fn answer(mut client: DuplexStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn dripping_does_not_extend_the_deadline() {
    let Scene {
        mut guard,
        mut client,
        refused,
    } = scene();
    let dripping = tokio::spawn(async move {
        for _ in 0..30 {
            tokio::time::advance(Duration::from_millis(900)).await;
            if client.write_all(b"x").await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        client
    });
    let started = Instant::now();
    let mut buffer = [0; 10];
    while guard.read(&mut buffer).await.is_ok() {}
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(13), "{elapsed:?}");
    assert_eq!(*refused.lock().unwrap(), [TurnedAway::HeadTime]);
    drop(guard);
    assert_eq!(
        answer(dripping.await.unwrap()).await,
        "HTTP/1.1 408 Request Timeout"
    );
}

#[tokio::test(start_paused = true)]
async fn half_a_head_and_silence_ends_at_the_deadline() {
    let Scene {
        mut guard,
        mut client,
        refused,
    } = scene();
    let started = Instant::now();
    let speak = async {
        tokio::time::advance(Duration::from_secs(20)).await;
        client.write_all(b"GET / ").await.unwrap();
    };
    let mut buffer = [0; 10];
    let (read, ()) = tokio::join!(guard.read(&mut buffer), speak);
    assert_eq!(read.unwrap(), 6);
    assert!(guard.read(&mut buffer).await.is_err());
    assert_eq!(started.elapsed().as_secs(), 30);
    assert_eq!(*refused.lock().unwrap(), [TurnedAway::HeadTime]);
}

#[tokio::test(start_paused = true)]
async fn a_resting_connection_ends_without_a_word() {
    let Scene {
        mut guard,
        client,
        refused,
    } = scene();
    let started = Instant::now();
    assert_eq!(guard.read(&mut [0; 10]).await.unwrap(), 0);
    assert_eq!(started.elapsed().as_secs(), 60);
    assert_eq!(*refused.lock().unwrap(), [TurnedAway::Silent]);
    drop(guard);
    assert_eq!(answer(client).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_head_has_a_largest_size() {
    let Scene {
        mut guard,
        mut client,
        refused,
    } = scene();
    client.write_all(&[b'x'; 101]).await.unwrap();
    let mut buffer = [0; 100];
    assert_eq!(guard.read(&mut buffer).await.unwrap(), 100);
    assert!(guard.read(&mut buffer).await.is_err());
    assert_eq!(*refused.lock().unwrap(), [TurnedAway::HeadSize]);
    drop(guard);
    assert_eq!(
        answer(client).await,
        "HTTP/1.1 431 Request Header Fields Too Large"
    );
}

#[tokio::test(start_paused = true)]
async fn each_request_begins_anew() {
    let Scene {
        mut guard,
        mut client,
        refused,
    } = scene();
    let watch = Arc::clone(&guard.watch);
    let mut buffer = [0; 100];
    for _ in 0..5 {
        client.write_all(&[b'x'; 60]).await.unwrap();
        guard.read_exact(&mut buffer[..60]).await.unwrap();
        watch.head_read();
        // A body is neither counted nor timed here, and answering takes as long as it takes.
        client.write_all(&[b'x'; 60]).await.unwrap();
        guard.read_exact(&mut buffer[..60]).await.unwrap();
        tokio::time::advance(Duration::from_mins(5)).await;
        watch.answered();
    }
    assert!(refused.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_was_put_back_is_read_again_and_no_further() {
    let Scene {
        mut guard,
        mut client,
        ..
    } = scene();
    client.write_all(b"later").await.unwrap();
    guard.unread(BytesMut::from("onetwo"), 3);
    let mut buffer = [0; 10];
    assert_eq!(guard.read(&mut buffer[..2]).await.unwrap(), 2);
    assert_eq!(guard.read(&mut buffer[2..]).await.unwrap(), 1);
    assert_eq!(&buffer[..3], b"one");
    assert!(guard.read(&mut buffer).now_or_never().is_none());
    assert_eq!(guard.take_ahead(), "two");
    assert_eq!(guard.read(&mut buffer).await.unwrap(), 5);
}
