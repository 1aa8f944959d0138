//! Thousands of files that nobody has requested yet, by many clients: none of them may be refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::figures::{Better, Floor, Round, Row};
use super::options::Scenario;
use super::resources::paths_of_files;
use super::stage::Stage;
use crate::rig::content::{MANY_FILES, many_filename};
use crate::rig::plain::{Line, Request};

/// Projects with [`MANY_FILES`] files each, and their number in a quick run.
const PROJECTS: usize = 200;
const PROJECTS_QUICK: usize = 20;

/// Clients, each with its own connection.
const CLIENTS: usize = 200;

/// Most error texts that a note repeats.
const WORDS: usize = 5;

/// The outcome of all requests.
struct Outcome {
    failed: usize,
    seconds: f64,
    words: BTreeMap<String, usize>,
}

/// Measures both, once: no file is cold a second time.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Row> {
    let quick = stage.options.quick;
    let projects = if quick { PROJECTS_QUICK } else { PROJECTS };
    let gateway = stage.launch("many").start()?;
    let (mut own, mut origin) = (Vec::new(), Vec::new());
    for number in 0..projects {
        let project = format!("many-{number}");
        let paths = paths_of_files(gateway.public(), &project)?;
        own.extend(paths.into_values());
        origin.extend(
            (0..MANY_FILES).map(|file| format!("/files/{}", many_filename(&project, file))),
        );
    }
    let theirs = ask_for_all(stage.nginx.proxy(), &origin);
    let ours = ask_for_all(gateway.public(), &own);
    gateway.stop();
    let mut notes = vec![format!(
        "{} files in {:.1} s, nginx {:.1} s",
        own.len(),
        ours.seconds,
        theirs.seconds
    )];
    for (name, outcome) in [("ours", &ours), ("nginx", &theirs)] {
        let words = outcome.words.iter().take(WORDS);
        notes.extend(words.map(|(word, times)| format!("{name}, {times} times: {word}")));
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousand")]
    let count = |outcome: &Outcome| outcome.failed as f64;
    Ok(Row {
        peers: vec!["nginx"],
        rounds: vec![Round {
            peers: vec![count(&theirs)],
            ours: count(&ours),
        }],
        notes,
        ..Row::new(
            Scenario::ManyFiles.name(),
            "failed",
            Better::Low,
            Floor::FigureAtMost(0.0),
        )
    })
}

/// Every client takes the next file until there are no more.
fn ask_for_all(address: SocketAddr, paths: &[String]) -> Outcome {
    let (next, words) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut line = Line::to(address);
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(word) = failure(&mut line, path)
                        && let Ok(mut words) = words.lock()
                    {
                        *words.entry(word).or_insert(0) += 1;
                    }
                }
            });
        }
    });
    let words = words.into_inner().unwrap_or_default();
    Outcome {
        failed: words.values().sum(),
        seconds: started.elapsed().as_secs_f64(),
        words,
    }
}

/// Why a file did not arrive.
fn failure(line: &mut Line, path: &str) -> Option<String> {
    match line.ask(&Request::new(path)) {
        Ok(answer) if answer.status == 200 => None,
        Ok(answer) => {
            let body = String::from_utf8_lossy(&answer.body);
            Some(format!("{} {}", answer.status, body.trim()))
        }
        Err(error) => Some(error.root_cause().to_string()),
    }
}
