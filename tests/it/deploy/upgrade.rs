//! What operators do while people work: a new binary, new policies, a stop. No request fails.

use std::fs;
use std::path::Path;
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cheesecloth::testing::model::Sha256;
use rustix::process::Signal;
use serde_json::Value;

use super::load::{Connection, Load, Place, Told, Until};
use super::managed::{Managed, OURS, PASSWORD, Running};
use crate::journal::{files, told};
use crate::postgres::{in_postgres, schema};
use crate::support::{Cluster, Content, FakeIndex, Form, Gate, Listed, Project, Setup, Tool, get};

/// The file that is being transferred while the processes change.
const HUGE: &str = "huge-1.0.tar.gz";
const HUGE_BYTES: u64 = 8 << 20;

/// The file that the rule is about.
const DOUBTED: &str = "doubted-1.0.tar.gz";

fn huge() -> Content {
    Content::noise(11, HUGE_BYTES)
}

/// An index with something small to install, something large to wait for, and something to refuse.
fn dairy() -> FakeIndex {
    let huge = Listed::new(HUGE, "1.0", huge());
    let doubted = Listed::new(DOUBTED, "1.0", Content::noise(12, 2000));
    Setup::default()
        .project(Project::new("sieve").wheel("1.0").wheel("2.0"))
        .project(Project::new("huge").file(huge))
        .project(Project::new("doubted").file(doubted))
        .start()
}

/// A stack over the dairy with one rule. The grace period is longer than any test waits, so a
/// process that sat it out would look like one that never ends; an upload may rest as long, however
/// busy the machine is.
fn policies(dairy: &FakeIndex, rule: &str) -> String {
    format!(
        "limits: {{ grace_period: 1h, min_receive_rate: 1B, idle_timeout: 1h }}\nindexes:\n  \
         root/dairy: {{ type: mirror, mirror_url: \"{}\" }}\n  \
         acme/all: {{ bases: [root/dairy], policy: house, acl_upload: [root] }}\n\
         policies: {{ house: {{ on_block: yank, rules: [{rule}] }} }}\n",
        dairy.url()
    )
}

const OPEN: &str = "{ allow: { project: doubted } }";
const SHUT: &str = "{ deny: { project: doubted, kind: [sdist], reason: 'not yet' } }";

const PAGE: &str = "/acme/all/+simple/sieve/";

fn file_path(place: &Place, project: &str, filename: &str) -> String {
    let page = format!("/acme/all/+simple/{project}/");
    let told = place
        .connect()
        .and_then(|mut kept| kept.get(&page))
        .unwrap();
    assert_eq!(told.status, 200);
    let text = String::from_utf8(told.body).unwrap();
    let links = text.split("href=\"").skip(1);
    let links = links.filter_map(|rest| rest.split_once(['#', '"']).map(|(link, _)| link));
    let link = links.into_iter().find(|link| link.ends_with(filename));
    let base = url::Url::parse("http://x/").and_then(|base| base.join(&page));
    let found = base.and_then(|base| base.join(link.unwrap())).unwrap();
    found.path().to_owned()
}

/// Clients of every kind at all doors.
fn load(managed: &Managed) -> Load {
    let mut load = Load::new();
    let file = file_path(&managed.public, "sieve", "sieve-1.0-py3-none-any.whl");
    load.asks(&managed.public, &[PAGE, &file], Until::Told);
    load.asks(&managed.manage, &["/acme/all", PAGE], Until::Told);
    load.asks(&managed.metrics, &["/metrics", "/readyz"], Until::Told);
    let trust = managed.public.certificate.as_ref();
    let scheme = if trust.is_some() { "https" } else { "http" };
    let index = format!("{scheme}://{}/acme/all/+simple/", managed.public.address);
    for tool in [Tool::Uv, Tool::Pip] {
        load.installs(tool, &index, "sieve", trust);
    }
    load
}

/// A download that is half done; its index holds the second half back.
struct Download(Connection, u64, Gate);

