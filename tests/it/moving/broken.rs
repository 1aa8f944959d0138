//! Exports that are not what they claim: each is refused with a reason, and nothing of it is
//! visible.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::export::{Ran, empty_index, import, of_wheels, run, write};
use crate::support::{Program, Web};

/// Spoils an export of two wheels, given its folder and its index.
type Spoil = fn(&Path, &mut Value);

fn first_path(data: &Value) -> &str {
    data["indexes"]["root/dev"]["files"][0]["relpath"]
        .as_str()
        .unwrap()
}

fn set(data: &mut Value, key: &str, value: Value) {
    data["indexes"]["root/dev"]["files"][0][key] = value;
}

const TABLE: &[(&str, Spoil, &[&str])] = &[
    (
        "a corrupted file",
        |folder, data| {
            let path = folder.join(first_path(data));
            let mut content = fs::read(&path).unwrap();
            content[20] ^= 1;
            fs::write(path, content).unwrap();
        },
        &["hello_pkg-1.0-py3-none-any.whl: the content's sha256 digest is "],
    ),
    (
        "a shortened file",
        |folder, data| fs::write(folder.join(first_path(data)), "short").unwrap(),
        &["hello_pkg-1.0-py3-none-any.whl: the content's sha256 digest is "],
    ),
    (
        "a wrong md5 beside the right sha256",
        |_, data| {
            let md5 = json!("00000000000000000000000000000000");
            data["indexes"]["root/dev"]["files"][0]["entrymapping"]["hashes"]["md5"] = md5;
        },
        &["hello_pkg-1.0-py3-none-any.whl: the content's md5 digest is "],
    ),
    (
        "a missing file",
        |folder, data| fs::remove_file(folder.join(first_path(data))).unwrap(),
        &["root/dev/hello-pkg/1.0/hello_pkg-1.0-py3-none-any.whl: the file is missing"],
    ),
    (
        "a path that leads out",
        |folder, data| {
            let outside = folder.parent().unwrap().join("secret-1.0.zip");
            fs::write(outside, "secret").unwrap();
            set(data, "relpath", json!("root/../../secret-1.0.zip"));
        },
        &["root/../../secret-1.0.zip: the path leads out of the export"],
    ),
    (
        "an absolute path",
        |_, data| set(data, "relpath", json!("/etc/hostname")),
        &["/etc/hostname: the path leads out of the export"],
    ),
    (
        "a link that leads out",
        |folder, data| {
            let path = folder.join(first_path(data));
            fs::rename(&path, folder.parent().unwrap().join("kept.whl")).unwrap();
            std::os::unix::fs::symlink(folder.parent().unwrap().join("kept.whl"), path).unwrap();
        },
        &["the path leads out of the export, through a link"],
    ),
    (
        "an unknown dumpversion",
        |_, data| data["dumpversion"] = json!("3"),
        &["dataindex.json: dumpversion \"3\" is not known; exports of version 1 and 2 are read"],
    ),
    (
        "an unknown type of file",
        |_, data| set(data, "type", json!("sticker")),
        &["\"sticker\" is no type of file that is known"],
    ),
    (
        "the result of a test of nothing",
        |_, data| {
            set(data, "type", json!("toxresult"));
            set(
                data,
                "for_entrypath",
                json!("root/dev/+f/abc/0123456789abc/none-1.0.zip"),
            );
        },
        &["it is the result of none-1.0.zip, which is not there"],
    ),
    (
        "a file that stands there twice",
        |_, data| {
            let files = data["indexes"]["root/dev"]["files"].as_array_mut().unwrap();
            files.push(files[0].clone());
        },
        &["hello_pkg-1.0-py3-none-any.whl is there twice"],
    ),
    (
        "an index of nobody",
        |_, data| data["users"] = json!({}),
        &["index root/dev: neither the export nor this gateway has a user root"],
    ),
    (
        "everything at once",
        |folder, data| {
            fs::remove_file(folder.join(first_path(data))).unwrap();
            let second = data["indexes"]["root/dev"]["files"][1]["relpath"]
                .as_str()
                .unwrap();
            fs::write(folder.join(second), "other").unwrap();
            data["users"]["not a name"] = json!({});
            data["indexes"]["root/of-plugin"] = json!({ "indexconfig": { "type": "custom" } });
        },
        &[
            "user \"not a name\": names hold letters, digits and -.@_",
            "indexes of type \"custom\" are not known here; leave them out with --skip-import-type custom",
            "hello_pkg-1.0-py3-none-any.whl: the file is missing",
            "hello_pkg-2.0-py3-none-any.whl: the content's sha256 digest is ",
        ],
    ),
];

