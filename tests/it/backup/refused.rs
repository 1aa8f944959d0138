//! What is never overwritten: data by a restore, and a better backup by a worse one.

use std::fs;

use super::{Place, about, backup, files_below, listed, restore, run, serve, upload};

#[test]
fn a_restore_overwrites_no_records() {
    let place = Place::with(&["1.0"]);
    backup(&place.data(), &place.kept()).ends_with(0);
    let server = serve(&place.data());
    upload(&server, "hello-pkg", "2.0");
    restore(&place.kept(), &place.data())
        .ends_with(2)
        .says("is in use by a running server");
    server.stop();
    let before = files_below(&place.data());
    restore(&place.kept(), &place.data())
        .ends_with(2)
        .says("nothing is overwritten");
    let mut after = files_below(&place.data());
    after.retain(|path, _| !path.starts_with("holds"));
    for (path, content) in after {
        assert_eq!(before.get(&path), Some(&content), "{}", path.display());
    }
    assert_eq!(listed(&serve(&place.data())).len(), 2);
}

#[test]
fn records_come_back_to_the_files_that_outlived_them() {
    let place = Place::with(&["1.0", "2.0"]);
    backup(&place.data(), &place.kept()).ends_with(0);
    let server = serve(&place.data());
    upload(&server, "hello-pkg", "3.0");
    server.stop();
    let newest = files_below(&place.data().join("private"));
    fs::remove_file(place.data().join("records.sqlite")).unwrap();
    restore(&place.kept(), &place.data()).ends_with(0);
    let server = serve(&place.data());
    assert_eq!(listed(&server).len(), 2);
    // What came after the backup is kept and reported until somebody decides.
    let said = server.wait_until_it_says("private files without a record are in quarantine");
    assert!(said.contains("\"files\":2"), "{said}");
    upload(&server, "hello-pkg", "3.0");
    server.wait_until_it_says("the quarantine is over");
    let mut kept = files_below(&place.data().join("private"));
    kept.retain(|path, _| newest.contains_key(path));
    assert_eq!(kept.len(), newest.len());
}

#[test]
fn a_backup_is_not_replaced_by_one_of_other_or_older_records() {
    let place = Place::with(&["1.0", "2.0"]);
    fs::copy(place.path("data/records.sqlite"), place.path("old")).unwrap();
    let server = serve(&place.data());
    upload(&server, "hello-pkg", "3.0");
    server.stop();
    backup(&place.data(), &place.kept()).ends_with(0);
    let before = files_below(&place.kept());
    let unchanged = || {
        let mut after = files_below(&place.kept());
        after.retain(|path, _| !path.starts_with("tmp"));
        assert_eq!(after, before);
    };
    fs::rename(place.path("old"), place.path("data/records.sqlite")).unwrap();
    backup(&place.data(), &place.kept())
        .ends_with(2)
        .says("holds a backup of later records");
    unchanged();
    fs::remove_file(place.path("data/records.sqlite")).unwrap();
    backup(&place.data(), &place.kept())
        .ends_with(2)
        .says("holds no data");
    serve(&place.data()).stop();
    backup(&place.data(), &place.kept())
        .ends_with(2)
        .says("holds a backup of other records");
    unchanged();
}

#[test]
fn a_backup_goes_nowhere_else() {
    let place = Place::with(&["1.0"]);
    fs::create_dir(place.path("photos")).unwrap();
    fs::write(place.path("photos/cat.jpeg"), b"a cat").unwrap();
    for (folder, words) in [
        ("photos", "holds something that is no backup"),
        ("data/backup", "are within each other"),
        (".", "are within each other"),
        ("photos/cat.jpeg", "photos/cat.jpeg"),
    ] {
        let mut backup = about("backup", &place.data());
        backup.arg(folder);
        run(backup).ends_with(2).says(words);
    }
    assert_eq!(files_below(&place.path("photos")).len(), 1);
    assert!(!place.path("data/backup").exists());
    restore(&place.path("photos"), &place.path("again"))
        .ends_with(2)
        .says("holds no backup");
    assert!(!place.path("again/records.sqlite").exists());
}
