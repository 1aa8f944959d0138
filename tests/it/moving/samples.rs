//! The exports that devpi's own tests import, from the earliest versions on. They come with the
//! test package of its server; none is kept here.

use std::path::PathBuf;

use super::export::run;
use crate::support::Tool;

/// Each sample, and its outcome: what is imported, or the fault.
const SAMPLES: &[(&str, Result<&str, &str>)] = &[
    ("badindexname", Err("\"root/pypi!Jo\" is not an index name")),
    (
        "badusername",
        Err("user \"root~foo.com\": names hold letters"),
    ),
    ("basescycle", Ok("1 users, 1 indexes, 0 releases, 0 files")),
    (
        "createdmodified",
        Ok("1 users, 0 indexes, 0 releases, 0 files"),
    ),
    ("dashes_v1", Ok("2 users, 1 indexes, 1 releases, 1 files")),
    ("deletedbase", Ok("1 users, 5 indexes, 0 releases, 0 files")),
    ("mirrordata", Ok("1 files of mirrors go into the cache")),
    (
        "modifiedpypi",
        Ok("1 users, 1 indexes, 0 releases, 0 files"),
    ),
    // The package lacks the result that its index refers to.
    (
        "no_history_log",
        Err("hello-1.0.tar.gz.toxresult0: the file is missing"),
    ),
    (
        "nocreatedmodified",
        Ok("2 users, 0 indexes, 0 releases, 0 files"),
    ),
    (
        "normalization",
        Ok("1 users, 2 indexes, 1 releases, 1 files"),
    ),
    (
        "normalization_merge",
        Ok("1 users, 2 indexes, 2 releases, 2 files"),
    ),
    ("norootpypi", Ok("1 users, 0 indexes, 0 releases, 0 files")),
    ("nouser", Ok("0 users, 0 indexes, 0 releases, 0 files")),
    (
        "removedindexplugin",
        Err("leave them out with --skip-import-type custom"),
    ),
    (
        "toxresult_naming_scheme",
        Ok("1 users, 1 indexes, 1 releases, 2 files"),
    ),
    (
        "toxresult_upload_default",
        Ok("1 users, 1 indexes, 0 releases, 0 files"),
    ),
];

fn folder_of_samples() -> PathBuf {
    let ask = "import pathlib, test_devpi_server as t; print(pathlib.Path(t.__file__).parent)";
    let python = std::process::Command::new(Tool::DevpiSuite.program())
        .args(["-c", ask])
        .output()
        .unwrap();
    let package = String::from_utf8(python.stdout).unwrap();
    PathBuf::from(package.trim()).join("importexportdata")
}

#[test]
fn every_sample_of_devpis_tests_is_imported_or_refused_with_the_reason() {
    let samples = folder_of_samples();
    let mut names: Vec<_> = std::fs::read_dir(&samples)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let known: Vec<_> = SAMPLES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, known, "devpi has other samples now");
    for (name, expected) in SAMPLES {
        let data = tempfile::tempdir().unwrap();
        let serverdir = data.path().join("server");
        let command = ["devpi-import", "--serverdir", serverdir.to_str().unwrap()];
        let ran = run(&command, &[&samples.join(name)]);
        let (code, words) = match expected {
            Ok(words) => (0, words),
            Err(words) => (1, words),
        };
        let said = ran.ends_with(code).stdout;
        assert!(said.contains(words), "{name}: {said}");
    }
}

#[test]
fn what_is_skipped_on_request_is_said() {
    let data = tempfile::tempdir().unwrap();
    let serverdir = data.path().join("server");
    let place = ["devpi-import", "--serverdir", serverdir.to_str().unwrap()];
    let sample = folder_of_samples().join("removedindexplugin");
    let command = [&place[..], &["--skip-import-type", "custom"]].concat();
    let said = run(&command, &[&sample]).ends_with(0).stdout;
    assert!(said.contains("index user/+foo-dev: left out, as indexes of type custom are"));
    assert!(said.contains("imported 2 users, 0 indexes"), "{said}");
}
