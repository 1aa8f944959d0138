//! A real devpi-server, filled by real clients, exported by `devpi-export`, imported and served
//! here.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::export::{import, read, run, write};
use crate::support::{Client, Devpi, Program, Tool, Web, Wheel, sdist};

const TOX_RESULT: &str = r#"{"testenvs": {"py311": {"test": [{"retcode": 0}]}}}"#;

/// A zip with one page.
fn docs() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("index.html", options).unwrap();
    zip.write_all(b"<h1>How to greet</h1>").unwrap();
    zip.finish().unwrap().into_inner()
}

/// A server with users, stages that inherit, a wheel, an sdist, a push, a tox result and docs.
pub(super) async fn filled() -> Devpi {
    let server = Devpi::primary();
    let devpi = Client::fresh(Tool::Devpi);
    let put = |name: &str, content: Vec<u8>| fs::write(devpi.folder().join(name), content).unwrap();
    let wheel = Wheel::new("Hello.Pkg", "1.0").requires_python(">=3.6");
    let next = Wheel::new("Hello.Pkg", "2.0");
    let (archive, content) = sdist("Hello.Pkg", "1.0");
    put(&wheel.filename(), wheel.build());
    put(&next.filename(), next.build());
    put(&archive, content);
    put("Hello.Pkg-1.0.doc.zip", docs());
    let (first, second) = (wheel.filename(), next.filename());
    let url = server.url();
    for line in [
        &["use", url.as_str()][..],
        &["login", "root", "--password", ""],
        &[
            "user",
            "-c",
            "packages",
            "password=s3cret",
            "email=p@acme.example",
        ],
        &[
            "user",
            "-c",
            "qa",
            "password=pw",
            "title=Those who look twice",
        ],
        &["user", "-m", "root", "password=toor"],
        &["login", "packages", "--password", "s3cret"],
        &["index", "-c", "packages/stable", "bases=", "volatile=False"],
        &[
            "index",
            "-c",
            "packages/develop",
            "bases=packages/stable",
            "acl_upload=packages,qa",
        ],
        &[
            "index",
            "packages/develop",
            "title=What comes next",
            "mirror_whitelist=six",
        ],
        &[
            "index",
            "-c",
            "packages/mirror",
            "type=mirror",
            "mirror_url=http://127.0.0.1:9/simple/",
        ],
        &["use", "packages/stable"],
        &["upload", &first, &archive, "Hello.Pkg-1.0.doc.zip"],
        &["push", "Hello.Pkg==1.0", "packages/develop"],
        &["use", "packages/develop"],
        &["upload", &second],
    ] {
        devpi.run(line).succeeds();
    }
    add_tox_result(&server, &first).await;
    server
}

/// Posts what `devpi test` sends at its end.
async fn add_tox_result(server: &Devpi, filename: &str) {
    let (web, url) = (Web::new(), server.url());
    let page = page_of(&web, &url, "packages/stable").await;
    let tested = page.iter().find(|link| link.contains(filename)).unwrap();
    let tested = tested.split('#').next().unwrap();
    let posted = web
        .post_json(&format!("{url}packages/stable/{tested}"), TOX_RESULT)
        .await;
    assert_eq!(posted.status, 200, "{}", posted.text());
}

/// The links on a page, relative to the index, with their digests.
pub(super) async fn page_of(web: &Web, server: &str, index: &str) -> BTreeSet<String> {
    let url = format!("{server}{index}/+simple/hello-pkg/");
    let page = web.get_with(&url, &[("accept", "text/html")]).await;
    assert_eq!(page.status, 200, "{url}: {}", page.text());
    let text = page.text();
    let links = text.split("href=\"").skip(1);
    let links = links.filter_map(|rest| rest.split('"').next());
    links
        .filter_map(|link| link.find("+f/").map(|at| link[at..].to_owned()))
        .collect()
}

pub(super) async fn json_of(web: &Web, url: &str) -> Value {
    let got = web.get_with(url, &[("accept", "application/json")]).await;
    assert_eq!(got.status, 200, "{url}: {}", got.text());
    serde_json::from_slice(&got.body).unwrap()
}

pub(super) fn serve(data: &Path) -> Program {
    Program::without_policies()
        .mirroring("http://127.0.0.1:9/simple/")
        .data(data)
        .start()
}

/// The links of one kind in a release's `+links`.
fn links<'a>(version: &'a Value, rel: &str) -> Vec<&'a str> {
    let links = version["result"]["+links"].as_array().unwrap().iter();
    links
        .filter(|link| link["rel"] == rel)
        .map(|link| link["href"].as_str().unwrap())
        .collect()
}

