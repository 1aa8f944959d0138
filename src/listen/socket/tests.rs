//! What leaves the socket when.

use proptest::prelude::*;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use crate::listen::socket::*;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn pair(stall_max: Duration) -> (Socket, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    let near = Accepted::of_unix(near).unwrap();
    (Socket::new(near, None, stall_max), far)
}

#[test]
fn a_head_waits_for_its_content_and_no_longer() {
    runtime().block_on(async {
        let (mut socket, far) = pair(Duration::from_secs(5));
        let mut seen = [0; 64];
        socket.write_all(b"head ").await.unwrap();
        assert_eq!(
            far.try_read(&mut seen).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        socket.write_all(b"content ").await.unwrap();
        far.readable().await.unwrap();
        assert_eq!(far.try_read(&mut seen).unwrap(), b"head content ".len());
        // A slow file: each piece is sent immediately.
        socket.write_all(b"more").await.unwrap();
        far.readable().await.unwrap();
        assert_eq!(far.try_read(&mut seen).unwrap(), b"more".len());
        // The next answer begins after a flush.
        socket.flush().await.unwrap();
        socket.write_all(b"head").await.unwrap();
        assert_eq!(
            far.try_read(&mut seen).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        socket.flush().await.unwrap();
        far.readable().await.unwrap();
        assert_eq!(far.try_read(&mut seen).unwrap(), b"head".len());
    });
}

#[test]
fn a_file_that_falls_short_is_sent_on_when_there_is_room_and_ends_where_it_ends() {
    const LENGTH: usize = 64 << 20;
    runtime().block_on(async {
        let (socket, far) = pair(Duration::from_secs(5));
        let file = tempfile::tempfile().unwrap();
        file.set_len(LENGTH as u64).unwrap();
        socket.writable().await.unwrap();
        let sent = socket.try_send_file(&file, 0, LENGTH).unwrap();
        assert!((1..LENGTH).contains(&sent), "{sent}");
        // It is not tried for room that nobody told of, though there may be some.
        let mut taken = vec![0; LENGTH];
        far.readable().await.unwrap();
        let mut read = far.try_read(&mut taken).unwrap();
        let full = socket.try_send_file(&file, sent as u64, LENGTH);
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        while read < sent {
            far.readable().await.unwrap();
            read += far.try_read(&mut taken).unwrap();
        }
        socket.writable().await.unwrap();
        assert!(socket.try_send_file(&file, sent as u64, LENGTH).unwrap() > 0);
        // What falls short for another reason is found out by asking all the same.
        let (socket, _far) = pair(Duration::from_secs(5));
        socket.writable().await.unwrap();
        let end = LENGTH as u64;
        assert_eq!(socket.try_send_file(&file, end - 10, 100).unwrap(), 10);
        assert_eq!(socket.send_file(&file, end, 90).unwrap(), 0);
    });
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    runtime().block_on(async {
        let (mut socket, _far) = pair(Duration::from_millis(50));
        let error = socket.write_all(&vec![0; 64 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn what_the_peer_still_sends_is_swallowed() {
    runtime().block_on(async {
        let (mut socket, mut far) = pair(Duration::from_secs(5));
        let client = async {
            far.write_all(&vec![b'x'; 4 << 20]).await.unwrap();
            AsyncWriteExt::shutdown(&mut far).await.unwrap();
            let mut answer = String::new();
            far.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let server = async {
            socket.write_all(b"refused").await.unwrap();
            Shutdown::shutdown(&mut socket).await;
        };
        let (answer, ()) = tokio::join!(client, server);
        assert_eq!(answer, "refused");
    });
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize),
    Vectored(Vec<usize>),
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![0_usize..100, 16_000_usize..17_000, 100_000_usize..300_000];
    let step = prop_oneof![
        size.clone().prop_map(Step::Write),
        proptest::collection::vec(size, 1..20).prop_map(Step::Vectored),
        Just(Step::Flush),
    ];
    proptest::collection::vec(step, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However it is written, each byte arrives once and in order.
    #[test]
    fn bytes_arrive_in_order(steps in steps()) {
        let sizes = steps.iter().map(|step| match step {
            Step::Write(size) => *size,
            Step::Vectored(sizes) => sizes.iter().sum(),
            Step::Flush => 0,
        });
        let expected: Vec<u8> = (0..sizes.sum::<usize>()).map(|at| (at % 251) as u8).collect();
        let content = expected.clone();
        let received = runtime().block_on(async {
            let (mut socket, mut far) = pair(Duration::from_secs(5));
            let server = async move {
                let mut at = 0;
                for step in steps {
                    match step {
                        Step::Write(size) => {
                            socket.write_all(&content[at..at + size]).await.unwrap();
                            at += size;
                        }
                        Step::Vectored(sizes) => {
                            let end = at + sizes.iter().sum::<usize>();
                            while at < end {
                                let mut from = at;
                                let mut slices = Vec::new();
                                for size in &sizes {
                                    let to = (from + size).min(end);
                                    slices.push(IoSlice::new(&content[from..to]));
                                    from = to;
                                }
                                at += socket.write_vectored(&slices).await.unwrap();
                            }
                        }
                        Step::Flush => socket.flush().await.unwrap(),
                    }
                }
                socket.flush().await.unwrap();
            };
            let mut received = Vec::new();
            let client = far.read_to_end(&mut received);
            let ((), read) = tokio::join!(server, client);
            read.unwrap();
            received
        });
        prop_assert_eq!(received, expected);
    }
}
