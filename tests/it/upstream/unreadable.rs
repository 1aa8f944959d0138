//! Answers with status 200 that are not valid: what the client sees of each, whether anything of it
//! is kept, and whether everything is well again once the upstream is.
//!
//! The requested name is on a second mirror too. While the first is in trouble, the second mirror's
//! files alone would not be the whole answer, so there is none.

use std::time::Duration;

use cheesecloth::testing::clock::Clock;
use serde_json::Value;

use crate::support::{FakeIndex, Fault, House, Larder, Project, Setup};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const PAGE: &str = "/shop/all/+simple/sieve/";
const LIST: &str = "/shop/all/+simple/";
const EXPIRY: Duration = Duration::from_secs(600);
const BORNE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const LOGIN: &str = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>\
    <a href=\"/register\">Sign up</a> <a href=\"/help/\">help</a>\
    <form method=post><input name=user><input type=password name=word></form></body></html>";
const GATEWAY: &str = "<html><head><title>503 Service Unavailable</title></head>\
    <body><center><h1>503 Service Unavailable</h1></center></body></html>";
const REFRESH: &str =
    "<html><head><meta http-equiv=\"refresh\" content=\"0; url=/login\"></head></html>";

fn ok(content_type: &str, body: &str) -> Fault {
    Fault::new()
        .status(200)
        .header("content-type", content_type)
        .body(body)
}

