//! Backups and restores that break off, and damaged bytes.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{
    POLICIES, Place, about, backup, backup_on, delete, files_below, listed, restore, run, serve,
    upload,
};
use crate::support::{Calls, Disk, DiskError, Program, Rule, command};

/// Releases in the data; a backup reports its progress twenty times.
const RELEASES: usize = 40;

fn of_many() -> Place {
    let versions: Vec<String> = (1..=RELEASES).map(|number| format!("{number}.0")).collect();
    let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    Place::with(&versions)
}

/// Starts a command and kills it once it has reported its progress this often.
#[track_caller]
fn kill_after(lines: usize, mut command: Command) {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let told = stderr.lines().map_while(Result::ok).take(lines).count();
    assert_eq!(told, lines, "it ended without telling its progress");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9), "it was quicker");
}

#[track_caller]
fn kill_backup_after(lines: usize, data: &Path, kept: &Path) {
    let mut command = about("backup", data);
    command.arg(kept);
    kill_after(lines, command);
}

#[test]
fn a_backup_that_broke_off_is_none_and_the_next_goes_on() {
    let place = of_many();
    for lines in [1, 6] {
        kill_backup_after(lines, &place.data(), &place.kept());
        restore(&place.kept(), &place.path("again"))
            .ends_with(2)
            .says("holds no backup, or only one that broke off");
    }
    assert!(!place.path("again/records.sqlite").exists());
    let made = backup(&place.data(), &place.kept()).ends_with(0);
    assert!(made.number("files_copied") < RELEASES as u64, "{made:?}");
    restore(&place.kept(), &place.path("again")).ends_with(0);
    assert_eq!(listed(&serve(&place.path("again"))).len(), RELEASES);
}

#[test]
fn a_backup_that_breaks_off_leaves_the_one_before_as_it_was() {
    let place = of_many();
    backup(&place.data(), &place.kept()).ends_with(0);
    let server = serve(&place.data());
    delete(&server, "hello-pkg", "1.0");
    upload(&server, "hello-pkg", "99.0");
    upload(&server, "other-pkg", "1.0");
    server.stop();
    let disk = Disk::sound();
    // Killed half-way, and on a disk that is full or fails: at the records, a file, the manifest,
    // or a sync.
    kill_backup_after(3, &place.data(), &place.kept());
    for rule in [
        Rule::new(DiskError::Full, Calls::Write, "kept/tmp/records"),
        Rule::new(DiskError::Full, Calls::Write, "kept/tmp/"),
        Rule::new(DiskError::Broken, Calls::Sync, "kept/tmp/"),
        Rule::new(DiskError::Full, Calls::Make, "kept/private/"),
        Rule::new(DiskError::Full, Calls::Write, "kept/backup.draft"),
        Rule::new(DiskError::Broken, Calls::Make, "kept/backup.json"),
    ] {
        disk.suffers(std::slice::from_ref(&rule));
        let failed = backup_on(&disk, &place.data(), &place.kept()).ends_with(2);
        assert!(failed.stderr.contains("kept"), "{rule:?}: {failed:?}");
    }
    restore(&place.kept(), &place.path("before")).ends_with(0);
    let before = listed(&serve(&place.path("before")));
    assert_eq!(before.len(), RELEASES);
    assert!(before.contains_key("hello_pkg-1.0-py3-none-any.whl"));

    let next = backup(&place.data(), &place.kept()).ends_with(0);
    assert_eq!(next.number("files_removed"), 1);
    restore(&place.kept(), &place.path("after")).ends_with(0);
    let after = listed(&serve(&place.path("after")));
    assert_eq!(after.len(), RELEASES + 1);
    assert!(!after.contains_key("hello_pkg-1.0-py3-none-any.whl"));
}

