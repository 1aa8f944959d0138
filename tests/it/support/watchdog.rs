//! A test run that hangs ends by itself and says where: which tests are under way, and what they
//! started.
//!
//! The test harness waits for a test forever, and whoever waits for the run learns nothing.

use std::sync::Once;
use std::time::Duration;
use std::{fs, process, thread};

/// Time limit for all tests together: twice what the slowest machine that we know takes.
const RUN_WITHIN: Duration = Duration::from_secs(40 * 60);

/// Watches this run from the first call on.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        thread::spawn(|| {
            thread::sleep(RUN_WITHIN);
            eprintln!("the tests have not ended within {RUN_WITHIN:?}; under way are:");
            for line in threads().into_iter().chain(descendants(process::id())) {
                eprintln!("  {line}");
            }
            process::exit(1);
        });
    });
}

/// The threads of this process; those of tests bear the beginnings of their names.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    let names = tasks.filter_map(|task| name(task.ok()?));
    names
        .map(|name| format!("thread {}", name.trim_end()))
        .collect()
}

/// The descendants of `parent` with their command lines, parents first.
fn descendants(parent: u32) -> Vec<String> {
    let mut lines = Vec::new();
    let tasks = fs::read_dir(format!("/proc/{parent}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            let command = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            lines.push(format!("process {child}: {command}"));
            lines.extend(descendants(child));
        }
    }
    lines
}