/// What is neither a page nor a list.
fn odd() -> Vec<(&'static str, Fault)> {
    vec![
        ("a word", ok("text/plain", "overloaded")),
        ("a word as HTML", ok("text/html", "overloaded")),
        ("a word as JSON", ok(JSON, "overloaded")),
        (
            "an image",
            ok("image/png", "\u{89}PNG\r\n\u{1a}\n\0\0\0\rIHDR"),
        ),
        ("a drawing", ok("image/svg+xml", "<svg></svg>")),
        ("a login page", ok("text/html", LOGIN)),
        ("a way to a login page", ok("text/html", REFRESH)),
        ("a proxy's error page", ok("text/html", GATEWAY)),
        (
            "an error in JSON",
            ok("application/json", r#"{"message": "busy"}"#),
        ),
        ("a JSON array", ok(JSON, "[]")),
        ("nothing", ok("text/html", "")),
        ("nothing as JSON", ok(JSON, "")),
        ("white space", ok("text/html", " \r\n")),
        ("brotli", Fault::new().encoding("br")),
        ("deflate", Fault::new().encoding("deflate")),
        ("an unknown encoding", Fault::new().encoding("nosuch")),
        (
            "no gzip at all",
            Fault::new().header("content-encoding", "gzip"),
        ),
    ]
}

fn project(version: &str) -> Project {
    Project::new("sieve").wheel(version)
}

/// Two mirrors, the first of which gets into trouble, and the houses in front of them.
struct Street {
    first: FakeIndex,
    _second: FakeIndex,
    policies: String,
    larder: Larder,
    clock: Clock,
}

impl Street {
    async fn new() -> Self {
        // Without ETags, so that every answer is complete.
        let first = Setup::default().without_etags();
        let first = first.project(project("1.0")).start();
        let second = Setup::default().project(project("6.6.6")).start();
        let policies = format!(
            "indexes:\n  root/first: {{ type: mirror, mirror_url: \"{}\" }}\n  \
             root/second: {{ type: mirror, mirror_url: \"{}\" }}\n  \
             shop/all: {{ bases: [root/first, root/second] }}\n",
            first.url(),
            second.url(),
        );
        let clock = Clock::fixed("2026-01-05T00:00:00Z".parse().unwrap());
        let larder = Larder::empty(&clock).await;
        Self {
            first,
            _second: second,
            policies,
            larder,
            clock,
        }
    }

    fn house(&self) -> House {
        House::online_over(&self.larder, &self.policies, &self.clock)
    }

    /// The status from a house that has only what was kept.
    async fn kept(&self, path: &str) -> u16 {
        let house = House::offline(&self.larder, &self.policies, &self.clock);
        house.get(path, &[("accept", JSON)]).await.status
    }
}

/// The status, and the names in the answer.
async fn ask(house: &House, path: &str) -> (u16, String) {
    let got = house.get(path, &[("accept", JSON)]).await;
    if got.status != 200 {
        return (got.status, got.text());
    }
    let answer: Value = serde_json::from_slice(&got.body).unwrap();
    let (entries, key) = match answer.get("files") {
        Some(files) => (files, "filename"),
        None => (&answer["projects"], "name"),
    };
    let entries = entries.as_array().unwrap().iter();
    let names: Vec<_> = entries.map(|entry| entry[key].as_str().unwrap()).collect();
    (200, names.join(" "))
}

#[tokio::test]
async fn what_cannot_be_read_is_trouble_and_neither_kept_nor_an_empty_answer() {
    let more = [
        ("a list for a page", PAGE, ok(JSON, r#"{"projects": []}"#)),
        (
            "another project's page",
            PAGE,
            ok(JSON, r#"{"name": "colander", "files": []}"#),
        ),
        (
            "another project's files",
            PAGE,
            ok(
                "text/html",
                "<title>Our packages</title><p>See <a href=\"colander-1.0.zip\">colander-1.0.zip</a>",
            ),
        ),
        ("a page for a list", LIST, ok(JSON, r#"{"files": []}"#)),
    ];
    let both = odd().into_iter();
    let both = both.flat_map(|(what, fault)| [(what, PAGE, fault.clone()), (what, LIST, fault)]);
    for (what, path, fault) in both.chain(more) {
        let (asked, whole) = match path {
            PAGE => (
                "/simple/sieve/",
                "sieve-1.0-py3-none-any.whl sieve-6.6.6-py3-none-any.whl",
            ),
            _ => ("/simple/", "sieve"),
        };
        let street = Street::new().await;
        let house = street.house();
        street.first.misbehave(asked, fault.clone());
        let (status, words) = ask(&house, path).await;
        assert_eq!(status, 502, "{what} at {path}: {words}");
        assert!(words.contains("root/first"), "{what} at {path}: {words}");
        assert_eq!(street.kept(path).await, 503, "{what} at {path}");
        street.first.behave();
        let healed = (200, whole.to_owned());
        assert_eq!(ask(&house, path).await, healed, "{what} at {path}");

        // What was held before is answered for as long as with any other error.
        street.first.misbehave(asked, fault);
        street.clock.advance(4 * EXPIRY);
        assert_eq!(ask(&house, path).await, healed, "{what} at {path}");
        if path == PAGE {
            street.clock.advance(BORNE);
            assert_eq!(ask(&house, path).await.0, 502, "{what} at {path}");
        }
        street.first.behave();
        assert_eq!(ask(&house, path).await, healed, "{what} at {path}");
    }
}

#[tokio::test]
async fn a_page_without_files_is_one_however_plain() {
    for (content_type, body) in [
        (JSON, r#"{"files": []}"#),
        ("text/plain", r#"{"name": "Sieve", "files": []}"#),
        ("text/html", "<!DOCTYPE html><html><body></body></html>"),
        ("text/html", "<h1>Links for sieve</h1>"),
        (
            "text/html; charset=utf-8",
            "<html><head><title>Index of /simple/sieve/</title></head><body><h1>Index of \
             /simple/sieve/</h1><hr><pre><a href=\"../\">../</a></pre><hr></body></html>",
        ),
    ] {
        let street = Street::new().await;
        street
            .first
            .misbehave("/simple/sieve/", ok(content_type, body));
        let answer = house_alone(&street).await;
        assert_eq!(answer, (200, String::new()), "{body}");
    }
}

/// The page of the first mirror alone.
async fn house_alone(street: &Street) -> (u16, String) {
    ask(&street.house(), "/root/first/+simple/sieve/").await
}
