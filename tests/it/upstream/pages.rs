//! Project pages, the project list and sidecars.

use std::time::Duration;

use cheesecloth::testing::upstream::{
    BodyPart, Decoding, FileAnswer, Page, PageAnswer, Upstream, UpstreamError, Validators,
};

use super::{authenticated, limited, never_resting, project, settings, upstream};
use crate::support::{Canned, Content, FakeIndex, Fault, Listed, Project, Setup, Wheel};

fn six() -> Setup {
    Setup::default().project(Project::new("six").wheel("1.16.0").sdist("1.16.0"))
}

async fn found(index: &FakeIndex, name: &str) -> Page {
    match upstream(index.url()).page(&project(name), None).await {
        Ok(PageAnswer::Found(page)) => page,
        other => panic!("{other:?}"),
    }
}

fn canned(content_type: &str, body: &[u8]) -> Canned {
    Canned {
        content_type: content_type.to_owned(),
        headers: Vec::new(),
        content: Content::Bytes(body.to_vec().into()),
    }
}

#[tokio::test]
async fn json_is_preferred_and_html_is_taken() {
    let index = six().start();
    let page = found(&index, "six").await;
    assert_eq!(
        page.content_type.as_deref(),
        Some("application/vnd.pypi.simple.v1+json")
    );
    assert_eq!(page.final_url, index.at("/simple/six/"));
    assert_eq!(page.max_age, Some(Duration::from_mins(10)));
    let seen = index.journal().last("/simple/six/");
    assert_eq!(
        seen.header("user-agent"),
        concat!("cheesecloth/", env!("CARGO_PKG_VERSION"))
    );

    index.change(Setup::html_only);
    let page = found(&index, "six").await;
    assert_eq!(page.content_type.as_deref(), Some("text/html"));
    assert!(String::from_utf8_lossy(&page.body).contains("six-1.16.0.tar.gz"));
}

#[tokio::test]
async fn an_unchanged_page_is_not_sent_again() {
    let index = six().start();
    let upstream = upstream(index.url());
    let page = found(&index, "six").await;
    let again = upstream.page(&project("six"), Some(&page.validators)).await;
    let max_age = Some(Duration::from_mins(10));
    assert_eq!(again, Ok(PageAnswer::NotModified { max_age }));

    index.change(|setup| setup.without_etags());
    let whole = upstream.page(&project("six"), Some(&page.validators)).await;
    assert!(matches!(whole, Ok(PageAnswer::Found(_))));
}

