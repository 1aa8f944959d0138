//! The project list: sent while it arrives, whole or visibly not, kept, and held against its upstream.
//!
//! Nothing is timed. The upstream holds its answer back until the test lets it go.

use std::io::Read as _;
use std::time::Duration;

use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::telemetry::Staleness;
use http::Method;
use serde_json::Value;

use super::support::{
    Asked, Canned, Content, FakeIndex, Fault, Gate, Got, House, Larder, Program, Project, Setup,
    Web, paths_below, soon,
};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "application/vnd.pypi.simple.v1+html";
const NOW: &str = "2026-01-05T00:00:00Z";
const LIST: &str = "/root/dairy/+simple/";
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Names of a list that is too long to be made in one piece, in any form.
const MANY: usize = 60_000;

/// Where the upstream stops in the middle of it.
const MIDDLE: u64 = 1 << 20;

fn name(number: usize) -> String {
    format!("Project_{number:05}.of-the-dairy")
}

fn normalised(number: usize) -> String {
    format!("project-{number:05}-of-the-dairy")
}

/// A list in JSON or HTML; the last name stands first, and the first one again at the end, in another
/// spelling.
fn list(kind: &str) -> String {
    list_of(kind, [MANY - 1].into_iter().chain(0..MANY - 1))
}

fn list_of(kind: &str, numbers: impl Iterator<Item = usize>) -> String {
    let names = numbers.map(name).chain([name(0).to_uppercase()]);
    if kind == JSON {
        let names = names.map(|name| format!("{{\"_last-serial\": 7, \"name\": \"{name}\"}}"));
        let names = names.collect::<Vec<_>>().join(", ");
        return format!("{{\"meta\": {{\"api-version\": \"1.4\"}}, \"projects\": [{names}]}}");
    }
    let names = names.map(|name| format!("<a href=\"/simple/{name}/\">{name}</a><br/>\n"));
    let names = names.collect::<String>();
    format!(
        "<!DOCTYPE html><html><head><title>Simple index</title></head><body>{names}</body></html>"
    )
}

fn canned(kind: &str, body: String) -> Setup {
    let canned = Canned {
        content_type: kind.to_owned(),
        headers: Vec::new(),
        content: Content::Bytes(body.into()),
    };
    Setup::default().canned("/simple/", canned)
}

/// A mirror, and an index over it that hides one name.
fn policies(upstream: &FakeIndex) -> String {
    let url = upstream.url();
    format!(
        "policies:\n  some:\n    rules:\n      - deny: {{ project: 'project-00001-*' }}\n\
         indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\" }}\n  \
         shop/most: {{ bases: [root/dairy], policy: some }}\n"
    )
}

/// The names of an answer, in its order.
fn names(kind: &str, body: &[u8]) -> Vec<String> {
    if kind == JSON {
        let list: Value = serde_json::from_slice(body).unwrap();
        let names = list["projects"].as_array().unwrap().iter();
        let names = names.map(|project| project["name"].as_str().unwrap().to_owned());
        return names.collect();
    }
    let text = std::str::from_utf8(body).unwrap();
    assert!(text.ends_with("</html>\n"), "{}", &text[text.len() - 40..]);
    let names = text.split("<a href=\"").skip(1);
    let names = names.map(|rest| rest.split('/').next().unwrap().to_owned());
    names.collect()
}

fn unpacked(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match coding {
        "gzip" => {
            let mut decoder = flate2::read::GzDecoder::new(body);
            decoder.read_to_end(&mut text).unwrap();
        }
        "zstd" => text = zstd::stream::decode_all(body).unwrap(),
        _ => text.extend_from_slice(body),
    }
    text
}

fn all() -> Vec<String> {
    (0..MANY).map(normalised).collect()
}

async fn get(shop: &Program, path: &str, headers: &[(&str, &str)]) -> Got {
    let url = format!("{}{}", shop.public_url(), path.trim_start_matches('/'));
    Web::new().get_with(&url, headers).await
}

/// Asks, and reads until the first names are there.
async fn begin(shop: &Program, path: &str) -> (reqwest::Response, Vec<u8>) {
    let url = format!("{}{}", shop.public_url(), path.trim_start_matches('/'));
    let asked = async {
        let web = Web::new();
        let mut answer = web
            .open(Method::GET, &url, &[("accept", JSON)])
            .await
            .unwrap();
        let mut body = Vec::new();
        while body.len() < 100_000 {
            let chunk = answer.chunk().await.unwrap();
            body.extend_from_slice(&chunk.expect("the answer ended"));
        }
        (answer, body)
    };
    soon(asked).await
}