impl Download {
    fn begin(managed: &Managed, dairy: &FakeIndex) -> Self {
        let path = file_path(&managed.public, "huge", HUGE);
        let gate = dairy.gate("/files/huge/", HUGE_BYTES / 2);
        let mut kept = managed.public.connect().unwrap();
        kept.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
            .unwrap();
        let (told, length) = kept.head(Instant::now()).unwrap();
        assert_eq!((told.status, length), (200, HUGE_BYTES));
        Self(kept, length, gate)
    }

    fn end(self) {
        let Self(mut kept, length, gate) = self;
        gate.release();
        let body = kept.body(length).unwrap();
        assert_eq!(Sha256::of(&body), huge().sha256());
    }
}

/// An upload of which half has been sent.
struct Upload(Connection, Vec<u8>);

impl Upload {
    fn begin(managed: &Managed, version: &str) -> Self {
        let mut body = Form::of_wheel("parmesan", version).body();
        let login = BASE64_STANDARD.encode(format!("root:{PASSWORD}"));
        let head = format!(
            "POST /acme/all/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {login}\r\n\
             Content-Type: {}\r\nContent-Length: {}\r\n\r\n",
            Form::content_type(),
            body.len()
        );
        let rest = body.split_off(body.len() / 2);
        let mut kept = managed.manage.connect().unwrap();
        kept.send(head.as_bytes()).unwrap();
        kept.send(&body).unwrap();
        Self(kept, rest)
    }

    fn end(self) {
        let Self(mut kept, rest) = self;
        kept.send(&rest).unwrap();
        let told = kept.answer(Instant::now()).unwrap();
        assert_eq!(told.status, 200, "{}", String::from_utf8_lossy(&told.body));
    }
}