/// One server for all of them: it takes long to start.
#[tokio::test]
async fn what_devpi_exports_is_served_here_under_the_same_urls() {
    let theirs = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("export");
    theirs.export_to(&export);
    everything_is_here(&theirs, &export).await;
    what_yaml_declares_stays_and_takes_the_files(&export).await;
    version_one_is_served_just_so(&theirs, &export).await;
}

/// The only notes are that the operator has to list the mirror, and how.
#[track_caller]
fn nothing_is_left_out(report: &Value) {
    let notes = report["notes"].as_array().unwrap();
    let note = notes[0].as_str().unwrap();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(note.contains("packages/mirror is not asked"), "{note}");
    let cure = notes[1].as_str().unwrap();
    assert!(cure.contains("mirrors_to: ['http://127.0.0.1"), "{cure}");
}

async fn everything_is_here(theirs: &Devpi, export: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let report = import(export, &data).ends_with(0).report();
    nothing_is_left_out(&report);
    let counts = ["users", "indexes", "releases", "files"].map(|key| report[key].as_u64().unwrap());
    // root, packages and qa; 1.0 on both stages and 2.0 on one; five files, a result and docs
    // twice.
    assert_eq!(counts, [3, 3, 3, 8], "{report}");

    let ours = serve(&data);
    let (web, their_url, our_url) = (Web::new(), theirs.url(), ours.public_url());
    for index in ["packages/stable", "packages/develop"] {
        let (there, here) = (
            page_of(&web, &their_url, index).await,
            page_of(&web, our_url, index).await,
        );
        assert_eq!(there, here, "paths and digests on {index}");
        assert!(there.len() >= 2, "{there:?}");
        for link in &there {
            let path = format!("{index}/{}", link.split('#').next().unwrap());
            let bytes = web.get(&format!("{their_url}{path}")).await.body;
            let got = web.get(&format!("{our_url}{path}")).await;
            assert_eq!((got.status, &got.body), (200, &bytes), "{path}");
        }
        let path = format!("{index}?no_projects=");
        let (there, here) = (
            json_of(&web, &format!("{their_url}{path}")).await,
            json_of(&web, &format!("{our_url}{path}")).await,
        );
        assert_eq!(there["result"], here["result"], "configuration of {index}");
    }
    for user in ["packages", "qa"] {
        let (there, here) = (
            json_of(&web, &format!("{their_url}{user}")).await,
            json_of(&web, &format!("{our_url}{user}")).await,
        );
        assert_eq!(there["result"], here["result"]);
    }
    let path = "packages/stable/hello-pkg/1.0";
    let version = json_of(&web, &format!("{our_url}{path}")).await;
    let [result] = links(&version, "toxresult")[..] else {
        panic!("{version}");
    };
    assert_eq!(web.get(result).await.text(), TOX_RESULT);
    let [zip] = links(&version, "doczip")[..] else {
        panic!("{version}");
    };
    assert!(web.get(zip).await.body == docs());
    clients_work(&ours);
}

/// pip and uv install; the passwords from before the move still log in, and no others do.
fn clients_work(ours: &Program) {
    for tool in [Tool::Pip, Tool::Uv] {
        let client = Client::fresh(tool);
        let index = ours.index_url("packages/develop");
        client.install(&index, &["hello-pkg==1.0"]).succeeds();
        let installed = client.folder().join("out/hello_pkg-1.0.dist-info");
        assert!(installed.is_dir(), "{tool:?}");
    }
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", ours.manage_url()]).succeeds();
    for (user, password) in [("packages", "s3cret"), ("qa", "pw"), ("root", "toor")] {
        devpi
            .run(&["login", user, "--password", password])
            .succeeds()
            .says(&format!("logged in '{user}'"));
    }
    devpi.run(&["login", "root", "--password", ""]).fails();
    devpi.run(&["login", "qa", "--password", "pw"]).succeeds();
    devpi.run(&["use", "packages/develop"]).succeeds();
    devpi
        .run(&["list", "-v", "hello-pkg"])
        .succeeds()
        .says("hello_pkg-2.0-py3-none-any.whl");
    let wheel = Wheel::new("hello-pkg", "3.0");
    fs::write(devpi.folder().join(wheel.filename()), wheel.build()).unwrap();
    devpi.run(&["upload", &wheel.filename()]).succeeds();
}

