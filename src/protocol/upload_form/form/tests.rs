//! What forms ask for, and what they are told.

use crate::model::Sha256;
use crate::protocol::upload_form::form::*;

fn form(fields: &[(&str, &str)], filename: Option<&str>) -> UploadForm {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    UploadForm {
        fields: fields.iter().map(owned).collect(),
        content_filename: filename.map(str::to_owned),
    }
}

fn upload(name: &str, version: &str, filename: &str) -> Result<Submission, String> {
    let fields = [
        (":action", "file_upload"),
        ("name", name),
        ("version", version),
    ];
    form(&fields, Some(filename))
        .read()
        .map_err(|faults| faults.to_string())
}

#[test]
fn files_that_agree_with_their_release() {
    let table = [
        ("Hello.Pkg", "1.0", "Hello.Pkg-1.0-py3-none-any.whl"),
        ("Hello.Pkg", "1.0", "hello_pkg-1.0.tar.gz"),
        ("hello-pkg", "1.0.0", "hello_pkg-1.0-py3-none-any.whl"),
        ("hello-pkg", "v1.0-ALPHA.1", "hello_pkg-1.0a1.tar.gz"),
        (
            "torch",
            "2.1.0+cu121",
            "torch-2.1.0+cu121-cp311-cp311-linux_x86_64.whl",
        ),
        ("a", "1.0+ubuntu-1", "a-1.0+ubuntu_1-py3-none-any.whl"),
        ("pkg", "1!2017.4+devpi", "pkg-1!2017.4+devpi.zip"),
        ("pytz", "2004d", "pytz-2004d.zip"),
        ("a", "my version", "a-my_version.zip"),
        ("a", "1.0", "a-1.0.linux-x86_64.tar.gz"),
        ("a", "1.0", "a-1.0-1.noarch.rpm"),
        ("lxml", "2.3", "lxml-2.3.win32-py2.7.exe"),
        ("setuptools", "0.6c11", "setuptools-0.6c11-py2.7.egg"),
    ];
    for (name, version, filename) in table {
        let submission = upload(name, version, filename).unwrap();
        let Submission::File(file) = submission else {
            panic!("{submission:?}")
        };
        assert_eq!(file.filename.as_str(), filename);
        assert_eq!(
            (&*file.release.spelling, &*file.release.version),
            (name, version)
        );
        assert_eq!(file.release.metadata["version"], version);
    }
}

#[test]
fn files_that_do_not_are_told_in_devpis_words() {
    let table = [
        (
            "a",
            "1.0",
            "a-1.0.1.tar.gz",
            "filename 'a-1.0.1.tar.gz' does not contain version '1.0'",
        ),
        (
            "a",
            "1.0",
            "a-11.0.tar.gz",
            "filename 'a-11.0.tar.gz' does not contain version '1.0'",
        ),
        (
            "a",
            "1.0",
            "a-1.0rc1.zip",
            "filename 'a-1.0rc1.zip' does not contain version '1.0'",
        ),
        (
            "a",
            "2004d",
            "a-2004e.zip",
            "filename 'a-2004e.zip' does not contain version '2004d'",
        ),
        (
            "a",
            "1.0",
            "b-1.0.tar.gz",
            "filename 'b-1.0.tar.gz' does not match project name 'a'",
        ),
        (
            "a",
            "1.0",
            "a.tar.gz",
            "filename 'a.tar.gz' does not match project name 'a'",
        ),
        (
            "a",
            "1.0",
            "a-1.0.txt",
            "'a-1.0.txt' is not a valid archive name",
        ),
        (
            "a",
            "1.0",
            "a-1.0.tar.xz",
            "'a-1.0.tar.xz' is not a valid archive name",
        ),
        (
            "a",
            "1.0",
            "../a-1.0.zip",
            "'../a-1.0.zip' is not a valid archive name",
        ),
        (
            "a",
            "1.0",
            "a-1.0\r\n.zip",
            "'a-1.0??.zip' is not a valid archive name",
        ),
        ("a", "1.0", "zip", "'zip' is not a valid archive name"),
        ("a", "1.0", "", "content file field not found"),
    ];
    for (name, version, filename, text) in table {
        assert_eq!(upload(name, version, filename).unwrap_err(), text);
    }
}

#[test]
fn names_and_versions_that_are_none() {
    let name = "invalid metadata: Invalid package name. Names must";
    let url_safety = "invalid metadata: Invalid package name or version (URL safety)";
    let table = [
        (
            "ä",
            "1",
            format!("{name} contain only ASCII letters, digits, underscores, hyphens, and periods"),
        ),
        (
            "-a",
            "1",
            format!("{name} start with an ASCII letter or digit"),
        ),
        (
            "a.",
            "1",
            format!("{name} end with an ASCII letter or digit"),
        ),
        ("a", "1/2", url_safety.to_owned()),
        ("a", "<1>", url_safety.to_owned()),
        ("a", "..", url_safety.to_owned()),
        ("a", "1\n", url_safety.to_owned()),
        (
            "a",
            "UNKNOWN",
            "invalid metadata: Missing required field \"version\"".to_owned(),
        ),
        (
            "a",
            "",
            "invalid metadata: Missing required field \"version\"".to_owned(),
        ),
        (
            "",
            "1",
            "invalid metadata: Missing required field \"name\"".to_owned(),
        ),
    ];
    for (name, version, text) in table {
        assert_eq!(upload(name, version, "a-1.zip").unwrap_err(), text);
    }
}

