//! An import killed at any moment leaves nothing visible, and the next one finishes it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;

use super::export::{export, import, of_wheels, read};
use crate::support::{Program, Web, command, paths_below, python};

/// Wheels in the export that is imported.
const FILES: usize = 300;

/// Starts an import and kills it once it has reported its progress this often; `false` if it was
/// faster.
fn kill_after(lines: usize, export: &Path, data: &Path) -> bool {
    let mut program = command();
    program.args(["import", "--data"]).arg(data).arg(export);
    program.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let told = stderr.lines().map_while(Result::ok).take(lines).count();
    assert_eq!(told, lines, "it ended without telling its progress");
    child.kill().unwrap();
    child.wait().unwrap().signal() == Some(9)
}

fn kept(data: &Path) -> usize {
    let files = paths_below(&data.join("private")).into_iter();
    files.filter(|path| path.extension().is_none()).count()
}

async fn status_of_page(data: &Path) -> u16 {
    let server = Program::without_policies()
        .mirroring("http://127.0.0.1:9/simple/")
        .data(data)
        .start();
    let page = format!("{}hello-pkg/", server.index_url("root/dev"));
    Web::new().get(&page).await.status
}

/// Runs a program on a terminal of its own.
const ON_A_TERMINAL: &str =
    "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

#[test]
fn on_a_terminal_a_bar_shows_how_far_it_is_and_elsewhere_lines_do() {
    let folder = tempfile::tempdir().unwrap();
    let (exported, data) = (folder.path().join("export"), folder.path().join("data"));
    fs::create_dir(&exported).unwrap();
    of_wheels(&exported, 40);
    let program = command();
    let mut terminal = std::process::Command::new(python());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    terminal
        .args(["-c", ON_A_TERMINAL])
        .arg(program.get_program())
        .args(["import", "--data"])
        .args([&data, &exported])
        .current_dir(folder.path());
    let output = terminal.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("0/40") && said.contains('░'), "{said}");
    assert!(!said.contains("of 40 files"), "{said}");
    assert!(
        said.contains("imported 1 users, 1 indexes, 40 releases, 40 files"),
        "{said}"
    );
    let told = import(&exported, &data).ends_with(0).stderr;
    assert_eq!(told.matches("of 40 files").count(), 20, "{told}");
}

#[tokio::test]
async fn an_import_that_is_killed_shows_nothing_and_is_finished_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let exported = folder.path().join("export");
    fs::create_dir(&exported).unwrap();
    of_wheels(&exported, FILES);
    let data = folder.path().join("data");
    let mut before = 0;
    // One after another into the same directory: each continues where the last was cut off.
    for lines in [1, 7, 14] {
        assert!(
            kill_after(lines, &exported, &data),
            "it ended before it was killed"
        );
        let now = kept(&data);
        assert!(now >= before, "what was kept is gone");
        before = now;
    }
    assert!(before > 0, "no byte had been kept");
    assert_eq!(status_of_page(&data).await, 404, "half of it is visible");

    let report = import(&exported, &data).ends_with(0).report();
    assert_eq!(
        (&report["files"], &report["releases"]),
        (&FILES.into(), &FILES.into())
    );
    let again = import(&exported, &data).ends_with(0).report();
    assert_eq!(
        (&again["files"], &again["files_already"]),
        (&0.into(), &FILES.into())
    );
    assert_eq!(kept(&data), FILES);
    assert_eq!(fs::read_dir(data.join("tmp")).unwrap().count(), 0);

    let out = folder.path().join("out");
    export(&data, &out).ends_with(0);
    let names = |folder: &Path| {
        let data = read(folder);
        let files = data["indexes"]["root/dev"]["files"]
            .as_array()
            .unwrap()
            .clone();
        let mut names: Vec<_> = files
            .iter()
            .map(|file| {
                (
                    file["relpath"].to_string(),
                    file["entrymapping"]["hashes"].to_string(),
                )
            })
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&out), names(&exported));
}