#[track_caller]
fn is_listed(place: &Place, filename: &str) {
    // Both processes share the records; each soon sees what the other writes.
    for _ in 0..200 {
        let page = "/acme/all/+simple/parmesan/";
        let told = place.connect().and_then(|mut kept| kept.get(page)).unwrap();
        if String::from_utf8_lossy(&told.body).contains(filename) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{filename} is not listed");
}

/// Stops a process and waits until it says that it is stopping, even if it is not our child.
fn goes(managed: &Managed, signal: impl Fn(Signal)) {
    signal(Signal::TERM);
    assert!(managed.hears().starts_with("STOPPING=1"));
}

fn an_upgrade_fails_no_request(managed: &Managed, dairy: &FakeIndex) {
    let mut old = managed.start();
    // A page that the next process must not remember as it was before the upload ended.
    Upload::begin(managed, "1.0").end();
    let load = load(managed);
    load.goes_on(1);
    let download = Download::begin(managed, dairy);
    let upload = Upload::begin(managed, "2.0");

    let reloaded = managed.reload(&old, &managed.replaced());
    assert!(reloaded.status.success(), "{}", managed.log());
    let new = managed.successor();
    load.goes_on(2);
    // Answered by the new process, which now has the page from before the second upload.
    is_listed(&managed.public, "parmesan-1.0-py3");
    assert!(
        !old.has_ended(),
        "it has a download and an upload to finish"
    );
    upload.end();
    is_listed(&managed.public, "parmesan-2.0-py3");
    assert!(!old.has_ended(), "it has a download to finish");
    download.end();
    assert!(old.ends_well(), "{}", managed.log());
    load.goes_on(2);
    load.ends();
    assert!(!managed.log().contains("ERROR"), "{}", managed.log());
    // Delivered by the old process after the new one took over, and by both.
    let rows = told(&managed.data(), &["--project", "huge"]);
    assert_eq!(files(&rows), [(HUGE, "allow")], "{rows:?}");
    assert!(!files(&told(&managed.data(), &["--project", "sieve"])).is_empty());
    assert_eq!(metric(managed, "cheesecloth_journal_rows_lost_total"), 0.0);
    goes(managed, |signal| new.signal(signal));
}

#[test]
fn a_new_binary_takes_over_under_load_and_no_request_fails() {
    let dairy = dairy();
    let managed = Managed::new(&policies(&dairy, OPEN));
    an_upgrade_fails_no_request(&managed, &dairy);
}

#[test]
fn a_new_binary_takes_over_under_load_with_tls_too() {
    let dairy = dairy();
    let managed = Managed::with_tls(&policies(&dairy, OPEN));
    an_upgrade_fails_no_request(&managed, &dairy);
}

#[test]
fn a_new_binary_takes_over_under_load_with_records_in_postgresql_too() {
    let (dairy, cluster) = (dairy(), Cluster::shared());
    let policies = in_postgres(&schema(&cluster), &policies(&dairy, OPEN));
    an_upgrade_fails_no_request(&Managed::new(&policies), &dairy);
}

#[test]
fn a_new_process_that_does_not_come_up_leaves_the_old_one_serving() {
    let dairy = dairy();
    let good = policies(&dairy, OPEN);
    let managed = Managed::new(&good);
    let mut old = managed.start();
    let mut load = Load::new();
    load.asks(&managed.public, &[PAGE], Until::Told);
    load.asks(&managed.metrics, &["/readyz"], Until::Told);
    let refuses = |program: &Path| {
        let reloaded = managed.reload(&old, program);
        assert_eq!(reloaded.status.code(), Some(1), "{}", managed.log());
        load.goes_on(3);
    };
    // A program that does not serve.
    refuses(Path::new("/bin/false"));
    // Programs that cannot serve their configuration: noticed before the sockets are handed over,
    // and after.
    let replaced = managed.replaced();
    fs::write(managed.configuration(), "polices: {}\n").unwrap();
    assert!(managed.hears().starts_with("RELOADING=1"));
    assert!(managed.hears().contains("not reloaded"));
    refuses(&replaced);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken_door(&good, &taken.local_addr().unwrap().to_string());
    fs::write(managed.configuration(), taken).unwrap();
    assert!(managed.hears().starts_with("RELOADING=1"));
    managed.hears();
    refuses(&replaced);
    assert!(
        managed.log().contains("this one goes on serving"),
        "{}",
        managed.log()
    );
    // A signal sent by mistake, with no successor to take over.
    let told = |log: String| log.matches("this one goes on serving").count();
    let before = told(managed.log());
    old.signal(Signal::QUIT);
    load.goes_on(3);
    while told(managed.log()) == before {
        load.goes_on(3);
    }
    assert!(!old.has_ended());

    // After all that, an upgrade still works.
    managed.configure(&good);
    assert!(managed.hears().starts_with("RELOADING=1"));
    managed.hears();
    let reloaded = managed.reload(&old, &replaced);
    assert!(reloaded.status.success(), "{}", managed.log());
    let new = managed.successor();
    assert!(old.ends_well(), "{}", managed.log());
    load.goes_on(3);
    load.ends();
    goes(&managed, |signal| new.signal(signal));
}

/// A valid configuration whose public door is already in use.
fn taken_door(policies: &str, address: &str) -> String {
    format!("listen: {{ public: \"{address}\", manage: off, metrics: off }}\n{policies}")
}

fn metric(managed: &Managed, name: &str) -> f64 {
    let page = get(&format!("http://{}/metrics", managed.metrics.address)).unwrap();
    let line = page.body.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap()
}

#[test]
fn new_policies_hold_from_one_instant_on_and_no_request_fails() {
    let dairy = dairy();
    let managed = Managed::new(&policies(&dairy, OPEN));
    let running = managed.start();
    let mut load = load(&managed);
    let doubted = file_path(&managed.public, "doubted", DOUBTED);
    for place in [&managed.public, &managed.manage] {
        load.asks(place, &[&doubted], Until::Told);
    }
    load.goes_on(2);

    // A file with a fault changes nothing, and the fault is reported.
    managed.configure(&policies(&dairy, "{ deny: { knid: [sdist] } }"));
    assert!(managed.hears().starts_with("RELOADING=1"));
    assert!(managed.hears().contains("generation 1 still serves"));
    running.signal(Signal::HUP);
    assert!(managed.hears().starts_with("RELOADING=1"));
    assert!(managed.hears().contains("generation 1 still serves"));
    load.goes_on(2);

    let before = Instant::now();
    managed.configure(&policies(&dairy, SHUT));
    assert!(managed.hears().starts_with("RELOADING=1"));
    assert_eq!(managed.hears(), "READY=1\nSTATUS=generation 2 serves");
    let after = Instant::now();
    assert_eq!(metric(&managed, "cheesecloth_policy_generation"), 2.0);
    load.goes_on(2);
    let told = load.ends();
    let (others, of_rule) = told.split_at(told.len() - 2);
    for tale in of_rule {
        let status = |told: &Told| told.status;
        let early = tale.iter().filter(|told| told.began < before).map(status);
        assert!(early.clone().count() > 0 && early.clone().all(|status| status == 200));
        let late = tale.iter().filter(|told| told.began > after).map(status);
        assert!(late.clone().count() > 0 && late.clone().all(|status| status == 403));
        // The status changes once, and never back.
        let turned = tale.windows(2).filter(|two| two[0].status != two[1].status);
        assert_eq!(turned.count(), 1);
    }
    for told in others.iter().flatten() {
        assert_eq!(told.status, 200);
    }
    drop(running);
}

#[test]
fn a_stop_under_load_finishes_what_is_under_way_and_loses_no_audit_event() {
    let dairy = dairy();
    let managed = Managed::new(&policies(&dairy, SHUT));
    let mut running: Running = managed.start();
    let doubted = file_path(&managed.public, "doubted", DOUBTED);
    let mut load = Load::new();
    load.asks(&managed.public, &[PAGE], Until::Refused);
    for _ in 0..2 {
        load.asks(&managed.public, &[&doubted], Until::Refused);
    }
    load.asks(&managed.manage, &["/acme/all"], Until::Refused);
    load.goes_on(20);
    let download = Download::begin(&managed, &dairy);
    let upload = Upload::begin(&managed, "1.0");

    running.signal(Signal::TERM);
    assert!(managed.hears().starts_with("STOPPING=1"));
    // All clients have stopped by themselves: their requests were answered, then connections were
    // refused.
    let told = load.until_refused();
    assert!(managed.public.connect().is_err() && managed.manage.connect().is_err());
    assert!(!running.has_ended(), "it has something to finish");
    upload.end();
    download.end();
    assert!(running.ends_well(), "{}", managed.log());

    let count = |file: &str, kind: &str| {
        let text = fs::read_to_string(managed.data().join(file)).unwrap();
        let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let events = events.filter(|event: &Value| event["event"] == kind);
        // Each event is either a line of its own, or part of the `repeated` count of one.
        let times = events.map(|event| event["repeated"].as_u64().unwrap_or(1) as usize);
        times.sum::<usize>()
    };
    let refused = told.iter().flatten().filter(|told| told.status == 403);
    let refused = refused.count();
    assert!(refused >= 40, "{refused}");
    assert_eq!(count("refusals.jsonl", "denied"), refused);
    assert_eq!(count("audit.jsonl", "upload"), 1);
}

#[test]
fn the_service_manager_hears_of_start_reload_and_stop() {
    let managed = Managed::new("");
    let mut program = managed.start();
    assert!(managed.is_ready());
    let reloaded = managed.reload(&program, Path::new(OURS));
    assert!(reloaded.status.success());
    assert_eq!(
        managed.hears(),
        "RELOADING=1\nSTATUS=reading the configuration again"
    );
    assert_eq!(managed.hears(), "READY=1\nSTATUS=generation 2 serves");
    program.signal(Signal::TERM);
    assert_eq!(
        managed.hears(),
        "STOPPING=1\nSTATUS=finishing what is under way"
    );
    assert!(program.ends_well());
}
