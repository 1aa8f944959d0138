//! The law in front of a devpi-server: `type: devpi` under random rules. What is listed is served
//! and linked, nothing else is, and no name that the rules refuse reaches the server, in whatever
//! form it is requested.

use std::collections::BTreeSet;

use bytes::Bytes;
use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::model::Sha256;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::super::support::{Asked, Canned, Content, FakeIndex, House, Larder, Setup, Wheel};
use super::policies::{HIDDEN, policy, restrictions};
use super::shown::{HTML, JSON, Shown, Through, links};
use super::{Holding, NOW, PROJECTS, asks_inside, bytes_of, holding};

const INDEX: &str = "corp/rules";

/// What the index inherits from; no configuration file declares it.
const BASE: &str = "corp/base";

/// Cases tried; each requests some hundred pages, objects and files from a server of its own.
const CASES: u32 = 48;

/// The clients that send the forms below.
const CLIENTS: [&[(&str, &str)]; 4] = [
    &[("accept", "application/json")],
    &[
        ("accept", "text/html,*/*;q=0.8"),
        ("user-agent", "Mozilla/5.0"),
    ],
    &[("accept", JSON)],
    &[("user-agent", "pip/26.3")],
];

/// What an operator wrote, and what devpi has of each project.
#[derive(Debug, Clone)]
struct Case {
    yaml: String,
    is_hidden: bool,
    is_ruled: bool,
    holdings: Vec<Option<Holding>>,
}

fn case() -> impl Strategy<Value = Case> {
    let undated = select(vec!["deny", "first_seen", "old", "old"]);
    let holdings = prop::collection::vec(holding(), PROJECTS.len());
    (undated, restrictions(), policy("p0"), policy("p1"), holdings).prop_map(
        |(undated, restricted_by, one, two, holdings)| Case {
            yaml: format!(
                "advisories: [osv]\nindexes:\n  {INDEX}: {{ type: devpi, undated: {undated}{restricted_by} }}\n\
                 policies:\n{one}{two}"
            )
            .replace("m/one", INDEX),
            is_hidden: restricted_by.contains(HIDDEN),
            is_ruled: !restricted_by.replace(HIDDEN, "").is_empty(),
            holdings,
        },
    )
}

/// A file as devpi has it: its owner, its path below that, and its content.
struct Held {
    project: &'static str,
    version: String,
    owner: &'static str,
    path: String,
    filename: String,
    bytes: Bytes,
    metadata: Option<Bytes>,
}

/// The files of a case; every other one belongs to the base.
fn held(case: &Case) -> Vec<Held> {
    let mut all = Vec::new();
    for (project, holding) in PROJECTS.iter().zip(&case.holdings) {
        let known = holding.iter().flat_map(|holding| &holding.files);
        for (position, known) in known.enumerate() {
            let owner = if position % 2 == 0 { INDEX } else { BASE };
            let filename = format!("{}{}", project.replace('-', "_"), known.ending);
            let version = known.ending.trim_start_matches('-');
            let version = version
                .trim_end_matches(".tar.gz")
                .split('-')
                .next()
                .unwrap();
            // A sidecar may be read out of the wheel, so the wheels are real.
            let wheel = filename
                .ends_with(".whl")
                .then(|| Wheel::new(project, version));
            let bytes = wheel.as_ref().map(|wheel| wheel.build().into());
            let bytes: Bytes = bytes.unwrap_or_else(|| bytes_of(owner, &filename));
            let hex = Sha256::of(&bytes).to_hex();
            all.push(Held {
                project,
                version: version.to_owned(),
                owner,
                path: format!("+f/{}/{}/{filename}", &hex[..3], &hex[3..16]),
                metadata: wheel.map(|wheel| wheel.metadata().into()),
                bytes,
                filename,
            });
        }
    }
    all
}

fn canned(content_type: &str, content: impl Into<Bytes>) -> Canned {
    Canned {
        content_type: content_type.to_owned(),
        headers: vec![("x-devpi-serial".to_owned(), "7".to_owned())],
        content: Content::Bytes(content.into()),
    }
}

fn object(kind: &str, result: &Value) -> Canned {
    let body = json!({"type": kind, "result": result});
    canned("application/json", body.to_string())
}

fn page_of(project: &str, files: &[&Held]) -> Canned {
    let files = files.iter().map(|file| {
        let mut listed = json!({
            "filename": file.filename,
            "url": format!("../../../../{}/{}", file.owner, file.path),
            "hashes": {"sha256": Sha256::of(&file.bytes).to_hex()},
        });
        if let Some(metadata) = &file.metadata {
            listed["core-metadata"] = json!({"sha256": Sha256::of(metadata).to_hex()});
        }
        listed
    });
    let files: Vec<Value> = files.collect();
    let page = json!({"meta": {"api-version": "1.1"}, "name": project, "files": files});
    canned(JSON, page.to_string())
}

