//! The built program under attack: every kind of hostile client at once. Each runs into the limit
//! meant for it, while the real pip installs and does not notice.
//!
//! Limits are the defaults wherever waiting for them is bearable; the tables in `config` and
//! `listen` show what the defaults are.

mod crowd;
mod descriptors;
pub(crate) mod frames;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crowd::{Crowd, ended_with};

use super::support::{Client, Content, FakeIndex, Listed, Program, Project, Setup, Tool, Web};

const INDEX: &str = "root/dairy";

/// Connections that send one byte of a head now and then.
const DRIPS: usize = 2_000;

/// Connections that stop reading in the middle of a file.
const STALLS: usize = 500;

/// Connections that send nothing, and as many that send one request and then nothing more.
const SILENT: usize = 200;

/// The default of `limits.requests_per_connection`.
const REQUESTS_MAX: usize = 10_000;

/// More than a connection's socket buffers hold.
const LARGE: u64 = 24 << 20;

const LARGE_FILE: &str = "wheel_of_gouda-1.0.tar.gz";

/// What a well-behaved client installs meanwhile.
const WANTED: [&str; 6] = ["brie", "comte", "feta", "gouda", "sbrinz", "taleggio"];

/// Peak resident memory that the debug build may reach, in bytes.
const MEMORY_MAX: u64 = 1 << 30;

fn dairy() -> FakeIndex {
    let large = Listed::new(LARGE_FILE, "1.0", Content::noise(3, LARGE));
    let large = Project::new("wheel-of-gouda").file(large);
    let wanted = WANTED.iter().map(|name| Project::new(name).wheel("1.0"));
    wanted
        .fold(Setup::default().project(large), Setup::project)
        .start()
}

/// Policies over the dairy; `more` is `limits:` and the like.
fn policies(dairy: &FakeIndex, more: &str) -> String {
    let url = dairy.url();
    format!("{more}\nindexes:\n  {INDEX}: {{ type: mirror, mirror_url: \"{url}\" }}\n")
}

/// Installs with the real pip, which may neither fail nor retry, over and over until the attack
/// ends; returns how often.
#[track_caller]
fn install_until(is_over: &AtomicBool, index: &str, certificate: Option<&str>) -> usize {
    let mut runs = 0;
    while runs == 0 || !is_over.load(Ordering::SeqCst) {
        let mut pip = Client::fresh(Tool::Pip).with("PIP_RETRIES", "0");
        if let Some(certificate) = certificate {
            // requests, below pip, prefers its own variable to what pip passes it.
            pip = pip.with("PIP_CERT", certificate);
            pip = pip.with("REQUESTS_CA_BUNDLE", certificate);
        }
        let run = pip.install(index, &WANTED).succeeds();
        run.says("Successfully installed").never_says("WARNING");
        runs += 1;
    }
    runs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attack_ends_in_its_limit_and_pip_does_not_notice() {
    descriptors::raise_our_own();
    // Waiting for the defaults (60 s idle, 266 s for a chunk) would show nothing more.
    let limits = "limits: { idle_timeout: 15s, min_send_rate: 1MiB }";
    let dairy = dairy();
    let shop = Program::with_policies(&policies(&dairy, limits)).start();
    let large = Web::new()
        .page(&format!("{}wheel-of-gouda/", shop.index_url(INDEX)))
        .await
        .url_of(LARGE_FILE);
    assert_eq!(Web::new().get(&large).await.body.len() as u64, LARGE);

    let crowd = Crowd::against(&shop);
    let (drips, begun) = crowd.send(DRIPS, |at| crowd.drip(at));
    begun.await;
    let (stalls, begun) = crowd.send(STALLS, |at| crowd.stall(at, &large));
    begun.await;
    let (silent, begun) = crowd.send(SILENT, |at| crowd.say_nothing(at));
    begun.await;
    let (resting, begun) = crowd.send(SILENT, |at| crowd.ask_and_rest(at));
    begun.await;
    let open = shop.metric("cheesecloth_connections{door=\"public\"}");
    eprintln!("{open:?} connections are open");
    let is_over = Arc::new(AtomicBool::new(false));
    let installing = tokio::task::spawn_blocking({
        let (is_over, index) = (Arc::clone(&is_over), shop.index_url(INDEX));
        move || install_until(&is_over, &index, None)
    });

    for answer in crowd.send(20, |at| crowd.head_of_a_mebibyte(at)).0.await {
        ended_with("HTTP/1.1 431 ", &answer);
    }
    assert_eq!(crowd.ask_one_after_another().await, REQUESTS_MAX);
    let answered = crowd.ask_all_at_once().await;
    eprintln!("{answered} of the requests that came all at once were answered");
    assert!((1..=REQUESTS_MAX).contains(&answered), "{answered}");

    for answer in drips.await {
        ended_with("HTTP/1.1 408 ", &answer);
    }
    for answer in silent.await {
        ended_with("", &answer);
    }
    for answer in resting.await {
        ended_with("HTTP/1.1 200 ", &answer);
    }
    shop.wait_for_metric(&refused("slow"), |count| count >= STALLS as f64);
    crowd.read_on();
    for answer in stalls.await {
        ended_with("HTTP/1.1 200 ", &answer);
        assert!((answer.len() as u64) < LARGE, "the whole file came");
    }
    is_over.store(true, Ordering::SeqCst);
    let runs = installing.await.unwrap();
    eprintln!("pip installed {runs} times meanwhile");

    let count = |reason: &str| shop.metric(&refused(reason)).unwrap_or_default();
    assert_eq!(count("head_time"), DRIPS as f64);
    assert_eq!(count("head_size"), 20.0);
    assert_eq!(count("silent"), SILENT as f64);
    assert_eq!(count("slow"), STALLS as f64);
    shop.wait_for_metric("cheesecloth_connections{door=\"public\"}", |open| {
        open < 1.0
    });
    let peak = shop.memory_peak_bytes();
    eprintln!("{} MiB of memory at the peak", peak >> 20);
    assert!(peak < MEMORY_MAX, "{} MiB", peak >> 20);
}

/// The counter of connections that were refused or cut for this reason.
fn refused(reason: &str) -> String {
    format!("cheesecloth_connections_refused_total{{door=\"public\",reason=\"{reason}\"}}")
}
