//! Rules on one of devpi's indexes: what they refuse is refused in every form, and devpi never
//! hears of it.

use std::fs;

use serde_json::{Value, json};

use super::super::support::{
    Canned, Client, Content, Devpi, FakeIndex, Fault, Program, Setup, Tool, Wheel, ask, sdist,
};
use super::wire::{Answer, Request};
use super::{installed, upload, with_releases};

/// `packages`, whose password is `x`.
const LOGIN: (&str, &str) = ("Authorization", "Basic cGFja2FnZXM6eA==");

const JSON: (&str, &str) = ("Accept", "application/json");

/// Version 2.0 of hello-pkg and all of banned are refused; acme-* belongs to the index.
const POLICIES: &str = "
policies:
  corporate:
    on_block: ON_BLOCK
    rules:
      - deny: { project: hello-pkg, versions: \">=2\", reason: \"not yet\" }
      - deny: { project: banned, reason: \"it steals keys\" }
";

fn policies(server: &str, on_block: &str) -> String {
    format!(
        "devpi: {{ servers: [\"{server}\"] }}\nindexes:\n  \
         packages/stable: {{ type: devpi, policy: corporate, owns: [\"acme-*\"] }}\n  \
         packages/dev: {{ type: devpi, policy: corporate }}\n{}",
        POLICIES.replace("ON_BLOCK", on_block)
    )
}

/// A server with refused content, test results and documentation, and an index above it.
fn devpi_with_all() -> (Devpi, Client) {
    let primary = Devpi::primary();
    let devpi = with_releases(&primary);
    for name in ["banned", "acme-tools"] {
        let wheel = Wheel::new(name, "1.0");
        fs::write(devpi.folder().join(wheel.filename()), wheel.build()).unwrap();
        devpi.run(&["upload", &wheel.filename()]).succeeds();
    }
    let (name, bytes) = sdist("hello-pkg", "1.0");
    fs::write(devpi.folder().join(&name), bytes).unwrap();
    devpi.run(&["upload", &name]).succeeds();
    devpi
        .run(&["index", "-c", "packages/dev", "bases=packages/stable"])
        .succeeds();
    for version in ["1.0", "2.0"] {
        let object = format!("/packages/stable/hello-pkg/{version}");
        for href in hrefs(&get(&primary.url(), &object, &[JSON]).text(), "releasefile") {
            let at = format!("/{}", href.trim_start_matches(&primary.url()));
            let result = Request::new("POST", &at).with(LOGIN.0, LOGIN.1).body(b"{}");
            assert_eq!(result.send(&primary.url()).unwrap().status, 200, "{at}");
        }
    }
    (primary, devpi)
}

fn get(door: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers
        .iter()
        .fold(Request::get(target), |request, (name, value)| {
            request.with(name, value)
        });
    request.send(door).unwrap()
}

/// The links with this `rel` in an object.
fn hrefs(body: &str, rel: &str) -> Vec<String> {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{body}"));
    let mut found = Vec::new();
    let mut left = vec![&body];
    while let Some(value) = left.pop() {
        if value["rel"] == rel {
            found.push(value["href"].as_str().unwrap().to_owned());
        }
        match value {
            Value::Object(map) => left.extend(map.values()),
            Value::Array(all) => left.extend(all),
            _ => {}
        }
    }
    found.sort();
    found
}

#[test]
fn objects_of_devpi_link_to_what_passes_and_to_nothing_else() {
    let (primary, _devpi) = devpi_with_all();
    let front = Program::with_policies(&policies(&primary.url(), "hide")).start();
    for door in [front.public_url(), front.manage_url()] {
        for index in ["packages/stable", "packages/dev"] {
            let object = get(door, &format!("/{index}/hello-pkg"), &[JSON]);
            assert_eq!(object.status, 200, "{}", object.text());
            let versions: Value = serde_json::from_str(&object.text()).unwrap();
            let versions: Vec<&String> = versions["result"].as_object().unwrap().keys().collect();
            assert_eq!(versions, ["1.0"], "{index}");
            let alone = get(door, &format!("/{index}/hello-pkg/1.0"), &[JSON]);
            let files = hrefs(&object.text(), "releasefile");
            assert_eq!(files, hrefs(&alone.text(), "releasefile"));
            assert_eq!(files.len(), 2, "{files:?}");
            let results = hrefs(&object.text(), "toxresult");
            assert_eq!(results.len(), 2, "{results:?}");
            for href in files.iter().chain(&results) {
                let path = format!("/{}", href.trim_start_matches(door));
                assert_eq!(get(door, &path, &[]).status, 200, "{path}");
                let is_asked = path.starts_with(&format!("/{index}/"));
                assert!(is_asked || results.contains(href), "{path}");
            }
            let refused = get(door, &format!("/{index}/hello-pkg/2.0"), &[JSON]);
            assert_eq!(refused.status, 404, "{}", refused.text());
        }
    }
    // devpi itself has all of them.
    let held = get(&primary.url(), "/packages/stable/hello-pkg", &[JSON]);
    assert_eq!(hrefs(&held.text(), "releasefile").len(), 3);
    let result = hrefs(&held.text(), "toxresult");
    let result = result.iter().find(|href| href.contains("2.0")).unwrap();
    let result = format!("/{}", result.trim_start_matches(&primary.url()));
    assert_eq!(get(&primary.url(), &result, &[]).status, 200);
    assert_eq!(
        get(front.public_url(), &result, &[]).status,
        404,
        "{result}"
    );

    let devpi = Client::fresh(Tool::Devpi);
    let address = front.public_url();
    devpi
        .run(&["use", &format!("{address}packages/dev")])
        .succeeds();
    devpi
        .run(&["list", "hello-pkg"])
        .succeeds()
        .says(&format!("{address}packages/dev/+f/"));
    let object = get(address, "/packages/stable", &[JSON]);
    let object: Value = serde_json::from_str(&object.text()).unwrap();
    assert_eq!(object["result"]["projects"], json!(["hello-pkg"]));
    assert_eq!(object["result"]["type"], "stage");
}

#[test]
fn a_release_that_is_listed_as_yanked_has_its_words_and_no_links() {
    let primary = Devpi::primary();
    let _releases = with_releases(&primary);
    let front = Program::with_policies(&policies(&primary.url(), "yank")).start();
    let object = get(
        front.public_url(),
        "/packages/stable/hello-pkg/2.0",
        &[JSON],
    );
    let shown: Value = serde_json::from_str(&object.text()).unwrap();
    assert_eq!(shown["result"]["+links"], json!([]), "{shown:#}");
    let words = shown["result"]["yanked"].as_str().unwrap();
    assert!(words.contains("not yet"), "{words}");
    assert_eq!(shown["result"]["name"], "hello-pkg");
}

#[test]
fn a_login_is_shown_by_devpi_only_what_the_rules_let_pass() {
    let primary = Devpi::primary_with_private_indexes();
    let releases = with_releases(&primary);
    releases
        .run(&["index", "packages/stable", "title=private"])
        .succeeds();
    releases
        .run(&[
            "index",
            "-c",
            "packages/dev",
            "bases=packages/stable",
            "title=private",
        ])
        .succeeds();
    let held = get(&primary.url(), "/packages/stable/hello-pkg", &[JSON]);
    let front = Program::with_policies(&policies(&primary.url(), "hide")).start();
    for href in hrefs(&held.text(), "releasefile") {
        let own = format!("/{}", href.trim_start_matches(&primary.url()));
        // At the index above, devpi decides where the file is.
        for path in [own.clone(), own.replace("/stable/", "/dev/")] {
            let status = |door: &str, headers| get(door, &path, headers).status;
            let is_allowed = path.contains("1.0");
            let with_login = if is_allowed { 200 } else { 403 };
            assert_eq!(status(front.manage_url(), &[LOGIN]), with_login, "{path}");
            assert_eq!(status(front.manage_url(), &[]), 403, "{path}");
            assert_eq!(status(front.public_url(), &[LOGIN]), 403, "{path}");
        }
    }
}

#[test]
fn devpi_carries_nothing_out_of_an_index_that_its_rules_refuse() {
    let (primary, devpi) = devpi_with_all();
    devpi
        .run(&["index", "-c", "packages/open", "bases="])
        .succeeds();
    let front = Program::with_policies(&policies(&primary.url(), "hide")).start();
    let door = front.manage_url();
    let push = |name: &str, version: &str| {
        let body = json!({"name": name, "version": version, "targetindex": "packages/open"});
        let push = Request::new("POST", "/packages/stable").with(LOGIN.0, LOGIN.1);
        push.with("Content-Type", "application/json")
            .body(body.to_string().as_bytes())
    };
    for (name, version, expected) in [
        ("hello-pkg", "1.0", 200),
        ("hello-pkg", "2.0", 451),
        ("Hello_Pkg", "2", 451),
        ("banned", "1.0", 451),
        ("BANNED", "1.0", 451),
        ("acme-tools", "1.0", 451),
    ] {
        let answer = push(name, version).send(door).unwrap();
        assert_eq!(
            answer.status,
            expected,
            "{name} {version}: {}",
            answer.text()
        );
        if expected == 451 {
            assert!(answer.text().contains("is refused by"), "{}", answer.text());
        }
    }
    let open = ask::get(&format!("{}packages/open/+simple/", primary.url())).unwrap();
    assert!(
        open.body.contains("hello-pkg") && !open.body.contains("banned"),
        "{}",
        open.body
    );
    let page = ask::get(&format!(
        "{}packages/open/+simple/hello-pkg/",
        primary.url()
    ))
    .unwrap();
    assert!(!page.body.contains("2.0"), "{}", page.body);

    // Whoever may upload and delete may do so with what the rules refuse, which only limit what is
    // served.
    let client = Client::fresh(Tool::Devpi);
    client
        .run(&["use", &format!("{door}packages/stable")])
        .succeeds();
    client
        .run(&["login", "packages", "--password", "x"])
        .succeeds();
    upload(&client, "3.0");
    let held = ask::get(&format!(
        "{}packages/stable/+simple/hello-pkg/",
        primary.url()
    ))
    .unwrap();
    assert!(held.body.contains("hello_pkg-3.0"), "{}", held.body);
    let delete = Request::new("DELETE", "/packages/stable/hello-pkg/3.0").with(LOGIN.0, LOGIN.1);
    assert_eq!(delete.send(door).unwrap().status, 200);
    let uv = Client::fresh(Tool::Uv);
    uv.install(&front.index_url("packages/stable"), &["hello-pkg"])
        .succeeds();
    assert!(installed(&uv, "1.0"));
}

/// A server whose journal shows what it received.
fn listening() -> FakeIndex {
    let object = |kind: &str, result: Value| Canned {
        content_type: "application/json".to_owned(),
        headers: Vec::new(),
        content: Content::Bytes(json!({"type": kind, "result": result}).to_string().into()),
    };
    Setup::default()
        .canned(
            "/+status",
            object("status", json!({"role": "MASTER", "serial": 7})),
        )
        .start()
}

#[test]
fn no_request_that_names_what_is_refused_reaches_devpi() {
    let server = listening();
    let front = Program::with_policies(&policies(server.at("/").as_str(), "hide")).start();
    let file = "+f/abc/0123456789abc";
    for name in ["banned", "Banned", "acme-tools", "%62anned", "acme_tools"] {
        for line in [
            format!("POST /packages/stable/+simple/{name}/refresh"),
            format!("POST /packages/stable/{file}/{name}-1.0.tar.gz"),
            format!("POST /packages/stable/+e/https_h/{name}-1.0.tar.gz"),
            format!("PUT /packages/stable/{name}"),
            format!("PATCH /packages/stable/{name}/1.0"),
            format!("POST /packages/stable/{name}/1.0/+strange"),
            format!("BREW /packages/stable/{name}/1.0/pot"),
            format!("GET /packages/stable/{name}"),
            format!("HEAD /packages/stable/{name}/1.0"),
            format!("GET /packages/stable/{name}/1.0/+d/index.html"),
            format!("GET /packages/stable/{file}/{name}-1.0.tar.gz"),
            format!("GET /+search?query={name}"),
        ] {
            let (method, target) = line.split_once(' ').unwrap();
            for door in [front.public_url(), front.manage_url()] {
                let request = Request::new(method, target).with(JSON.0, JSON.1);
                let answer = request.with(LOGIN.0, LOGIN.1).send(door).unwrap();
                let is_refused = matches!(answer.status, 301 | 403 | 404 | 405 | 451);
                assert!(
                    is_refused || line.contains("+search"),
                    "{line}: {}",
                    answer.status
                );
            }
        }
        let search = format!(
            "<?xml version='1.0'?><methodCall><methodName>search</methodName><params><param><value>\
             <struct><member><name>name</name><value><string>{name}</string></value></member></struct>\
             </value></param></params></methodCall>"
        );
        let xml = Request::new("POST", "/packages/stable/").with("Content-Type", "text/xml");
        let answer = xml
            .body(search.as_bytes())
            .send(front.manage_url())
            .unwrap();
        assert!(!answer.text().contains("<name>name"), "{}", answer.text());
    }
    let bad = |body: &str| {
        let push = Request::new("PUSH", "/packages/stable").with(LOGIN.0, LOGIN.1);
        push.body(body.as_bytes())
            .send(front.manage_url())
            .unwrap()
            .status
    };
    for body in [
        "",
        "{",
        "[]",
        "{\"name\": \"six\"}",
        "{\"name\": 7, \"version\": \"1\"}",
    ] {
        assert_eq!(bad(body), 400, "{body}");
    }
    let duplicate = r#"{"name": "six", "name": "banned", "version": "1", "targetindex": "a/b"}"#;
    assert_eq!(
        bad(duplicate),
        451,
        "as Python reads it, the last one counts"
    );
    let heard = server.journal().all("/").into_iter();
    // A search has whole lists fetched, which names nothing.
    let heard = heard.filter(|seen| seen.path != "/+status" && !seen.path.ends_with("/+simple/"));
    let heard: Vec<String> = heard
        .map(|seen| format!("{} {}", seen.method, seen.path))
        .collect();
    assert_eq!(heard, [""; 0], "and nothing that is not devpi's to know");
}

#[test]
fn a_page_that_strangers_may_not_read_is_not_passed_on_unread() {
    let server = listening();
    let withheld = Fault::new().status(403);
    server.misbehave("/packages/stable/", withheld);
    let front = Program::with_policies(&policies(server.at("/").as_str(), "hide")).start();
    for target in [
        "/packages/stable/+simple/hello-pkg/",
        "/packages/stable/+f/abc/0123456789abc/hello_pkg-2.0-py3-none-any.whl",
        "/packages/stable/hello-pkg/2.0",
    ] {
        let answer = get(front.manage_url(), target, &[LOGIN, JSON]);
        let is_refused = matches!(answer.status, 403 | 406);
        assert!(is_refused, "{target}: {}", answer.status);
    }
    let heard = server.journal().all("/packages/");
    let with_login: Vec<&str> = heard
        .iter()
        .filter(|seen| !seen.header("authorization").is_empty())
        .map(|seen| seen.path.as_str())
        .collect();
    assert_eq!(with_login, [""; 0], "{heard:?}");
}

#[track_caller]
fn no_list_leads_there(front: &Program) {
    let html = ("Accept", "text/html");
    for target in ["/", "/packages"] {
        let shut = get(front.public_url(), target, &[JSON]).text();
        let open = get(front.manage_url(), target, &[JSON]).text();
        let indexes = |text: &str| {
            let body: Value = serde_json::from_str(text).unwrap();
            let user = match target {
                "/" => body["result"]["packages"].clone(),
                _ => body["result"].clone(),
            };
            let names: Vec<String> = user["indexes"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect();
            names
        };
        assert_eq!(indexes(&shut), ["dev"], "{shut}");
        assert_eq!(indexes(&open), ["dev", "stable"], "{open}");
        let page = get(front.public_url(), target, &[html]).text();
        assert!(
            page.contains("packages/dev") && !page.contains("packages/stable"),
            "{page}"
        );
    }
}

#[test]
fn an_index_of_devpi_that_is_not_public_is_not_there_at_the_public_door() {
    let (primary, _devpi) = devpi_with_all();
    let yaml = format!(
        "devpi: {{ servers: [\"{}\"] }}\nindexes:\n  packages/stable: {{ type: devpi, public: false }}\n  \
         packages/dev: {{ type: devpi, policy: corporate }}\n{}",
        primary.url(),
        POLICIES.replace("ON_BLOCK", "hide")
    );
    let front = Program::with_policies(&yaml).start();
    let html = ("Accept", "text/html");
    let pip = ("User-Agent", "pip/26.3");
    for path in [
        "",
        "/",
        "/+api",
        "/+simple/",
        "/+simple/hello-pkg/",
        "/hello-pkg",
        "/hello-pkg/1.0",
        "/hello-pkg/1.0/+d/index.html",
        "/+f/abc/0123456789abc/hello_pkg-1.0-py3-none-any.whl",
    ] {
        for header in [JSON, html, pip] {
            let target = format!("/packages/stable{path}");
            let answer = get(front.public_url(), &target, &[header]);
            assert_eq!(answer.status, 404, "{target} {header:?}: {}", answer.text());
            let words = "The stage packages/stable could not be found.";
            assert!(answer.text().contains(words), "{}", answer.text());
        }
    }
    let upload = Request::new("POST", "/packages/stable/").body(b"{}");
    assert_eq!(upload.send(front.public_url()).unwrap().status, 405);
    assert_eq!(
        get(front.manage_url(), "/packages/stable", &[JSON]).status,
        200
    );
    no_list_leads_there(&front);
    // What inherits from it works, and its links stay on the inheriting index.
    let uv = Client::fresh(Tool::Uv);
    uv.install(&front.index_url("packages/dev"), &["hello-pkg"])
        .succeeds();
    let object = get(front.public_url(), "/packages/dev/hello-pkg", &[JSON]);
    for rel in ["releasefile", "toxresult", "doczip"] {
        for href in hrefs(&object.text(), rel) {
            let path = format!("/{}", href.trim_start_matches(front.public_url()));
            assert!(path.starts_with("/packages/dev/"), "{path}");
            assert_eq!(get(front.public_url(), &path, &[]).status, 200, "{path}");
        }
    }
}
