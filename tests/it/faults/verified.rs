//! Damage in files that nobody requests is found in the background; a file that is kept twice heals
//! by itself; and what is read out of a file, or sent on, comes from an undamaged one.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::damage::{UNWATCHED, WAYS, only_file, private_url, stage, upload};
use super::room::{count, dairy, fetched, policies};
use crate::support::ask;
use crate::support::{Door, FakeIndex, Listed, Program, Project, Setup, Wheel, command};

fn damage(data: &Path, folder: &str) {
    WAYS[0].1(&only_file(&data.join(folder)));
}

#[test]
fn damage_that_nobody_asks_for_is_found_in_the_background() {
    let (dairy, data) = (dairy(1), tempfile::tempdir().unwrap());
    let start = || {
        let launch = Program::with_policies(&policies(&dairy));
        launch.data(data.path()).start()
    };
    let gateway = start();
    fetched(&gateway, "1.0");
    assert_eq!(upload(&gateway), 200);
    gateway.kill();
    damage(data.path(), "files");
    damage(data.path(), "private");
    let gateway = start();
    gateway.wait_for_metric("cheesecloth_store_verified_rounds_total", |rounds| {
        rounds == 1.0
    });
    assert_eq!(gateway.metric("cheesecloth_store_damaged_files"), Some(1.0));
    assert_eq!(gateway.metric("cheesecloth_store_damage_total"), Some(2.0));
    let read = gateway.metric("cheesecloth_store_verified_bytes_total");
    assert!(read.is_some_and(|read| read > super::room::LENGTH as f64));
    assert_eq!(count(&data.path().join("files")), 0);
    let refused = ask::get(&private_url(&gateway)).unwrap();
    assert_eq!(refused.status, 500, "{refused:?}");
    assert!(refused.body.contains("damaged"), "{refused:?}");
    fetched(&gateway, "1.0");
    assert_eq!(dairy.journal().count("/files/"), 2);
}

#[test]
fn reading_in_the_background_keeps_nobody_from_stopping() {
    let data = tempfile::tempdir().unwrap();
    // At this pace, opening a file alone takes more than an hour.
    let yaml = stage().replace("0B", "1B");
    let start = || Program::with_policies(&yaml).data(data.path()).start();
    let gateway = start();
    assert_eq!(upload(&gateway), 200);
    assert!(gateway.stop().success());
    let gateway = start();
    assert_eq!(ask::get(&private_url(&gateway)).unwrap().status, 200);
    let said = gateway.stop_and_tell();
    assert!(!said.contains("given up"), "{said}");
}

/// A mirror of the very file that is uploaded.
fn twin() -> FakeIndex {
    let file = Listed::wheel(&Wheel::new("hello-pkg", "1.0"), "1.0");
    let project = Project::new("hello-pkg").file(file);
    Setup::default().project(project).start()
}

#[test]
fn what_is_kept_twice_heals_from_its_twin() {
    for lost in ["private", "files"] {
        for (what, damage) in WAYS {
            if lost == "files" && what == "gone" {
                // An ordinary miss.
                continue;
            }
            let (twin, data) = (twin(), tempfile::tempdir().unwrap());
            let url = twin.url();
            let yaml = format!(
                "{}  root/twin: {{ type: mirror, mirror_url: \"{url}\" }}\n{UNWATCHED}",
                stage().replace(UNWATCHED, "")
            );
            let start = || Program::with_policies(&yaml).data(data.path()).start();
            let url_in = |gateway: &Program, index: &str| {
                let page = format!("{}hello-pkg/", gateway.index_url(index));
                let accept = [("Accept", "application/vnd.pypi.simple.v1+json")];
                let listed = ask::send("GET", &page, &accept, b"").unwrap().json();
                let href = listed["files"][0]["url"].as_str().unwrap();
                url::Url::parse(&page)
                    .unwrap()
                    .join(href)
                    .unwrap()
                    .to_string()
            };
            let gateway = start();
            assert_eq!(upload(&gateway), 200);
            let whole = ask::get(&url_in(&gateway, "root/twin")).unwrap().bytes;
            gateway.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
            gateway.kill();
            let path = only_file(&data.path().join(lost));
            damage(&path);
            let gateway = start();
            let index = if lost == "private" {
                "packages/stable"
            } else {
                "root/twin"
            };
            let got = ask::get(&url_in(&gateway, index)).unwrap();
            assert_eq!(got.status, 200, "{lost} {what}: {}", got.body);
            assert!(got.bytes == whole, "{lost} {what}");
            assert!(fs::read(&path).unwrap() == whole, "{lost} {what}");
            assert_eq!(twin.journal().count("/files/"), 1, "{lost} {what}");
            assert_eq!(gateway.metric("cheesecloth_store_damaged_files"), Some(0.0));
        }
    }
}

