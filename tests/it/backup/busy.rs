//! Backups of a server while people upload and delete all the time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{Place, about, backup, delete, files_below, listed, restore, run, serve, upload};

/// People, each with a project of their own.
const PEOPLE: usize = 3;

/// Backups made meanwhile, all into one directory.
const BACKUPS: usize = 4;

#[test]
fn a_backup_beside_a_busy_server_brings_back_all_that_it_names() {
    let place = Place::new();
    let server = serve(&place.data());
    upload(&server, "hello-pkg", "1.0");
    let (is_over, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for person in 0..PEOPLE {
            let (server, is_over, rounds) = (&server, &is_over, &rounds);
            scope.spawn(move || {
                let project = format!("busy-{person}");
                for round in 1.. {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    upload(server, &project, &format!("{round}.0"));
                    if round > 2 {
                        delete(server, &project, &format!("{}.0", round - 2));
                    }
                    rounds.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for number in 1..=BACKUPS {
            let before = rounds.load(Ordering::SeqCst);
            while rounds.load(Ordering::SeqCst) < before + PEOPLE {
                thread::yield_now();
            }
            let ran = backup(&place.data(), &place.kept());
            // Before any assertion may fail, the other threads are told to stop; or they would run
            // forever.
            if ran.code != Some(0) || number == BACKUPS {
                is_over.store(true, Ordering::SeqCst);
            }
            let made = ran.ends_with(0).number("files");
            let again = place.path(&format!("again-{number}"));
            restore(&place.kept(), &again).ends_with(0);
            let files = listed(&serve(&again));
            assert_eq!(files.len() as u64, made, "{files:?}");
            assert!(files.contains_key("hello_pkg-1.0-py3-none-any.whl"));
        }
    });
}

#[test]
fn what_is_restored_is_the_same_gateway() {
    let place = Place::with(&["1.0", "2.0"]);
    let token = |words: &[&str], name: &str| {
        let mut command = about("token", &place.path(name));
        command = {
            let mut token = std::process::Command::new(command.get_program());
            token.arg("token").args(words).arg("--json");
            token.arg("--data").arg(place.path(name));
            token.current_dir(place.folder.path());
            token
        };
        run(command)
    };
    token(&["create", "root"], "data").ends_with(0);
    let before = token(&["list"], "data").ends_with(0).stdout;
    backup(&place.data(), &place.kept()).ends_with(0);
    restore(&place.kept(), &place.path("again")).ends_with(0);
    assert_eq!(token(&["list"], "again").ends_with(0).stdout, before);
    let here = serve(&place.data());
    let there = serve(&place.path("again"));
    assert_eq!(listed(&here), listed(&there));
    assert_eq!(listed(&there).len(), 2);
    // The restored server works on: it takes uploads, and nothing is in quarantine.
    upload(&there, "hello-pkg", "3.0");
    assert_eq!(listed(&there).len(), 3);
    assert!(!place.path("again/quarantine.json").exists());
}

#[test]
fn a_second_backup_copies_what_is_new_and_lets_go_of_what_was_removed() {
    let place = Place::with(&["1.0", "2.0", "3.0"]);
    let first = backup(&place.data(), &place.kept()).ends_with(0);
    assert_eq!(
        (first.number("files"), first.number("files_copied")),
        (3, 3)
    );
    let before = files_below(&place.kept().join("private"));
    let same = backup(&place.data(), &place.kept()).ends_with(0);
    assert_eq!((same.number("files"), same.number("files_copied")), (3, 0));
    assert_eq!(files_below(&place.kept().join("private")), before);

    let server = serve(&place.data());
    upload(&server, "hello-pkg", "4.0");
    delete(&server, "hello-pkg", "1.0");
    let next = backup(&place.data(), &place.kept()).ends_with(0);
    assert_eq!((next.number("files"), next.number("files_copied")), (3, 1));
    assert_eq!(next.number("files_removed"), 1);
    // Files and metadata of three releases, one copy of the records, and the manifest.
    let names = files_below(&place.kept());
    assert_eq!(names.len(), 6 + 3, "{:?}", names.keys());
    restore(&place.kept(), &place.path("again")).ends_with(0);
    assert_eq!(listed(&serve(&place.path("again"))), listed(&server));
}