/// devpi's object of a release, with the links as devpi writes them.
fn release(project: &str, version: &str, files: &[&Held]) -> Value {
    let links = files.iter().map(|file| {
        json!({
            "rel": "releasefile",
            "href": format!("http://{}/{}/{}", super::shown::HOST, file.owner, file.path),
            "log": [],
        })
    });
    let links: Vec<Value> = links.collect();
    json!({"name": project, "version": version, "summary": "devpi's own", "+links": links})
}

/// A server that has all of it, and answers every form of request.
fn server(case: &Case, held: &[Held]) -> FakeIndex {
    let status = json!({"role": "MASTER", "serial": 7});
    let mut setup = Setup::default()
        .canned("/+status", object("status", &status))
        .canned("/+authcheck", canned("text/plain", ""))
        .canned(
            &format!("/{INDEX}"),
            object(
                "indexconfig",
                &json!({"type": "stage", "projects": PROJECTS}),
            ),
        );
    for (project, holding) in PROJECTS.iter().zip(&case.holdings) {
        if holding.is_none() {
            continue;
        }
        let files: Vec<&Held> = held
            .iter()
            .filter(|file| file.project == *project)
            .collect();
        setup = setup.canned(
            &format!("/{INDEX}/+simple/{project}/"),
            page_of(project, &files),
        );
        let versions: BTreeSet<&str> = files.iter().map(|file| file.version.as_str()).collect();
        let mut of_project = serde_json::Map::new();
        for version in versions {
            let files: Vec<&Held> = files
                .iter()
                .copied()
                .filter(|file| file.version == version)
                .collect();
            let data = release(project, version, &files);
            let path = format!("/{INDEX}/{project}/{version}");
            setup = setup.canned(&path, object("versiondata", &data));
            of_project.insert(version.to_owned(), data);
        }
        let of_project = object("projectconfig", &of_project.into());
        setup = setup.canned(&format!("/{INDEX}/{project}"), of_project);
    }
    for file in held {
        let path = format!("/{}/{}", file.owner, file.path);
        if let Some(metadata) = &file.metadata {
            let metadata = canned("text/plain", metadata.clone());
            setup = setup.canned(&format!("{path}.metadata"), metadata);
        }
        setup = setup.canned(&path, canned("application/zip", file.bytes.clone()));
    }
    setup.start()
}

/// Every form in which a project can be requested.
fn forms(project: &str, held: &[Held]) -> Vec<String> {
    let upper = project.to_uppercase();
    let encoded: String = project.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let dotted = project.replace('-', "_");
    let mut forms = Vec::new();
    for name in [project, &upper, &encoded, &dotted] {
        for form in [
            "NAME",
            "NAME/",
            "NAME?ignore_bases=",
            "NAME/1.0",
            "NAME/1.0/",
            "NAME/1%2E0",
            "NAME/1.0/+d/index.html",
            "NAME/1.0/+doc/index.html",
            "NAME/1.0/+toxresults",
            "NAME/latest/+d/",
            "NAME/stable/+doc/x",
            "NAME/1.0/+strange",
            "NAME/+strange",
            "+simple/NAME",
            "+simple/NAME/",
            "%2Bsimple/NAME/",
            "+simple/NAME/refresh",
            "/NAME",
            "/NAME/1.0",
            "NAME//1.0",
            "+f/abc/0123456789abc/NAME-1.0.tar.gz",
            "+f/abc/0123456789abc/NAME-1.0.tar.gz.toxresult-20260102030405-0",
            "+f/abc/0123456789abc/NAME-1.0.doc.zip",
            "+e/https_h/NAME-1.0.tar.gz",
        ] {
            forms.push(format!("/{INDEX}/{}", form.replace("NAME", name)));
        }
    }
    forms.push(format!("//{INDEX}/{project}"));
    forms.push(format!("/{}/{project}", INDEX.replace('/', "//")));
    forms.push(format!("/+search?query={project}"));
    for file in held.iter().filter(|file| file.project == project) {
        forms.push(format!("/{INDEX}/{}", file.path));
        forms.push(format!("/{INDEX}/{}.metadata", file.path));
        forms.push(format!("/{INDEX}/{}", file.path.replace('+', "%2B")));
    }
    forms
}