/// Damage that leaves no trace in the file's metadata escapes a check of that alone; uploading the
/// same file again heals it all the same.
#[test]
fn an_upload_heals_also_what_was_found_right_before() {
    let data = tempfile::tempdir().unwrap();
    let gateway = Program::with_policies(stage()).data(data.path()).start();
    assert_eq!(upload(&gateway), 200);
    let path = only_file(&data.path().join("private"));
    let whole = fs::read(&path).unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    damage(data.path(), "private");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(modified).unwrap();
    assert_eq!(upload(&gateway), 200);
    assert!(fs::read(&path).unwrap() == whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_not_sent_to_another_server() {
    let data = tempfile::tempdir().unwrap();
    // Nobody listens there: an attempt to push would end in a 502.
    let url = "http://127.0.0.1:9/legacy/";
    let yaml = format!("indexes: {{}}\nmanage: {{ push_to: ['{url}'] }}\n{UNWATCHED}");
    let start = || Program::with_policies(&yaml).data(data.path()).start();
    let program = start();
    let anybody = Door::at(program.manage_url());
    let made = anybody.ask("PUT", "/me", json!({"password": "pw"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let me = anybody.by("me", "pw");
    assert_eq!(me.ask("PUT", "/me/dev", json!({})).await.status, 200);
    let sent = me.upload("me/dev", "hello", "1.0").await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    program.kill();
    damage(data.path(), "private");
    let program = start();
    let me = Door::at(program.manage_url()).by("me", "pw");
    let push = json!({
        "name": "hello", "version": "1.0", "posturl": url, "username": "u", "password": "p",
    });
    let pushed = me.ask("PUSH", "/me/dev", push).await;
    assert_eq!(pushed.status, 500, "{}", pushed.text());
    assert!(pushed.text().contains("damaged"), "{}", pushed.text());
}

#[test]
fn an_import_does_not_trust_what_an_earlier_one_has_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (exported, data) = (folder.path().join("export"), folder.path().join("data"));
    let import = |export: &Path| {
        let mut program = command();
        program.args(["import", "--data"]).arg(&data).arg(export);
        let output = program.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let wheel = Wheel::new("hello-pkg", "1.0");
    let content = wheel.build();
    let relative = format!("root/dev/hello-pkg/1.0/{}", wheel.filename());
    let digest = cheesecloth::testing::model::Sha256::of(&content).to_hex();
    fs::create_dir_all(exported.join(&relative).parent().unwrap()).unwrap();
    fs::write(exported.join(&relative), &content).unwrap();
    let password = cheesecloth::testing::model::Sha256::of(b"c2FsdA==secret").to_hex();
    let index = json!({
        "dumpversion": "2",
        "users": { "root": { "username": "root", "pwsalt": "c2FsdA==", "pwhash": password } },
        "indexes": { "root/dev": {
            "indexconfig": { "type": "stage", "bases": [], "volatile": true, "acl_upload": ["root"] },
            "projects": { "hello-pkg": { "1.0": { "name": "hello-pkg", "version": "1.0" } } },
            "files": [{
                "type": "releasefile", "projectname": "hello-pkg", "version": "1.0",
                "relpath": relative, "log": [],
                "entrymapping": {
                    "last_modified": "Fri, 12 Sep 2014 13:18:55 GMT",
                    "hashes": { "sha256": digest },
                },
            }],
        } },
    });
    fs::write(exported.join("dataindex.json"), index.to_string()).unwrap();
    // Left by an import that was cut off, and changed by the disk since.
    let kept = data.join("private").join(&digest[..2]).join(&digest[2..]);
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, &content).unwrap();
    WAYS[0].1(&kept);
    import(&exported);
    assert!(fs::read(&kept).unwrap() == content);
}