/// The rest of an answer behind what was read of it.
async fn finish(mut answer: reqwest::Response, mut body: Vec<u8>) -> reqwest::Result<Vec<u8>> {
    while let Some(chunk) = soon(answer.chunk()).await? {
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[tokio::test]
async fn the_first_names_are_sent_before_the_upstream_has_sent_the_last() {
    for kind in [JSON, "text/html"] {
        let dairy = canned(kind, list(kind)).start();
        let gate = dairy.gate("/simple/", MIDDLE);
        // What an index owns is not shown of any mirror below it, whoever asks.
        let owning = "  shop/own: { bases: [root/dairy], owns: ['project-00003-*'] }\n";
        let shop = Program::with_policies(&(policies(&dairy) + owning)).start();
        let mut begun = Vec::new();
        // Whoever asks meanwhile, and for whichever stack, is sent what has come by then.
        for (path, first) in [
            (LIST, [MANY - 1, 0, 1]),
            ("/shop/most/+simple/", [MANY - 1, 0, 2]),
            (LIST, [MANY - 1, 0, 1]),
        ] {
            let (answer, body) = begin(&shop, path).await;
            assert_eq!(answer.status(), 200);
            assert!(!answer.headers().contains_key("etag"));
            assert!(!answer.headers().contains_key("content-length"));
            let text = String::from_utf8(body.clone()).unwrap();
            let found = text.split("\"name\":\"").skip(1);
            for (wanted, found) in first.iter().zip(found) {
                assert!(
                    found.starts_with(&normalised(*wanted)),
                    "{path}: {found:.40}"
                );
            }
            begun.push((answer, body));
        }
        gate.release();
        for (at, (answer, body)) in begun.into_iter().enumerate() {
            let mut names = names(JSON, &finish(answer, body).await.unwrap());
            names.sort();
            let mut wanted = all();
            wanted.remove(3);
            if at == 1 {
                wanted.remove(1);
            }
            assert_eq!(names, wanted);
        }
        assert_eq!(dairy.journal().count("/simple/"), 1);
    }
}

#[tokio::test]
async fn two_lists_that_arrive_are_one_in_the_order_of_the_stack() {
    let dairy = canned(JSON, list_of(JSON, 0..MANY)).start();
    let farm = canned("text/html", list_of(HTML, MANY / 2..MANY + 10)).start();
    let gates = [&dairy, &farm].map(|upstream| upstream.gate("/simple/", MIDDLE));
    let more = format!(
        "  root/farm: {{ type: mirror, mirror_url: \"{}\" }}\n  \
         shop/all: {{ bases: [root/dairy, root/farm] }}\n",
        farm.url()
    );
    let shop = Program::with_policies(&(policies(&dairy) + &more)).start();
    let (answer, body) = begin(&shop, "/shop/all/+simple/").await;
    for gate in &gates {
        gate.release();
    }
    let names = names(JSON, &finish(answer, body).await.unwrap());
    let wanted = (0..MANY + 10).map(normalised);
    assert_eq!(names, wanted.collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_sent_as_it_came_is_kept_in_every_form() {
    let dairy = canned(JSON, list(JSON)).start();
    let shop = Program::with_policies(&policies(&dairy)).start();
    for kind in [JSON, HTML] {
        for coding in ["identity", "gzip", "zstd"] {
            let headers = [("accept", kind), ("accept-encoding", coding)];
            let what = format!("{kind} {coding}");
            let first = get(&shop, LIST, &headers).await;
            let mut found = names(kind, &unpacked(coding, &first.body));
            found.sort();
            assert_eq!(found, all(), "{what}");
            let kept = get(&shop, LIST, &headers).await;
            assert_eq!(kept.body, first.body, "{what}");
            let length = kept.body.len().to_string();
            assert_eq!(kept.header("content-length"), length, "{what}");
            let etag = kept.header("etag").to_owned();
            let again = [&headers[..], &[("if-none-match", etag.as_str())]].concat();
            assert_eq!(get(&shop, LIST, &again).await.status, 304, "{what}");
            let url = format!("{}{}", shop.public_url(), &LIST[1..]);
            let head = Web::new().head_with(&url, &headers).await;
            assert_eq!(
                (head.header("content-length"), head.header("etag")),
                (&*length, &*etag)
            );
        }
    }
    assert_eq!(dairy.journal().count("/simple/"), 1);
}

#[tokio::test]
async fn who_asks_for_the_head_or_has_a_tag_is_told_of_the_whole() {
    // Sorted, so that it has one tag, whether it is rendered while it arrives or from what is held.
    let dairy = canned(JSON, list_of(JSON, 0..MANY)).start();
    let url = |shop: &Program| format!("{}{}", shop.public_url(), &LIST[1..]);
    let shop = Program::with_policies(&policies(&dairy)).start();
    let head = Web::new().head_with(&url(&shop), &[("accept", JSON)]).await;
    let etag = head.header("etag").to_owned();
    assert!(head.header("content-length").parse::<usize>().unwrap() > 1 << 20);
    // A gateway that holds nothing says that nothing has changed.
    let other = Program::with_policies(&policies(&dairy)).start();
    let headers = [("accept", JSON), ("if-none-match", etag.as_str())];
    assert_eq!(get(&other, LIST, &headers).await.status, 304);
}

/// An answer to `path` that is broken in the middle, once `gate` is open.
async fn is_cut(shop: &Program, gate: &Gate) {
    let (answer, body) = begin(shop, LIST).await;
    assert_eq!(answer.status(), 200);
    gate.release();
    let rest = finish(answer, body).await;
    assert!(rest.is_err(), "a broken list came whole");
}

#[tokio::test]
async fn a_list_that_does_not_become_whole_is_cut_and_nothing_of_it_is_kept() {
    let broken = list(JSON).replace(&format!("\"{}\"}}", name(MANY - 2)), "nonsense");
    let cut = Fault::new().cut_after(2 << 20);
    let limit = "limits: { project_list: 2MiB }\n";
    for (body, fault, limits, counted) in [
        (list(JSON), cut, "", "failed"),
        (broken, Fault::new(), "", "invalid"),
        (list(JSON), Fault::new().without_length(), limit, "invalid"),
    ] {
        let dairy = canned(JSON, body).start();
        let gate = dairy.gate_before("/simple/", MIDDLE, fault);
        let data = tempfile::tempdir().unwrap();
        let yaml = format!("{limits}{}", policies(&dairy));
        let launch = || Program::with_policies(&yaml).data(data.path());
        let shop = launch().start();
        is_cut(&shop, &gate).await;
        let counter = format!(
            "cheesecloth_upstream_requests_total{{result=\"{counted}\",upstream=\"root/dairy\"}}"
        );
        shop.wait_for_metric(&counter, |now| now >= 1.0);
        shop.wait_until_it_says("no project list came");
        let kept = paths_below(&data.path().join("lists"));
        assert!(kept.is_empty(), "{kept:?}");
        // The next request is right.
        dairy.behave();
        dairy.change(|_| canned(JSON, "{\"projects\": [{\"name\": \"six\"}]}".to_owned()));
        let got = get(&shop, LIST, &[("accept", JSON)]).await;
        assert_eq!(names(JSON, &got.body), ["six"]);
    }
}

#[tokio::test]
async fn a_list_that_is_none_before_its_first_names_are_sent_has_an_honest_status() {
    let sign_in = "<title>Sign in</title><form><input type=password></form>";
    let shorter = || list_of(JSON, 0..10);
    for (body, fault, status) in [
        (list(JSON), Fault::new().status(500), 503),
        (list(JSON), Fault::new().reset(), 503),
        (list(JSON), Fault::new().cut_after(0), 503),
        (list(JSON), Fault::new().cut_after(20), 503),
        (list(JSON), Fault::new().cut_after(5_000), 503),
        (shorter(), Fault::new().cut_after(200), 503),
        (list(JSON), Fault::new().status(401), 502),
        ("{}".to_owned(), Fault::new(), 502),
        ("[]".to_owned(), Fault::new(), 502),
        (String::new(), Fault::new(), 502),
        (sign_in.to_owned(), Fault::new(), 502),
    ] {
        let what = format!("{body:.20} {fault:?}");
        let dairy = canned(JSON, body).start();
        dairy.misbehave("/simple/", fault);
        let shop = Program::with_policies(&policies(&dairy)).start();
        for kind in [JSON, HTML] {
            let got = get(&shop, LIST, &[("accept", kind)]).await;
            assert_eq!(got.status, status, "{what}: {}", got.text());
        }
    }
}

#[tokio::test]
async fn an_upstream_that_is_gone_has_no_list() {
    let mut dairy = canned(JSON, list(JSON)).start();
    dairy.stop();
    let shop = Program::with_policies(&policies(&dairy)).start();
    let got = get(&shop, LIST, &[("accept", JSON)]).await;
    assert_eq!(got.status, 503, "{}", got.text());
}

/// A gateway whose list expired a day ago; upstream has one more name since.
struct Old {
    dairy: FakeIndex,
    house: House,
    larder: Larder,
    clock: Clock,
}

fn house(larder: &Larder, dairy: &FakeIndex, clock: &Clock, patience: Duration) -> House {
    House::online_with(larder, &policies(dairy), clock, |settings| {
        settings.cache.patience = patience;
    })
}

impl Old {
    async fn new(patience: Duration) -> Self {
        let dairy = Setup::default().project(Project::new("sieve")).start();
        let clock = Clock::fixed(NOW.parse().unwrap());
        let larder = Larder::empty(&clock).await;
        let house = house(&larder, &dairy, &clock, patience);
        assert_eq!(seen(&house, &[]).await, sieve(None));
        dairy.change(|setup| setup.project(Project::new("vat")));
        clock.advance(DAY);
        Self {
            dairy,
            house,
            larder,
            clock,
        }
    }
}

/// The names, and why they may not be the latest.
type Seen = (Vec<String>, Option<Staleness>);

async fn seen(house: &House, headers: &[(&str, &str)]) -> Seen {
    let headers = [&[("accept", JSON)], headers].concat();
    let asked = Asked::public("GET", LIST, &headers);
    let (got, record) = soon(house.ask_recorded(&asked)).await;
    assert_eq!(got.status, 200, "{}", got.text());
    (names(JSON, &got.body), record.cache.staleness())
}

fn sieve(stale: Option<Staleness>) -> Seen {
    (vec!["sieve".to_owned()], stale)
}

fn both() -> Seen {
    (vec!["sieve".to_owned(), "vat".to_owned()], None)
}

const NO_CACHE: [(&str, &str); 1] = [("cache-control", "no-cache")];

#[tokio::test]
async fn a_list_that_is_held_does_not_wait_for_its_upstream() {
    for is_restarted in [false, true] {
        let mut old = Old::new(Duration::ZERO).await;
        if is_restarted {
            old.house = house(&old.larder, &old.dairy, &old.clock, Duration::ZERO);
        }
        let gate = old.dairy.gate("/simple/", 0);
        for _ in 0..3 {
            assert_eq!(seen(&old.house, &[]).await, sieve(Some(Staleness::Late)));
        }
        gate.release();
        // One request was made behind the answers, and its outcome is what comes next.
        assert_eq!(seen(&old.house, &NO_CACHE).await, both());
        assert_eq!(seen(&old.house, &[]).await, both());
        assert_eq!(old.dairy.journal().count("/simple/"), 2);
    }
}

#[tokio::test]
async fn an_upstream_within_patience_is_waited_for() {
    let old = Old::new(HOUR).await;
    assert_eq!(seen(&old.house, &[]).await, both());
}

#[tokio::test]
async fn an_upstream_that_refuses_is_not_tried_again_in_front_of_a_client() {
    let mut old = Old::new(HOUR).await;
    old.dairy.stop();
    for _ in 0..2 {
        assert_eq!(seen(&old.house, &[]).await, sieve(Some(Staleness::Error)));
    }
    old.dairy.restart();
    old.clock.advance(HOUR);
    assert_eq!(seen(&old.house, &NO_CACHE).await, both());

    // The first attempt fails, and the second one hangs.
    let old = Old::new(HOUR).await;
    let failing = Fault::new().reset().times(1);
    old.dairy.misbehave("/simple/", failing);
    let gate = old.dairy.gate("/", 0);
    for _ in 0..2 {
        assert_eq!(seen(&old.house, &[]).await, sieve(Some(Staleness::Error)));
    }
    gate.reached(1).await;
    gate.release();
    assert_eq!(seen(&old.house, &NO_CACHE).await, both());
}