#[test]
fn a_restore_that_broke_off_keeps_servers_away_and_the_next_goes_on() {
    let place = of_many();
    backup(&place.data(), &place.kept()).ends_with(0);
    let again = place.path("again");
    for lines in [1, 9] {
        let mut restore = about("restore", &again);
        restore.arg(place.kept());
        kill_after(lines, restore);
        assert!(!again.join("records.sqlite").exists());
        let mut serve = command();
        serve.args(["serve", "--data"]).arg(&again);
        serve.args([
            "--public",
            "127.0.0.1:0",
            "--manage",
            "off",
            "--metrics",
            "off",
        ]);
        serve.env("CHEESECLOTH_MIRROR_URL", "http://127.0.0.1:9/simple/");
        run(serve)
            .ends_with(2)
            .says("has broken off or is under way: run it again until it ends");
    }
    // As if it had been cut off at the very end.
    fs::write(again.join("records.sqlite"), b"").unwrap();
    restore(&place.kept(), &again).ends_with(0);
    assert_eq!(listed(&serve(&again)).len(), RELEASES);
}

/// Changes one byte of a file.
fn flip(path: &Path) {
    let mut content = fs::read(path).unwrap();
    let at = content.len() / 2;
    content[at] ^= 1;
    fs::write(path, content).unwrap();
}

#[test]
fn damage_in_a_backup_is_told_by_restore_and_mended_by_verify() {
    let place = Place::with(&["1.0", "2.0", "3.0"]);
    backup(&place.data(), &place.kept()).ends_with(0);
    let private = place.kept().join("private");
    let (file, metadata) = {
        let mut files = files_below(&private).into_keys();
        let file = files.find(|path| path.extension().is_none()).unwrap();
        (
            private.join(&file),
            private.join(file.with_extension("metadata")),
        )
    };
    for damaged in [&file, &metadata] {
        flip(damaged);
        let again = place.path(&format!("again-{}", damaged.display()).replace('/', "-"));
        let told = restore(&place.kept(), &again).ends_with(1);
        let words = "of packages/stable: its";
        assert!(told.says(words).stdout.contains("damaged"));
        // Everything else is there.
        let there = files_below(&again.join("private"));
        assert_eq!(there.len(), 6 - 1, "{:?}", there.keys());
        // Metadata is compared each time, which costs little; files only on request.
        let plain = backup(&place.data(), &place.kept()).ends_with(0);
        let mut verify = about("backup", &place.data());
        verify.arg("--verify").arg(place.kept());
        let verified = run(verify).ends_with(0);
        let copied = |ran: &super::Ran| ran.number("files_copied");
        assert_eq!(
            copied(&plain) + copied(&verified),
            1,
            "{}",
            damaged.display()
        );
        assert_eq!(copied(&verified) == 1, damaged == &file);
    }
    restore(&place.kept(), &place.path("whole")).ends_with(0);
    assert_eq!(listed(&serve(&place.path("whole"))).len(), 3);

    let records = fs::read_dir(place.kept())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut records = records.filter(|path| path.extension().is_some_and(|end| end == "sqlite"));
    flip(&records.next().unwrap());
    restore(&place.kept(), &place.path("none"))
        .ends_with(2)
        .says("is damaged");
    assert!(!place.path("none/records.sqlite").exists());
}

#[test]
fn what_the_data_itself_has_lost_is_told_and_keeps_nothing_else_back() {
    let place = Place::with(&["1.0", "2.0"]);
    backup(&place.data(), &place.kept()).ends_with(0);
    let server = Program::with_policies(POLICIES).data(&place.data()).start();
    upload(&server, "hello-pkg", "3.0");
    upload(&server, "hello-pkg", "4.0");
    server.stop();
    let new = |version: &str| {
        let wheel = crate::support::Wheel::new("hello-pkg", version).build();
        let digest = cheesecloth::testing::model::Sha256::of(&wheel).to_hex();
        place
            .data()
            .join("private")
            .join(&digest[..2])
            .join(&digest[2..])
    };
    // What is in an earlier backup stays good, whatever happens to the data.
    fs::remove_file(new("1.0")).unwrap();
    fs::remove_file(new("3.0")).unwrap();
    flip(&new("4.0"));
    let told = backup(&place.data(), &place.kept()).ends_with(1);
    let told =
        told.says("hello_pkg-3.0-py3-none-any.whl of packages/stable: its bytes are missing");
    told.says("hello_pkg-4.0-py3-none-any.whl of packages/stable: its bytes are damaged");
    let again = place.path("again");
    restore(&place.kept(), &again)
        .ends_with(1)
        .says("hello_pkg-3.0-py3-none-any.whl");
    let there = files_below(&again.join("private"));
    let files = there.keys().filter(|path| path.extension().is_none());
    assert_eq!(files.count(), 2);
}