/// Turns an export into what devpi-server 1 wrote: files without versions, directly below their
/// project, md5 digests, a salted password, no logs, and former setting names.
fn as_version_one(export: &Path) {
    let mut data = read(export);
    data["dumpversion"] = json!("1");
    let digest = cheesecloth::testing::model::Sha256::of(b"c2FsdA==old").to_hex();
    data["users"]["packages"]["pwhash"] = json!(digest);
    data["users"]["packages"]["pwsalt"] = json!("c2FsdA==");
    for (name, index) in data["indexes"].as_object_mut().unwrap() {
        let Some(files) = index.get_mut("files").and_then(Value::as_array_mut) else {
            continue;
        };
        for file in files {
            let old = file["relpath"].as_str().unwrap().to_owned();
            let base = old.rsplit('/').next().unwrap().to_owned();
            let new = match file["type"].as_str().unwrap() {
                "releasefile" => format!("{name}/hello-pkg/{base}"),
                _ => old.clone(),
            };
            if old != new {
                fs::rename(export.join(&old), export.join(&new)).unwrap();
            }
            let content = fs::read(export.join(&new)).unwrap();
            let md5 = <md5::Md5 as sha2::Digest>::digest(&content);
            let hex: String = md5.iter().map(|byte| format!("{byte:02x}")).collect();
            let modified = file["entrymapping"]["last_modified"].clone();
            let keys = file.as_object_mut().unwrap();
            keys.remove("version");
            keys.remove("log");
            keys.insert("relpath".into(), new.into());
            let mapping =
                json!({ "last_modified": modified, "md5": hex, "size": content.len().to_string() });
            keys.insert("entrymapping".into(), mapping);
        }
        index["indexconfig"]["pypi_whitelist"] = index["indexconfig"]["mirror_whitelist"].take();
        index["indexconfig"]
            .as_object_mut()
            .unwrap()
            .remove("mirror_whitelist");
        index["indexconfig"]["uploadtrigger_jenkins"] = Value::Null;
    }
    write(export, &data);
}

async fn version_one_is_served_just_so(theirs: &Devpi, export: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    as_version_one(export);
    let report = import(export, &data).ends_with(0).report();
    assert_eq!(report["files"], 8, "{report}");
    nothing_is_left_out(&report);
    let ours = serve(&data);
    let web = Web::new();
    for index in ["packages/stable", "packages/develop"] {
        let there = page_of(&web, &theirs.url(), index).await;
        assert_eq!(there, page_of(&web, ours.public_url(), index).await);
    }
    let develop = json_of(&web, &format!("{}packages/develop", ours.public_url())).await;
    assert_eq!(develop["result"]["mirror_whitelist"], json!(["six"]));
    let pip = Client::fresh(Tool::Pip);
    let index = ours.index_url("packages/stable");
    pip.install(&index, &["hello-pkg==1.0"]).succeeds();
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", ours.manage_url()]).succeeds();
    // The first login renews the salted hash, and the password remains the same.
    for _ in 0..2 {
        devpi
            .run(&["login", "packages", "--password", "old"])
            .succeeds();
    }
    devpi
        .run(&["login", "packages", "--password", "s3cret"])
        .fails();
}

async fn what_yaml_declares_stays_and_takes_the_files(export: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let yaml = "indexes: {packages/stable: {bases: [], volatile: false, title: Ours, policy: p}}\n\
                policies: {p: {rules: [{deny: {kind: sdist, reason: wheels only}}]}}\n";
    let policies = folder.path().join("policies.yaml");
    fs::write(&policies, yaml).unwrap();
    let paths = [policies.to_str().unwrap(), data.to_str().unwrap()];
    let command = [
        "import",
        "--json",
        "--policies",
        paths[0],
        "--data",
        paths[1],
    ];
    let report = run(&command, &[export]).ends_with(0).report();
    let note = report["notes"][0].as_str().unwrap();
    assert!(
        note.starts_with("index packages/stable is declared in ")
            && note.ends_with("policies.yaml:1:11: its configuration stays as it is there"),
        "{report}"
    );
    assert_eq!(
        (&report["indexes"], &report["files"]),
        (&json!(2), &json!(8))
    );
    let ours = Program::with_policies(yaml).data(&data).start();
    let web = Web::new();
    let shown = json_of(&web, &format!("{}packages/stable", ours.public_url())).await;
    assert_eq!(shown["result"]["title"], "Ours");
    let page = page_of(&web, ours.public_url(), "packages/stable").await;
    assert_eq!(
        page.len(),
        1,
        "the policy holds for what was imported: {page:?}"
    );
}
