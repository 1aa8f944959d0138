//! Every kind of page in a real browser, from 320 pixels to a 4K screen, in light, dark and print: nothing
//! reaches out of the window, no word is broken, nothing is blocked by the pages' own policy, and axe-core
//! finds no barrier. Pictures are left in `target/pictures`.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::support::{
    Client, Door, FakeIndex, Form, Listed, Program, Project, Setup, Tool, Web, Wheel, look_at,
};

/// With an upstream and a feed that do not answer.
const POLICIES: &str = r#"
default_index: packages/stable
advisories: [{ url: "http://127.0.0.1:9/PyPI/all.zip" }]
limits: { upstream_retry_time: 0s }
indexes:
  root/pypi: { type: mirror, title: The public index }
  root/gone: { type: mirror, mirror_url: "http://127.0.0.1:9/simple/" }
  packages/stable:
    title: What production runs
    bases: [root/pypi]
    volatile: true
    acl_upload: [':ANONYMOUS:']
    owns: ["acme-*"]
    policy: corporate
policies:
  corporate:
    rules:
      - allow: { project: "acme-*" }
      - deny: { project: banned, reason: "it steals keys" }
      - deny: { project: released, versions: "<1.5", reason: "no longer maintained, see the wiki" }
      - deny: { younger_than: 7d, reason: "cool-down" }
"#;

/// Most kinds of markup, some of it hostile.
const DESCRIPTION: &str = r#"# Described

