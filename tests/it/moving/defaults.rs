//! An import, and then a server without a configuration file: what was imported wins over what is
//! built in; and mirrors that name no upstream.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::export::{empty_index, import, write};
use crate::support::{Client, DevpiServer, FakeIndex, Program, Project, Setup, Tool, ask, get};

/// Mirrors in the records may be on this machine; no index is declared.
const LOOPBACK: &str = "manage: { mirrors_to: [127.0.0.0/8] }\n";

/// An index that holds one project.
fn index_of(project: &str) -> FakeIndex {
    Setup::default()
        .project(Project::new(project).wheel("1.0"))
        .start()
}

/// An export with these mirrors and root/dev.
fn with_mirrors(folder: &Path, mirrors: &[(&str, Option<&FakeIndex>)]) {
    let mut data = empty_index();
    for (name, upstream) in mirrors {
        let mut config = json!({ "type": "mirror", "volatile": false, "title": "theirs" });
        if let Some(upstream) = upstream {
            config["mirror_url"] = upstream.url().as_str().into();
        }
        data["indexes"][name] = json!({ "indexconfig": config, "projects": {} });
    }
    fs::create_dir_all(folder).unwrap();
    write(folder, &data);
}

fn page(server: &Program, index: &str, project: &str) -> ask::Answer {
    get(&format!("{}{project}/", server.index_url(index))).unwrap()
}

#[test]
fn a_curated_upstream_that_is_imported_stays_the_upstream_when_no_file_declares_one() {
    let folder = tempfile::tempdir().unwrap();
    let (exported, data) = (folder.path().join("export"), folder.path().join("data"));
    let (curated, public) = (index_of("good"), index_of("bad"));
    with_mirrors(&exported, &[("root/pypi", Some(&curated))]);
    let told = import(&exported, &data).ends_with(0).report();
    assert_eq!(told["indexes"], 2, "{told}");
    // Its address is not public, so the operator has to list it.
    let note = told["notes"][0].as_str().unwrap();
    assert!(note.contains("manage.mirrors_to"), "{told}");
    // The import ends with the very line that does so.
    let words = told["notes"].as_array().unwrap().last().unwrap();
    let (_, line) = words
        .as_str()
        .unwrap()
        .split_once("cheesecloth.yaml: ")
        .unwrap();
    let server = Program::with_policies(&format!("{line}\n"))
        .mirroring(public.url().as_str())
        .data(&data)
        .start();
    // The short URL works as well: without a configuration file it leads to root/pypi.
    for index in ["root/pypi", "root/dev"] {
        let status = if index == "root/dev" { 404 } else { 200 };
        assert_eq!(page(&server, index, "good").status, status, "{index}");
        assert_eq!(page(&server, index, "bad").status, 404, "{index}");
    }
    let short = format!("{}simple/good/", server.public_url());
    assert_eq!(get(&short).unwrap().status, 200);
    assert_eq!(public.journal().count("/"), 0);
    let json = [("Accept", "application/json")];
    let shown = ask::send(
        "GET",
        &format!("{}root/pypi", server.manage_url()),
        &json,
        b"",
    );
    let shown: Value = shown.unwrap().json();
    assert_eq!(shown["result"]["title"], "theirs");
    assert_eq!(shown["result"]["mirror_url"], curated.url().as_str());
    server.stop();
    // So pip's index need not be known; for the built-in mirror this would be a fault.
    let server = Program::with_policies(LOOPBACK)
        .mirroring("nowhere")
        .data(&data)
        .start();
    assert_eq!(page(&server, "root/pypi", "good").status, 200);
    // And its owner may change it, like any index in the records.
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", server.manage_url()]).succeeds();
    devpi
        .run(&["login", "root", "--password", "secret"])
        .succeeds();
    let there = format!("mirror_url={}", public.url());
    devpi.run(&["index", "root/pypi", &there]).succeeds();
    assert_eq!(page(&server, "root/pypi", "bad").status, 200);
}

#[test]
fn of_mirrors_that_name_no_upstream_root_pypi_asks_what_pip_asks_and_others_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let (exported, data) = (folder.path().join("export"), folder.path().join("data"));
    let pips = index_of("hello");
    with_mirrors(&exported, &[("root/pypi", None), ("root/other", None)]);
    import(&exported, &data).ends_with(0);
    let server = Program::without_policies()
        .mirroring(pips.url().as_str())
        .data(&data)
        .start();
    assert_eq!(page(&server, "root/pypi", "hello").status, 200);
    let words = "root/other is a mirror and no upstream is set";
    let told = page(&server, "root/other", "hello");
    assert_eq!(told.status, 502, "{told:?}");
    assert!(told.body.contains(words), "{told:?}");
    let list = get(&server.index_url("root/other")).unwrap();
    assert_eq!(list.status, 502, "{list:?}");
    assert!(list.body.contains(words), "{list:?}");
    server.stop();
    // Where pip's index is not known, everything else is served.
    let server = Program::without_policies()
        .mirroring("nowhere")
        .data(&data)
        .start();
    let said = server.wait_until_it_says("root/pypi of the records has no upstream");
    assert!(said.contains("CHEESECLOTH_MIRROR_URL"), "{said}");
    let told = page(&server, "root/pypi", "never-asked");
    assert_eq!(told.status, 502, "{told:?}");
    assert!(told.body.contains("no upstream is set"), "{told:?}");
}

#[test]
fn devpi_makes_a_mirror_without_an_upstream_and_gives_it_one_later() {
    let pips = index_of("hello");
    let server = DevpiServer::with()
        .init(&["--no-root-pypi"])
        .environment("CHEESECLOTH_MIRROR_URL", pips.url().as_str())
        .start();
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", server.url()]).succeeds();
    devpi.run(&["login", "root", "--password", ""]).succeeds();
    let page = |index: &str| get(&format!("{}{index}/+simple/hello/", server.url())).unwrap();
    devpi.run(&["index", "-c", "m", "type=mirror"]).succeeds();
    assert_eq!(page("root/m").status, 502);
    let there = format!("mirror_url={}", pips.url());
    devpi.run(&["index", "m", &there]).succeeds();
    assert_eq!(page("root/m").status, 200);
    devpi.run(&["index", "m", "mirror_url-="]).succeeds();
    assert_eq!(page("root/m").status, 502);
    // root/pypi, which devpi-init makes, uses pip's index, whoever creates it.
    devpi
        .run(&["index", "-c", "pypi", "type=mirror"])
        .succeeds();
    assert_eq!(page("root/pypi").status, 200);
    let shown = devpi.run(&["index", "pypi"]).succeeds();
    shown.never_says(pips.url().as_str());
}