/// Whether a server on this data shows nothing of the export.
async fn shows_nothing(data: &Path) -> bool {
    let server = Program::without_policies()
        .mirroring("http://127.0.0.1:9/simple/")
        .data(data)
        .start();
    let web = Web::new();
    let page = format!("{}hello-pkg/", server.index_url("root/dev"));
    let page = web.get(&page).await;
    let users = web.get_with(server.public_url(), &[("accept", "application/json")]);
    page.status == 404 && !users.await.text().contains("root/dev")
}

#[tokio::test]
async fn each_fault_is_named_and_nothing_is_visible() {
    for (what, spoil, words) in TABLE {
        let folder = tempfile::tempdir().unwrap();
        let (export, data) = (folder.path().join("export"), folder.path().join("data"));
        fs::create_dir(&export).unwrap();
        let mut index = of_wheels(&export, 2);
        spoil(&export, &mut index);
        write(&export, &index);
        for check in [&["--check"][..], &[]] {
            let place = ["import", "--json", "--data", data.to_str().unwrap()];
            let ran = run(&[&place, check].concat(), &[&export]).ends_with(1);
            let faults = ran.report()["faults"].to_string();
            for words in *words {
                let quoted = Value::from(*words).to_string();
                let words = quoted.trim_matches('"');
                assert!(faults.contains(words), "{what}: {words} is not in {faults}");
            }
            let named = ran.report()["faults"].as_array().unwrap().len();
            assert_eq!(named, words.len(), "{what}: {faults}");
        }
        assert!(shows_nothing(&data).await, "{what}");
    }
}

#[test]
fn what_is_no_export_is_a_mistake_of_use() {
    let folder = tempfile::tempdir().unwrap();
    let (export, data) = (folder.path().join("export"), folder.path().join("data"));
    let told = |ran: Ran, words: &str| assert!(ran.stderr.contains(words), "{}", ran.stderr);
    told(import(&export, &data).ends_with(2), "find the export");
    fs::create_dir(&export).unwrap();
    told(
        import(&export, &data).ends_with(2),
        "there is no dataindex.json in",
    );
    write(&export, &empty_index());
    fs::write(export.join("export-incomplete"), "").unwrap();
    told(
        import(&export, &data).ends_with(2),
        "holds an export that broke off",
    );
    let text = empty_index().to_string();
    fs::remove_file(export.join("export-incomplete")).unwrap();
    fs::write(export.join("dataindex.json"), &text[..text.len() / 2]).unwrap();
    let ran = import(&export, &data).ends_with(1);
    let fault = ran.report()["faults"][0].as_str().unwrap().to_owned();
    assert!(
        fault.starts_with("dataindex.json: EOF while parsing"),
        "{fault}"
    );
}

#[tokio::test]
async fn a_file_with_other_content_keeps_everything_out_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let data = folder.path().join("data");
    fs::create_dir_all(&first).unwrap();
    fs::create_dir_all(&second).unwrap();
    of_wheels(&first, 2);
    import(&first, &data).ends_with(0);
    let mut index = of_wheels(&second, 3);
    let other = b"the same name, another content";
    fs::write(second.join(first_path(&index)), other).unwrap();
    let sha256 = cheesecloth::testing::model::Sha256::of(other).to_hex();
    set(
        &mut index,
        "entrymapping",
        json!({ "hashes": { "sha256": sha256 } }),
    );
    write(&second, &index);
    let ran = import(&second, &data).ends_with(1);
    let fault = ran.report()["faults"][0].as_str().unwrap().to_owned();
    let words = "hello_pkg-1.0-py3-none-any.whl is on root/dev already, with other content";
    assert!(fault.starts_with(words), "{fault}");

    let server = Program::without_policies()
        .mirroring("http://127.0.0.1:9/simple/")
        .data(&data)
        .start();
    let web = Web::new();
    let page = format!("{}hello-pkg/", server.index_url("root/dev"));
    assert_eq!(web.page(&page).await.files().len(), 2, "the third came in");
}

#[test]
fn a_running_server_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (export, data) = (folder.path().join("export"), folder.path().join("data"));
    fs::create_dir(&export).unwrap();
    of_wheels(&export, 1);
    let server = Program::without_policies()
        .mirroring("http://127.0.0.1:9/simple/")
        .data(&data)
        .start();
    let told = import(&export, &data).ends_with(2).stderr;
    assert!(
        told.contains(
            "is in use by a running server or import: stop it, import, and start it again"
        ),
        "{told}"
    );
    let place = ["import", "--check", "--data", data.to_str().unwrap()];
    let said = run(&place, &[&export]).ends_with(0).stdout;
    // Root existed without a password and would get the one from the export.
    let words = "would import 1 users, 1 indexes, 1 releases, 1 files";
    assert!(said.contains(words), "{said}");
    server.kill();
    import(&export, &data).ends_with(0);
    let audit = fs::read_to_string(data.join("audit.jsonl")).unwrap();
    assert!(
        audit.contains("1 users, 1 indexes, 1 releases, 1 files"),
        "{audit}"
    );
}