[![ci](https://ci.example/badge.svg)](https://ci.example) ![logo](data:image/png;base64,AAAA)

<p align="center"><b>Raw</b> HTML &amp; <script>alert(1)</script> <a href="javascript:alert(1)">no link</a></p>

### A table

| Name | A column with a long heading | Another column | Yet another column | And one more of them |
|------|:----------------------------:|---------------:|--------------------|----------------------|
| one  | `code that is rather long_and_without_a_place_to_break_it` | 1 | https://docs.example/a/very/long/path/without/end.html | x |

1. First
   - nested
     - deeper
2. Second

```python
import described

described.run("a line of code that is far too long for any telephone, however it is held, and goes on")
```

> Quoted words.

<details><summary>More</summary>hidden at first</details>

<div dir="rtl">שלום עולם, this runs the other way</div>

Term without an end: antidisestablishmentarianism. <img src="https://counter.example/x.png"><iframe src="https://a.example"></iframe>
"#;

/// Two hundred releases, of which some are refused, some yanked and one is cooling down.
fn released() -> Project {
    let now = jiff_now();
    (0..200).fold(Project::new("released"), |project, number| {
        let version = format!("1.{number}");
        let wheel = Wheel::new("released", &version)
            .requires("described>=1.0")
            .requires_python(">=3.9")
            .description(DESCRIPTION);
        let file = Listed::wheel(&wheel, &version);
        let file = match number {
            199 => file.uploaded(&now),
            150..160 => file.yanked("a bug that loses data: use the one after it"),
            _ => file,
        };
        project.file(file)
    })
}

/// This instant: a cool-down begins with it.
fn jiff_now() -> String {
    cheesecloth::testing::clock::Clock::system()
        .now()
        .to_string()
}

fn index() -> FakeIndex {
    let metadata = format!(
        "Metadata-Version: 2.1\nName: described\nVersion: 1.0\n\
         Description-Content-Type: text/markdown; variant=GFM\n\n{DESCRIPTION}"
    );
    let described = Listed::wheel(&Wheel::new("described", "1.0"), "1.0").sidecar(&metadata);
    Setup::default()
        .project(released())
        .project(Project::new("described").file(described))
        .project(Project::new("banned").wheel("1.0"))
        .start()
}

/// A private release with everything that an upload can state, and the results of two test runs.
async fn upload(program: &Program) {
    let door = Door::at(program.manage_url());
    let wheel = Wheel::new("acme-tool", "1.0");
    let fields = [
        (":action", "file_upload"),
        ("name", "acme-tool"),
        ("version", "1.0"),
        (
            "summary",
            "A tool of the house, in one sentence that says what it is for",
        ),
        (
            "description",
            "Acme\n====\n\n.. note:: as it is written, see https://acme.example/docs.\n",
        ),
        ("license_expression", "MIT"),
        ("author_email", "Acme <tools@acme.example>"),
        ("classifiers", "Programming Language :: Python :: 3"),
        (
            "classifiers",
            "Topic :: Software Development :: Libraries :: Python Modules",
        ),
        ("requires_dist", "described>=1.0; python_version >= \"3.9\""),
        ("requires_dist", "released[fast,slow]<2"),
        ("project_urls", "Source, https://src.example/acme-tool"),
    ];
    let file = (&*wheel.filename(), &*wheel.build());
    let uploaded = door.form("packages/stable", &fields, Some(file)).await;
    assert_eq!(uploaded.status, 200, "{}", uploaded.text());
    let page = Web::new()
        .page(&format!(
            "{}acme-tool/",
            program.index_url("packages/stable")
        ))
        .await;
    let url = page.url_of(&wheel.filename());
    let path = url::Url::parse(&url).unwrap().path().to_owned();
    for retcode in [0, 1] {
        let run = json!({"platform": "linux", "testenvs": {
            "py312": {"setup": [{"retcode": 0}], "test": [{"retcode": 0}]},
            "py313": {"setup": [{"retcode": 0}], "test": [{"retcode": retcode}]},
        }});
        let kept = door.ask("POST", &path, run).await;
        assert_eq!(kept.status, 200, "{}", kept.text());
    }
    let second = door.upload("packages/stable", "acme-other", "2.0").await;
    assert_eq!(second.status, 200, "{}", second.text());
    let (docs, url) = (
        documentation(),
        format!("{}packages/stable/", program.manage_url()),
    );
    let form = Form::empty()
        .field(":action", "doc_upload")
        .field("name", "acme-tool")
        .field("version", "1.0")
        .file("content", "acme-tool-1.0.doc.zip", &docs);
    let headers = [("content-type", &*Form::content_type())];
    let kept = Web::new()
        .send(http::Method::POST, &url, &headers, form.body())
        .await;
    assert_eq!(kept.status, 200, "{}", kept.text());
}

/// Documentation as Sphinx makes it: a style sheet and a script beside the page, one within it; and what a
/// stranger's page might try, which says on the page how far it came.
const DOCUMENTATION: &str = r#"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>acme-tool</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="_static/basic.css"><script src="_static/doctools.js"></script>
<script src="https://counter.example/count.js"></script></head>
<body><nav aria-label="contents"><a href="api/index.html">The interface</a></nav>
<main><h1>acme-tool</h1><p>How to use the tool of the house.</p><p id="own"></p><p id="tried"></p></main>
<script>
const tried = [];
const tryOut = (what, does) => { try { does(); tried.push(what); } catch (error) {} };
tryOut('cookie', () => document.cookie);
tryOut('storage', () => localStorage.setItem('a', 'b'));
document.getElementById('own').textContent = 'scripts of its own: ' + typeof highlight;
fetch('/+status').then(() => tried.push('fetch'), () => 0).then(() => {
    document.getElementById('tried').textContent = 'got through: ' + tried.join(' ');
});
</script></body></html>
"#;

fn documentation() -> Vec<u8> {
    let files = [
        ("index.html", DOCUMENTATION),
        (
            "api/index.html",
            "<!DOCTYPE html><title>api</title><p>run()",
        ),
        (
            "_static/basic.css",
            "body { max-width: 40rem; margin: 1rem auto; padding: 0 1rem; font-family: serif; }",
        ),
        ("_static/doctools.js", "function highlight() {}"),
    ];
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(name, options).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Asks for what is refused, and for what nobody answers, until the first page tells of both.
async fn troubled(program: &Program) {
    let (web, home) = (Web::new(), program.public_url());
    for path in ["packages/stable/+simple/banned/", "root/gone/+simple/six/"] {
        let pip = [("user-agent", "pip/26.3")];
        let got = web.get_with(&format!("{home}{path}"), &pip).await;
        assert!(got.status >= 400, "{path}: {}", got.text());
    }
    let browser = [("accept", "text/html"), ("user-agent", "Mozilla/5.0")];
    super::support::soon(async {
        loop {
            let page = web.get_with(home, &browser).await.text();
            let is_told = [
                "/packages/stable/banned\">",
                "does not answer",
                "lists 3 projects",
            ];
            if is_told.iter().all(|words| page.contains(words)) {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Asks for a page until it has what the release says about itself, which comes behind the first answer.
async fn described(program: &Program, path: &str) -> String {
    let url = format!("{}{path}", program.public_url());
    let accept = [("accept", "text/html"), ("user-agent", "Mozilla/5.0")];
    super::support::soon(async {
        loop {
            let page = Web::new().get_with(&url, &accept).await;
            assert_eq!(page.status, 200, "{}", page.text());
            if page.text().contains("class=\"prose\"") {
                return page.text();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Searches until something is found.
async fn found_soon(program: &Program, name: &str) {
    let url = format!("{}+search?query={name}", program.public_url());
    let accept = [("accept", "text/html"), ("user-agent", "Mozilla/5.0")];
    super::support::soon(async {
        while !Web::new()
            .get_with(&url, &accept)
            .await
            .text()
            .contains("class=\"found\"")
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn pages_are_readable_on_every_screen_and_without_barriers() {
    let index = index();
    let program = Program::with_policies(POLICIES)
        .mirroring(index.url().as_str())
        .start();
    upload(&program).await;
    for path in [
        "root/pypi/described",
        "packages/stable/released",
        "packages/stable/released/1.198",
    ] {
        described(&program, path).await;
    }
    found_soon(&program, "acme-tool").await;
    troubled(&program).await;
    let page =
        |name: &str, path: &str, status: u16| json!({"name": name, "path": path, "status": status});
    let pages = [
        page("home", "/", 200),
        page("user", "/packages", 200),
        page("stage", "/packages/stable", 200),
        page("mirror", "/root/pypi", 200),
        page("project", "/packages/stable/released", 200),
        page("release", "/packages/stable/released/1.198", 200),
        page("refused-release", "/packages/stable/released/1.2", 200),
        page("description", "/root/pypi/described", 200),
        page("uploaded", "/packages/stable/acme-tool/1.0", 200),
        page("search", "/+search?query=acme", 200),
        page("empty-search", "/+search", 200),
        page("many-found", "/+search?query=released", 200),
        page(
            "nothing-found",
            "/+search?query=nothing+of+this+kind&page=2",
            200,
        ),
        page("refused", "/packages/stable/banned", 451),
        page("absent", "/packages/stable/nothing-of-this-name", 404),
        json!({"name": "not-logged-in", "path": "/+authcheck", "status": 401,
            "url": program.manage_url().trim_end_matches('/'),
            "headers": {"Authorization": "Basic bm9ib2R5Om5vdGhpbmc="}}),
        // Its policy stops what it tries, and the browser says so.
        json!({"name": "documentation", "path": "/packages/stable/acme-tool/1.0/+d/", "status": 200,
            "is_foreign": true,
            "stopped": ["counter.example", "/+status"],
            "noise": ["net::ERR_"],
            "holds": "getComputedStyle(document.body).fontFamily === 'serif' \
                && document.getElementById('own').textContent === 'scripts of its own: function' \
                && document.getElementById('tried').textContent.trim() === 'got through:'"}),
    ];
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../pictures");
    fs::create_dir_all(&pictures).unwrap();
    let told = look_at(program.public_url(), &pages, &pictures);
    let wrong: Vec<&Value> = told
        .iter()
        .filter(|one| one["wrong"] != json!({}))
        .collect();
    assert!(
        wrong.is_empty(),
        "{}",
        serde_json::to_string_pretty(&wrong).unwrap()
    );
    assert_eq!(told.len(), pages.len());
}

/// The command that stands on a page after the heading "Install", by its program.
fn command(page: &str, program: &str) -> Vec<String> {
    let install = page
        .split("<h2>Install</h2>")
        .nth(1)
        .expect("how to install it");
    let mut lines = install
        .split("<pre>")
        .filter_map(|part| part.split("</pre>").next());
    let line = lines
        .find(|line| line.starts_with(program))
        .expect("a line for it");
    let words = line.split(' ').skip(1);
    words
        .map(|word| word.trim_matches('\'').to_owned())
        .collect()
}

#[tokio::test]
async fn the_lines_on_a_page_install_from_this_index() {
    let index = index();
    let program = Program::with_policies(POLICIES)
        .mirroring(index.url().as_str())
        .start();
    let page = described(&program, "packages/stable/released/1.198").await;
    tokio::task::spawn_blocking(move || {
        let pip = Client::fresh(Tool::Pip);
        let line = command(&page, "pip");
        let line: Vec<&str> = line
            .iter()
            .map(String::as_str)
            .chain(["--target", "out"])
            .collect();
        pip.run(&line).succeeds();
        assert!(pip.folder().join("out/released-1.198.dist-info").is_dir());
        let uv = Client::fresh(Tool::Uv);
        uv.write(
            "pyproject.toml",
            "[project]\nname = \"app\"\nversion = \"1\"\nrequires-python = \">=3.9\"\n",
        );
        let line = command(&page, "uv");
        uv.run(&line.iter().map(String::as_str).collect::<Vec<_>>())
            .succeeds();
        let lock = uv.read("uv.lock");
        assert!(lock.contains("name = \"described\"\n"), "{lock}");
        let asked = format!("{}packages/stable/+simple", program.public_url());
        assert!(lock.contains(&asked), "{lock}");
    })
    .await
    .unwrap();
}

/// From the index that this machine's pip uses: a description in each markup, and very many releases.
#[tokio::test]
async fn real_projects_have_small_pages_with_their_descriptions() {
    let program = Program::without_policies().start();
    for project in ["six", "requests", "boto3", "docutils", "numpy"] {
        let page = described(&program, &format!("root/pypi/{project}")).await;
        let (before, rest) = page.split_once("<div class=\"prose\"").unwrap();
        let (description, after) = rest.split_once("<h2>Files of ").unwrap();
        assert!(description.len() > 300, "{project}: {description}");
        assert!(!page.contains("<script"), "{project}");
        let length = before.len() + after.len();
        assert!(
            length < 60_000,
            "{project}: {length} bytes beside its description"
        );
        assert!(
            before.contains(&format!("Today an installer takes {project} ")),
            "{before}"
        );
    }
}
