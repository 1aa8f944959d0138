//! Upstreams in trouble: retried, left alone, never trusted without a certificate.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use cheesecloth::testing::model::UpstreamLimits;
use cheesecloth::testing::upstream::{
    Breaker, Outcome, PageAnswer, Permit, Upstream, UpstreamError, install_crypto_provider,
};
use rustls::pki_types::PrivateKeyDer;
use tokio::time::Instant;
use url::Url;

use super::{limited, project, upstream};
use crate::support::{FakeIndex, Fault, Project, Setup};

const PAGE: &str = "/simple/six/";

fn six() -> FakeIndex {
    Setup::default()
        .project(Project::new("six").wheel("1.16.0"))
        .start()
}

async fn ask(upstream: &Upstream) -> Result<PageAnswer, UpstreamError> {
    upstream.page(&project("six"), None).await
}

fn is_unavailable(answer: &Result<PageAnswer, UpstreamError>) -> bool {
    matches!(
        answer,
        Err(UpstreamError::Unavailable { .. } | UpstreamError::Unreachable { .. })
    )
}

#[tokio::test]
async fn what_may_heal_is_asked_again_a_few_times() {
    let healing = [
        Fault::new().status(502),
        Fault::new().status(503),
        Fault::new().status(504),
        Fault::new().status(503).header("retry-after", "0"),
        Fault::new().status(429).header("retry-after", "0"),
        Fault::new().reset(),
    ];
    for fault in healing {
        let index = six();
        index.misbehave(PAGE, fault.clone().times(2));
        let answer = ask(&upstream(index.url())).await;
        assert!(
            matches!(answer, Ok(PageAnswer::Found(_))),
            "{fault:?}: {answer:?}"
        );
        assert_eq!(index.journal().count(PAGE), 3, "{fault:?}");

        index.misbehave(PAGE, fault.clone());
        let answer = ask(&upstream(index.url())).await;
        assert!(is_unavailable(&answer), "{fault:?}: {answer:?}");
        assert_eq!(index.journal().count(PAGE), 6, "{fault:?}");
    }
}