#[tokio::test]
async fn not_modified_without_a_question_is_no_answer() {
    let index = six().start();
    index.misbehave("/simple/", Fault::new().status(304));
    let answer = upstream(index.url()).page(&project("six"), None).await;
    assert!(
        matches!(answer, Err(UpstreamError::Broken { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn relative_links_count_from_where_a_redirect_ended() {
    let there = six().start();
    let target = there.at("/simple/*");
    let here = Setup::default()
        .redirect("/simple/", target.as_str())
        .start();
    assert_eq!(
        found(&here, "six").await.final_url,
        there.at("/simple/six/")
    );
}

#[tokio::test]
async fn endless_redirects_and_other_schemes_end() {
    let index = Setup::default()
        .redirect("/simple/loop/", "/simple/loop/")
        .redirect("/simple/ftp/", "ftp://files.example/")
        .redirect("/simple/cloud/", "http://169.254.169.254/latest/")
        .start();
    for name in ["loop", "ftp", "cloud"] {
        let answer = upstream(index.url()).page(&project(name), None).await;
        assert!(
            matches!(answer, Err(UpstreamError::Broken { .. })),
            "{answer:?}"
        );
    }
    assert_eq!(index.journal().count("/simple/loop/"), 6);
}

#[tokio::test]
async fn credentials_go_to_the_mirrors_own_origin_and_to_no_other() {
    let other = Setup::default().start();
    let index = six()
        .credentials("me", "s3cret")
        .redirect("/simple/moved/", other.at("/simple/moved/").as_str())
        .start();
    let upstream = authenticated(index.url());

    let page = upstream.page(&project("six"), None).await;
    assert!(matches!(page, Ok(PageAnswer::Found(_))), "{page:?}");
    let own = index.at("/files/six/six-1.16.0.tar.gz");
    upstream.open(&own, None).await.unwrap();
    let sidecar = upstream
        .sidecar(&index.at("/files/six/six-1.16.0-py3-none-any.whl"))
        .await;
    assert!(sidecar.unwrap().is_some());
    assert_eq!(
        index
            .journal()
            .last("/files/six/six-1.16.0.tar.gz")
            .header("authorization"),
        "Basic bWU6czNjcmV0"
    );

    upstream
        .open(&other.at("/files/six/a.whl"), None)
        .await
        .unwrap();
    upstream.page(&project("moved"), None).await.unwrap();
    assert_eq!(other.journal().count("/"), 2);
    for seen in other.journal().all("/") {
        assert_eq!(seen.header("authorization"), "", "{seen:?}");
    }
}

#[tokio::test]
async fn a_user_in_the_url_is_used_and_not_shown() {
    let index = six().credentials("me", "s3cret").start();
    let mut url = index.url();
    url.set_username("me").unwrap();
    url.set_password(Some("s3cret")).unwrap();
    let upstream = upstream(url);
    let Ok(PageAnswer::Found(page)) = upstream.page(&project("six"), None).await else {
        panic!("no page");
    };
    assert_eq!(page.final_url, index.at("/simple/six/"));

    index.misbehave("/", Fault::new().status(503));
    let error = upstream.page(&project("six"), None).await.unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    assert!(!format!("{error:?} {upstream:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_user_in_a_link_is_used_there_and_not_shown() {
    let index = Setup::default().start();
    let other = six().credentials("guest", "w0rd").start();
    let mut link = other.at("/files/six/six-1.16.0.tar.gz");
    link.set_username("guest").unwrap();
    link.set_password(Some("w0rd")).unwrap();
    let answer = authenticated(index.url()).open(&link, None).await;
    assert!(matches!(answer, Ok(FileAnswer::Found(_))), "{answer:?}");
    assert!(!format!("{answer:?}").contains("w0rd"));
}

#[tokio::test]
async fn absence_refusal_and_trouble_are_three_things() {
    let index = six().start();
    let upstream = limited(index.url(), |limits| {
        never_resting(limits);
    });
    let ask = async |status: u16| {
        let problem = r#"{"title": "no", "detail": "blocked by the law"}"#;
        let fault = Fault::new()
            .status(status)
            .body(problem)
            .header("content-type", "application/problem+json");
        index.misbehave("/simple/", fault);
        upstream.page(&project("six"), None).await
    };
    for status in [404, 410] {
        assert_eq!(ask(status).await, Ok(PageAnswer::NotFound), "{status}");
    }
    for status in [401, 403, 406, 407, 451] {
        let Err(UpstreamError::Refused { words, .. }) = ask(status).await else {
            panic!("{status} is a refusal");
        };
        assert_eq!(words, "blocked by the law");
    }
    for status in [408, 429, 500, 502, 503, 504, 520] {
        let answer = ask(status).await;
        assert!(
            matches!(answer, Err(UpstreamError::Unavailable { .. })),
            "{status}: {answer:?}"
        );
    }
    for status in [204, 206, 300] {
        let answer = ask(status).await;
        assert!(
            matches!(answer, Err(UpstreamError::Broken { .. })),
            "{status}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_page_over_the_limit_is_refused_however_it_is_packed() {
    let mut page = six().gzip();
    let body = vec![b' '; 3 << 20];
    for (path, content_type) in [("/simple/six/", "text/html"), ("/simple/", "text/html")] {
        page = page.canned(path, canned(content_type, &body));
    }
    let index = page.start();
    let upstream = limited(index.url(), |limits| {
        limits.page = 1 << 20;
        limits.project_list = 1 << 20;
    });
    for encoding in [None, Some("gzip")] {
        if let Some(encoding) = encoding {
            index.misbehave("/", Fault::new().encoding(encoding));
        }
        let answer = upstream.page(&project("six"), None).await;
        assert!(
            matches!(answer, Err(UpstreamError::TooLarge { .. })),
            "{answer:?}"
        );
        let (answer, parts) = list(&upstream, None).await;
        assert!(!parts.iter().any(|part| matches!(part, BodyPart::Whole)));
        assert!(
            matches!(answer, Err(UpstreamError::TooLarge { .. })),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_compressed_page_is_read_as_it_was() {
    let index = six().gzip().start();
    let packed = found(&index, "six").await;
    index.change(|_| six());
    assert_eq!(packed.body, found(&index, "six").await.body);
    index.misbehave("/simple/", Fault::new().header("content-encoding", "gzip"));
    let answer = upstream(index.url()).page(&project("six"), None).await;
    assert!(
        matches!(answer, Err(UpstreamError::Broken { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn gzip_is_asked_for_and_read_in_every_spelling_and_nothing_else_is() {
    let index = six().start();
    let plain = found(&index, "six").await.body;
    let seen = index.journal().last("/simple/six/");
    assert_eq!(seen.header("accept-encoding"), "gzip");
    for encoding in ["gzip", "GZIP", "x-gzip", "identity", ""] {
        index.misbehave("/simple/", Fault::new().encoding(encoding));
        assert_eq!(found(&index, "six").await.body, plain, "{encoding}");
    }
    for encoding in ["br", "deflate", "zstd", "nosuch", "gzip, gzip"] {
        index.misbehave("/simple/", Fault::new().encoding(encoding));
        let answer = upstream(index.url()).page(&project("six"), None).await;
        let Err(UpstreamError::Broken { reason, .. }) = answer else {
            panic!("{encoding}: {answer:?}");
        };
        assert!(reason.contains(encoding), "{reason}");
    }
}

#[tokio::test]
async fn the_words_of_a_refusal_are_unpacked() {
    let index = six().start();
    let refusal = Fault::new()
        .status(403)
        .body("ask the owner")
        .encoding("gzip");
    index.misbehave("/simple/", refusal);
    let answer = upstream(index.url()).page(&project("six"), None).await;
    let Err(UpstreamError::Refused { words, .. }) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(words, "ask the owner");
}

#[tokio::test]
async fn a_page_waits_for_its_turn_to_be_read() {
    let index = six().start();
    let decoding = Decoding::new(2 << 20, Duration::ZERO);
    let mut settings = settings(index.url());
    settings.decoding = decoding.clone();
    settings.limits.upstream_total_timeout = Duration::from_millis(200);
    let upstream = Upstream::new(settings).unwrap();
    let first = upstream.page(&project("six"), None).await.unwrap();
    let mut all = [decoding.share(), decoding.share()];
    for share in &mut all {
        share.grow_to(900 << 10).await;
    }
    // The two shares leave no room in the budget for another page.
    let second = upstream.page(&project("six"), None).await;
    let words = "limits.decoding";
    assert!(
        second
            .as_ref()
            .is_err_and(|error| error.to_string().contains(words)),
        "{second:?}"
    );
    drop(all);
    assert_eq!(upstream.page(&project("six"), None).await.unwrap(), first);
}

#[tokio::test]
async fn a_wrong_content_type_is_passed_on_for_the_reader_to_judge() {
    let json = canned("text/plain", br#"{"files": []}"#);
    let index = Setup::default().canned("/simple/six/", json).start();
    let page = found(&index, "six").await;
    assert_eq!(page.content_type.as_deref(), Some("text/plain"));
    assert_eq!(page.body, r#"{"files": []}"#);
}

#[tokio::test]
async fn a_cut_page_is_an_error() {
    let index = six().start();
    for fault in [Fault::new(), Fault::new().encoding("gzip")] {
        index.misbehave("/simple/", fault.cut_after(40));
        let answer = upstream(index.url()).page(&project("six"), None).await;
        assert!(
            matches!(answer, Err(UpstreamError::Unavailable { .. })),
            "{answer:?}"
        );
    }
}

/// Asks for a list and takes all that comes of it.
async fn list(
    upstream: &Upstream,
    validators: Option<&Validators>,
) -> (Result<PageAnswer, UpstreamError>, Vec<BodyPart>) {
    let (to, mut from) = tokio::sync::mpsc::channel(1);
    let asking = upstream.project_list(validators, &|| {}, to);
    let taking = async {
        let mut parts = Vec::new();
        while let Some(part) = from.recv().await {
            parts.push(part);
        }
        parts
    };
    tokio::join!(asking, taking)
}

#[tokio::test]
async fn a_project_list_is_passed_on_as_it_comes_and_is_whole_only_at_its_end() {
    for gzip in [false, true] {
        let index = if gzip { six().gzip() } else { six() };
        let body = format!("<a href=six/>six</a>{}", " ".repeat(1 << 20));
        let index = index.canned("/simple/", canned("text/html", body.as_bytes()));
        let index = index.start();
        let upstream = upstream(index.url());
        let (answer, parts) = list(&upstream, None).await;
        assert!(matches!(answer, Ok(PageAnswer::Found(_))), "{answer:?}");
        assert!(parts.len() > 3, "{}", parts.len());
        index.misbehave("/", Fault::new().cut_after(10_000));
        let (answer, parts) = list(&upstream, None).await;
        assert!(
            matches!(answer, Err(UpstreamError::Unavailable { .. })),
            "{answer:?}"
        );
        assert!(!parts.iter().any(|part| matches!(part, BodyPart::Whole)));
        assert!(matches!(
            parts[..],
            [BodyPart::Begun(_), BodyPart::Bytes(_), ..]
        ));
        // Who takes no more is sent no more.
        index.behave();
        let (to, from) = tokio::sync::mpsc::channel(1);
        drop(from);
        let answer = upstream.project_list(None, &|| {}, to).await;
        assert!(matches!(answer, Ok(PageAnswer::Found(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn an_unchanged_project_list_is_not_sent_again() {
    let index = six().start();
    let upstream = upstream(index.url());
    let (Ok(PageAnswer::Found(page)), parts) = list(&upstream, None).await else {
        panic!("no list");
    };
    let [BodyPart::Begun(content_type), body @ .., BodyPart::Whole] = &parts[..] else {
        panic!("{parts:?}");
    };
    assert_eq!(*content_type, page.content_type);
    let body = body.iter().flat_map(|part| match part {
        BodyPart::Bytes(bytes) => bytes.to_vec(),
        BodyPart::Begun(_) | BodyPart::Whole => panic!("{parts:?}"),
    });
    assert!(String::from_utf8(body.collect()).unwrap().contains("six"));
    let (again, parts) = list(&upstream, Some(&page.validators)).await;
    assert!(parts.is_empty(), "{parts:?}");
    assert!(
        matches!(again, Ok(PageAnswer::NotModified { .. })),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_sidecar_is_there_or_not() {
    let wheel = Wheel::new("a.b", "1.0")
        .requires("six>=1")
        .requires_python(">=3.9");
    let project = Project::new("a-b").file(Listed::wheel(&wheel, "1.0"));
    let index = Setup::default().project(project).start();
    let upstream = upstream(index.url());
    let mut url = index.at("/files/a-b/a_b-1.0-py3-none-any.whl");
    url.set_fragment(Some("sha256=00"));
    assert_eq!(
        upstream.sidecar(&url).await.unwrap().unwrap(),
        wheel.metadata()
    );
    index.change(Setup::without_sidecars);
    assert_eq!(upstream.sidecar(&url).await, Ok(None));
}