#[test]
fn every_fault_is_told_at_once_devpis_first_one_first() {
    let fields = [
        (":action", "file_upload"),
        ("md5_digest", "x"),
        ("sha256_digest", "abc"),
    ];
    let faults = form(&fields, None).read().unwrap_err();
    insta::assert_snapshot!(faults, @r#"content file field not found; invalid metadata: Missing required field "name"; invalid metadata: Missing required field "version"; sha256_digest is not 64 hexadecimal digits; md5_digest is not 32 hexadecimal digits"#);
}

#[test]
fn fields_that_two_readers_may_take_for_two_things() {
    let with = |more: &[(&str, &str)]| {
        let fields = [(":action", "submit"), ("name", "a"), ("version", "1")];
        let read = form(&[&fields, more].concat(), None).read();
        read.map(drop).map_err(|faults| faults.to_string())
    };
    let twice = [("classifiers", "A"), ("classifiers", "B"), ("summary", "x")];
    assert_eq!(with(&[&twice[..], &[("summary", "x")]].concat()), Ok(()));
    let table = [
        (
            &[("summary", "x"), ("summary", "y")][..],
            "field 'summary' was sent twice",
        ),
        (
            &[("name", "b")],
            "field 'name' was sent twice and not the same",
        ),
        (
            &[("colour", "blue"), ("colour", "red")],
            "unknown field 'colour'",
        ),
        (&[("Name", "a")], "unknown field 'Name'"),
    ];
    for (more, told) in table {
        let faults = with(more).unwrap_err();
        assert!(faults.starts_with(told), "{faults}");
        assert!(faults.matches("colour").count() <= 1, "{faults}");
    }
    let many: Vec<String> = (0..100).map(|number| format!("x{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (&**name, "")).collect();
    let faults = with(&many).unwrap_err();
    assert_eq!(faults.matches("unknown field").count(), STRANGE_TOLD_MAX);
}

#[test]
fn other_actions() {
    let fields = [
        (":action", "submit"),
        ("name", "A_b"),
        ("version", "1"),
        ("summary", "UNKNOWN"),
    ];
    let Ok(Submission::Register(release)) = form(&fields, None).read() else {
        panic!()
    };
    assert_eq!(
        (release.project.as_str(), &*release.spelling),
        ("a-b", "A_b")
    );
    assert_eq!(release.metadata["summary"], "");
    for (version, expected) in [("", None), ("1.0", Some("1.0".to_owned()))] {
        let fields = [
            ("version", version),
            ("name", "a"),
            (":action", "doc_upload"),
        ];
        let docs = form(&fields, Some("whatever.zip")).read();
        let Ok(Submission::Docs { version, .. }) = docs else {
            panic!("{docs:?}")
        };
        assert_eq!(version, expected);
    }
    let docs = form(&[(":action", "doc_upload"), ("name", "a")], None).read();
    assert_eq!(
        docs.unwrap_err().to_string(),
        "content file field not found"
    );
    let other = form(&[(":action", "remove_pkg")], None).read();
    assert_eq!(
        other.unwrap_err().to_string(),
        "action 'remove_pkg' not supported"
    );
    assert_eq!(
        form(&[], None).read().unwrap_err().to_string(),
        "the form has no field :action"
    );
}

#[test]
fn digests_that_were_stated_have_to_hold() {
    let sha256 = Sha256::of(b"x");
    let md5 = "9dd4e461268c8034f5c8564e155c67a6";
    let (blake, long) = ("0".repeat(64), "1".repeat(128));
    let both = [&*blake, &*long];
    let hex = sha256.to_hex().to_uppercase();
    let fields = [
        (":action", "file_upload"),
        ("name", "a"),
        ("version", "1"),
        ("sha256_digest", &hex),
        ("md5_digest", md5),
        ("blake2_256_digest", ""),
    ];
    let Ok(Submission::File(file)) = form(&fields, Some("a-1.zip")).read() else {
        panic!()
    };
    assert_eq!(
        file.claimed.check(&sha256, &md5.to_uppercase(), both),
        Ok(())
    );
    let wrong = file
        .claimed
        .check(&Sha256::of(b"y"), md5, both)
        .unwrap_err();
    assert!(
        wrong
            .0
            .starts_with("the content's sha256 digest is a1fce4363854ff88"),
        "{wrong}"
    );
    assert!(file.claimed.check(&sha256, &blake[..32], both).is_err());
    assert_eq!(ClaimedDigests::default().check(&sha256, md5, both), Ok(()));
    for (stated, holds) in [(&blake, true), (&long, true), (&"2".repeat(128), false)] {
        let fields = [("blake2_256_digest", &**stated)];
        let field = |name: &str| {
            fields
                .iter()
                .find(|(one, _)| *one == name)
                .map(|(_, hex)| *hex)
        };
        let mut faults = Vec::new();
        let claimed = ClaimedDigests::read(field, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(claimed.check(&sha256, md5, both).is_ok(), holds, "{stated}");
    }
}