/// Sends every form; none of it may reach the server.
async fn is_never_heard(
    house: &House,
    server: &FakeIndex,
    project: &str,
    held: &[Held],
    yaml: &str,
) {
    let stem = project.split('-').next().unwrap();
    let heard = || {
        let all = server.journal().all("/").into_iter();
        let all = all.filter(|seen| seen.path.to_lowercase().contains(stem));
        all.map(|seen| seen.path).collect::<Vec<_>>()
    };
    let before = heard();
    for target in forms(project, held) {
        for headers in CLIENTS {
            for method in ["GET", "HEAD"] {
                let got = house.ask(&Asked::public(method, &target, headers)).await;
                let is_search = target.contains("+search");
                let is_refused = matches!(got.status, 301 | 302 | 403 | 404 | 406 | 451);
                assert!(
                    is_refused || is_search,
                    "{} for {target}\n{yaml}",
                    got.status
                );
                assert!(!got.text().contains("devpi's own"), "{target}\n{yaml}");
            }
        }
    }
    assert_eq!(heard(), before, "{project} was asked for\n{yaml}");
}

/// Checks that exactly the files listed as allowed are served, and returns their paths.
async fn files_served<'a>(
    door: Through<'_>,
    shown: &Shown,
    held: impl Iterator<Item = &'a Held>,
    yaml: &str,
) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for file in held {
        let url = format!("/{INDEX}/{}", file.path);
        let is_allowed = shown.get(&file.path).is_some_and(Option::is_none);
        let expected = if is_allowed { 200 } else { 403 };
        let got = door.get(&url, &[]).await;
        assert_eq!(got.status, expected, "{url}: {}\n{yaml}", got.text());
        if is_allowed {
            assert_eq!(got.body, file.bytes);
            allowed.insert(file.path.clone());
        }
        let Some(metadata) = &file.metadata else {
            continue;
        };
        let sidecar = door.get(&format!("{url}.metadata"), &[]).await;
        assert_eq!(sidecar.status, expected, "{url}.metadata\n{yaml}");
        assert!(
            !is_allowed || sidecar.body == *metadata,
            "{url}.metadata\n{yaml}"
        );
    }
    allowed
}

async fn hold_to_the_law(house: &House, server: &FakeIndex, case: &Case, held: &[Held]) {
    let yaml = &case.yaml;
    let door = Through {
        house,
        is_manage: case.is_hidden,
    };
    let names = [("accept", "application/json")];
    let of_index = door.get(&format!("/{INDEX}"), &names).await;
    for name in PROJECTS {
        if case.is_hidden {
            is_never_heard(house, server, name, held, yaml).await;
        }
        if asks_inside(yaml) {
            for file in held.iter().filter(|file| file.project == name) {
                door.get(&format!("/{INDEX}/{}", file.path), &[]).await;
            }
        }
        let (json, shown) = door.page(INDEX, name, JSON).await;
        let (html, shown_as_html) = door.page(INDEX, name, HTML).await;
        assert_eq!(
            (json.status, &shown),
            (html.status, &shown_as_html),
            "{name}\n{yaml}"
        );
        assert!(
            matches!(json.status, 200 | 404 | 451),
            "{}: {}",
            json.status,
            json.text()
        );
        let is_named = of_index.text().contains(&format!("\"{name}\""));
        assert_eq!(
            is_named,
            json.status != 451,
            "{name} in {}\n{yaml}",
            of_index.text()
        );
        if json.status == 451 {
            is_never_heard(house, server, name, held, yaml).await;
        }
        let of_project = held.iter().filter(|file| file.project == name);
        let allowed = files_served(door, &shown, of_project, yaml).await;
        let (object, versions) = door.object(INDEX, name).await;
        assert_eq!(
            object.status,
            json.status,
            "{name}: {}\n{yaml}",
            object.text()
        );
        let linked = links(&versions);
        let paths: BTreeSet<String> = linked.iter().map(|(_, path)| path.clone()).collect();
        assert_eq!(paths, allowed, "links of {name}\n{yaml}\n{versions:#}");
        for (index, path) in linked {
            let got = door.get(&format!("/{index}/{path}"), &[]).await;
            assert_eq!(got.status, 200, "/{index}/{path}, which is linked\n{yaml}");
            let is_of_asked = !case.is_ruled || index == INDEX;
            assert!(is_of_asked, "{path} leads around the rules\n{yaml}");
        }
    }
}

#[test]
fn before_devpi_what_is_listed_is_served_and_linked_and_what_is_refused_is_never_asked() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let clock = Clock::fixed(NOW.parse().unwrap());
    let config = ProptestConfig {
        cases: CASES,
        max_shrink_iters: 50,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let checked = TestRunner::new(config).run(&case(), |case| {
        runtime.block_on(async {
            let held = held(&case);
            let server = server(&case, &held);
            let larder = Larder::empty(&clock).await;
            let house = House::before_devpi(&larder, &case.yaml, &clock, &server.at("/"));
            hold_to_the_law(&house, &server, &case, &held).await;
        });
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}