#[tokio::test]
async fn what_does_not_heal_is_asked_once() {
    let lasting = [
        Fault::new().status(500),
        Fault::new().status(429),
        Fault::new().status(403),
        Fault::new().status(404),
        Fault::new().status(503).header("retry-after", "60"),
        Fault::new().silent(),
    ];
    for fault in lasting {
        let index = six();
        index.misbehave(PAGE, fault.clone());
        let upstream = limited(index.url(), |limits| {
            limits.upstream_read_timeout = Duration::from_millis(100);
        });
        let answer = ask(&upstream).await;
        assert!(
            !matches!(answer, Ok(PageAnswer::Found(_))),
            "{fault:?}: {answer:?}"
        );
        assert_eq!(index.journal().count(PAGE), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn the_wish_to_be_asked_later_is_passed_on() {
    let index = six();
    index.misbehave(PAGE, Fault::new().status(503).header("retry-after", "60"));
    let answer = ask(&upstream(index.url())).await;
    let Err(UpstreamError::Unavailable { retry_after, .. }) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn silence_and_dripping_end_in_a_timeout() {
    let index = six();
    let upstream = limited(index.url(), |limits| {
        limits.upstream_read_timeout = Duration::from_millis(100);
        limits.upstream_total_timeout = Duration::from_millis(400);
    });
    for fault in [
        Fault::new().silent(),
        Fault::new().latency(60_000),
        Fault::new().drip(1, Duration::from_millis(10)),
    ] {
        index.misbehave(PAGE, fault.clone());
        let answer = ask(&upstream).await;
        assert!(
            matches!(answer, Err(UpstreamError::Timeout { .. })),
            "{fault:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_unavailable_and_found_again() {
    let mut index = six();
    let upstream = upstream(index.url());
    index.stop();
    let answer = ask(&upstream).await;
    assert!(
        matches!(answer, Err(UpstreamError::Unreachable { .. })),
        "{answer:?}"
    );
    index.restart();
    let answer = ask(&upstream).await;
    assert!(matches!(answer, Ok(PageAnswer::Found(_))), "{answer:?}");
}

/// Leaves an origin alone after this many failures, for this long.
fn breaking(failures_max: u32, cool: Duration) -> impl FnOnce(&mut UpstreamLimits) {
    move |limits| {
        limits.upstream_failures = failures_max;
        (limits.upstream_cool_off, limits.upstream_cool_off_max) = (cool, cool);
    }
}

#[tokio::test]
async fn an_upstream_that_keeps_failing_is_left_alone() {
    let index = six();
    let other = six();
    let upstream = limited(index.url(), breaking(2, Duration::from_hours(1)));
    index.misbehave("/simple/", Fault::new().status(500));
    for name in ["six", "seven"] {
        upstream.page(&project(name), None).await.unwrap_err();
    }
    index.behave();
    let Err(UpstreamError::Unavailable { retry_after, .. }) = ask(&upstream).await else {
        panic!("it was asked");
    };
    assert!(
        retry_after.is_some_and(|wait| wait > Duration::from_secs(3500)),
        "{retry_after:?}"
    );
    assert_eq!(index.journal().count("/simple/"), 2);
    // Another origin is not affected.
    let elsewhere = other.at("/files/six/six-1.16.0-py3-none-any.whl");
    assert!(upstream.open(&elsewhere, None).await.is_ok());
}

#[tokio::test]
async fn a_project_whose_page_is_broken_closes_no_other() {
    for fault in [
        Fault::new().status(500),
        Fault::new().status(503).header("retry-after", "60"),
        Fault::new().silent(),
    ] {
        let index = Setup::default()
            .project(Project::new("six").wheel("1.16.0"))
            .project(Project::new("seven").wheel("1.0"))
            .start();
        let upstream = limited(index.url(), |limits| {
            breaking(2, Duration::from_hours(1))(limits);
            limits.upstream_read_timeout = Duration::from_millis(400);
        });
        index.misbehave(PAGE, fault.clone());
        for _ in 0..3 {
            ask(&upstream).await.unwrap_err();
        }
        assert_eq!(index.journal().count(PAGE), 3, "{fault:?}");
        let other = upstream.page(&project("seven"), None).await;
        assert!(
            matches!(other, Ok(PageAnswer::Found(_))),
            "{fault:?}: {other:?}"
        );
    }
}

#[tokio::test]
async fn nobody_there_counts_each_time_whatever_is_asked_for() {
    let mut index = six();
    let upstream = limited(index.url(), breaking(2, Duration::from_hours(1)));
    index.stop();
    for _ in 0..2 {
        let answer = ask(&upstream).await;
        assert!(
            matches!(answer, Err(UpstreamError::Unreachable { .. })),
            "{answer:?}"
        );
    }
    index.restart();
    let answer = ask(&upstream).await;
    assert!(
        matches!(answer, Err(UpstreamError::Unavailable { .. })),
        "{answer:?}"
    );
    assert_eq!(index.journal().count(PAGE), 0);
}

/// These are the defaults: an upstream that restarts is back before installers give up.
#[tokio::test(start_paused = true)]
async fn the_first_pause_is_a_second_and_grows() {
    let mut breaker = Breaker::of(&UpstreamLimits::default());
    let mut pauses = Vec::new();
    for _ in 0..7 {
        loop {
            match breaker.allow(Instant::now()) {
                Permit::Send | Permit::Probe => {
                    breaker.record(Instant::now(), Outcome::Unreachable)
                }
                Permit::Wait { retry_after } => {
                    pauses.push(retry_after.as_secs());
                    tokio::time::advance(retry_after).await;
                    break;
                }
            }
        }
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
}

#[tokio::test]
async fn after_the_cool_period_one_success_ends_the_trouble() {
    let index = six();
    let upstream = limited(index.url(), breaking(1, Duration::ZERO));
    index.misbehave(PAGE, Fault::new().status(500));
    ask(&upstream).await.unwrap_err();
    index.behave();
    for _ in 0..3 {
        assert!(matches!(ask(&upstream).await, Ok(PageAnswer::Found(_))));
    }
}

#[tokio::test]
async fn refusals_do_not_count_as_trouble() {
    let index = six();
    let upstream = limited(index.url(), breaking(1, Duration::from_hours(1)));
    for status in [403, 451, 404] {
        index.misbehave(PAGE, Fault::new().status(status));
        let _ = ask(&upstream).await;
    }
    assert_eq!(index.journal().count(PAGE), 3);
}

/// A TLS server with a certificate that nobody vouches for; counts the bytes that it receives.
fn untrusted() -> (Url, std::thread::JoinHandle<usize>) {
    install_crypto_provider();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/simple/", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let mut request = [0; 1024];
        stream.read(&mut request).unwrap_or(0)
    });
    (url.parse().unwrap(), thread)
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_ends_it_before_the_first_byte() {
    let (url, server) = untrusted();
    let answer = ask(&upstream(url)).await;
    let Err(UpstreamError::Unreachable { reason, .. }) = answer else {
        panic!("{answer:?}");
    };
    assert!(reason.starts_with("no TLS: "), "{reason}");
    assert_eq!(server.join().unwrap(), 0);
}

#[tokio::test]
async fn what_is_no_http_is_not_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/simple/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(b"220 this is a mail server\r\n").unwrap();
    });
    let answer = ask(&upstream(url.parse().unwrap())).await;
    let Err(UpstreamError::Unreachable { reason, .. }) = answer else {
        panic!("{answer:?}");
    };
    assert!(reason.starts_with("no HTTP answer"), "{reason}");
    server.join().unwrap();
}
