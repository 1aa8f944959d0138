//! Attacks that need TLS, and HTTP/2 over it.

use std::collections::HashSet;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::spawn_blocking;

use super::super::support::{Program, tls};
use super::frames::{Frame, Frames, GO_AWAY, RESET};
use super::{INDEX, REQUESTS_MAX, dairy, install_until, policies, refused};

/// Streams that may be open at one time.
const STREAMS_MAX: usize = 100;

/// The error code of a stream that was refused before anything was done for it (RFC 9113).
const REFUSED_STREAM: u32 = 7;

/// The error code of a connection that asks for too much (RFC 9113).
const ENHANCE_YOUR_CALM: u32 = 11;

/// Connections that complete TLS and send nothing, and as many that do not even begin it.
const SILENT: usize = 20;

struct Target {
    door: SocketAddr,
    certificate: String,
}

impl Target {
    fn frames(&self) -> Frames {
        let mut frames = Frames::agreed(self.door, &self.certificate);
        frames.begin();
        frames
    }

    /// Sends HEAD requests in batches, as many as may be open, until the door has sent GOAWAY and
    /// closed; returns how many it answered.
    fn ask_until_farewell(&self) -> usize {
        let mut frames = self.frames();
        let (mut answered, mut is_told) = (0, false);
        loop {
            assert!(answered < 2 * REQUESTS_MAX, "there is no farewell");
            let mut open = 0;
            while !is_told && open < STREAMS_MAX {
                if frames.open("HEAD", &page_path("brie")).is_err() {
                    break;
                }
                open += 1;
            }
            if open == 0 {
                // GOAWAY comes twice: first to announce the end, then with the number of the last
                // stream.
                while let Some(frame) = frames.next() {
                    assert_eq!(frame.kind, GO_AWAY, "{frame:?}");
                }
                return answered;
            }
            while open > 0 {
                match frames.next() {
                    Some(frame) if frame.kind == GO_AWAY => is_told = true,
                    Some(frame) if frame.ends_stream() || frame.kind == RESET => {
                        open -= 1;
                        answered += usize::from(frame.kind != RESET);
                    }
                    Some(_) => {}
                    None => return answered,
                }
            }
        }
    }

    /// Opens streams and cancels each immediately; returns the GOAWAY errors of the door, which
    /// then closes.
    fn open_and_reset(&self) -> Vec<u32> {
        let mut frames = self.frames();
        for _ in 0..2 * REQUESTS_MAX {
            let opened = frames.open("GET", &page_path("brie"));
            if opened.and_then(|stream| frames.reset(stream)).is_err() {
                break;
            }
        }
        let frames = std::iter::from_fn(|| frames.next());
        let farewells = frames.filter(|frame| frame.kind == GO_AWAY);
        farewells.map(|frame| frame.error()).collect()
    }

    /// Opens more streams than allowed; returns how many were refused, and how many were answered
    /// once `release` let them.
    fn open_too_many(&self, release: impl FnOnce()) -> (usize, usize) {
        let mut frames = self.frames();
        let wanted = STREAMS_MAX + 50;
        let streams: HashSet<u32> = (0..wanted)
            .map(|_| frames.open("HEAD", &page_path("feta")).unwrap())
            .collect();
        let mut refused = 0;
        let is_refusal = |frame: &Frame| frame.kind == RESET && streams.contains(&frame.stream);
        while refused < wanted - STREAMS_MAX {
            let frame = frames.next().expect("refusals come before answers");
            assert!(is_refusal(&frame), "{frame:?}");
            assert_eq!(frame.error(), REFUSED_STREAM);
            refused += 1;
        }
        release();
        let mut answered = 0;
        while answered < STREAMS_MAX {
            let frame = frames.next().expect("the others are answered");
            answered += usize::from(frame.ends_stream());
        }
        (refused, answered)
    }
}

fn page_path(project: &str) -> String {
    format!("/{INDEX}/+simple/{project}/")
}

/// Waits until all of these are closed, without sending anything.
fn wait_for_the_ends(mute: Vec<TcpStream>, agreed: Vec<Frames>) {
    for mut stream in mute {
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
    for mut frames in agreed {
        frames.listen_to_the_end();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_on_many_streams_end_in_their_limits_and_pip_does_not_notice() {
    super::descriptors::raise_our_own();
    let folder = tempfile::tempdir().unwrap();
    let certificate = tls::self_signed(folder.path(), "127.0.0.1");
    let place = folder.path().display();
    let dairy = dairy();
    let public = format!(
        "listen: {{ public: {{ tls: {{ cert: {place}/cert.pem, key: {place}/key.pem }} }} }}\n\
         limits: {{ idle_timeout: 5s }}"
    );
    let shop = Program::with_policies(&policies(&dairy, &public)).start();
    let url = shop.public_url().trim_start_matches("https://");
    let target = Arc::new(Target {
        door: url.trim_end_matches('/').parse().unwrap(),
        certificate,
    });
    let is_over = Arc::new(AtomicBool::new(false));
    let installing = spawn_blocking({
        let (is_over, index) = (Arc::clone(&is_over), shop.index_url(INDEX));
        let certificate = format!("{place}/cert.pem");
        move || install_until(&is_over, &index, Some(&certificate))
    });

    // Neither TLS nor HTTP/2 begins on these; the server closes both kinds.
    let door = target.door;
    let mute = (0..SILENT).map(|_| TcpStream::connect(door).unwrap());
    let mute: Vec<_> = mute.collect();
    let agreed = (0..SILENT).map(|_| Frames::agreed(door, &target.certificate));
    let agreed: Vec<_> = agreed.collect();

    let gate = dairy.gate("/simple/feta/", 0);
    let asking = Arc::clone(&target);
    let counts = spawn_blocking(move || asking.open_too_many(|| gate.release())).await;
    assert_eq!(counts.unwrap(), (50, STREAMS_MAX));

    let asking = Arc::clone(&target);
    let answered = spawn_blocking(move || asking.ask_until_farewell())
        .await
        .unwrap();
    assert!(
        (REQUESTS_MAX..REQUESTS_MAX + STREAMS_MAX).contains(&answered),
        "{answered}"
    );

    let asking = Arc::clone(&target);
    let farewells = spawn_blocking(move || asking.open_and_reset())
        .await
        .unwrap();
    eprintln!("streams opened and reset ended with {farewells:?}");
    assert!(
        farewells
            .iter()
            .all(|error| [0, ENHANCE_YOUR_CALM].contains(error))
    );

    let ends = spawn_blocking(move || wait_for_the_ends(mute, agreed));
    ends.await.unwrap();
    is_over.store(true, Ordering::SeqCst);
    let runs = installing.await.unwrap();
    eprintln!("pip installed {runs} times meanwhile");
    for reason in ["handshake", "head_time"] {
        assert_eq!(
            shop.metric(&refused(reason)),
            Some(SILENT as f64),
            "{reason}"
        );
    }
    shop.wait_for_metric("cheesecloth_connections{door=\"public\"}", |open| {
        open < 1.0
    });
}
