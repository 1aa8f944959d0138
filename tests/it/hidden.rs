//! `public: false`: at public doors the index does not exist, in whatever form it is requested; it
//! can still be a base like any other.

mod lists;

use std::io::Read;

use bytes::Bytes;
use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::db::{FileFacts, FileRole};
use cheesecloth::testing::model::{
    CoreMetadata, File, Filename, Hashes, IndexName, ProjectName, Sha256, Yanked,
};
use cheesecloth::testing::page::ProjectPage;
use cheesecloth::testing::store::Key;

use super::support::{
    Asked, Client, FakeIndex, Form, Got, House, Larder, Program, Project, Setup, Tool, ask,
};

const NOW: &str = "2026-01-05T00:00:00Z";

/// A stage and a mirror that are hidden, and what inherits from both.
const POLICIES: &str = "
default_index: m/hidden
indexes:
  s/top: { bases: [s/hidden, m/hidden] }
  s/hidden: { public: false, title: nobody sees this, policy: p }
  m/hidden: { type: mirror, mirror_url: 'https://upstream.example/simple/', public: false }
  lone/hidden: { public: false, owns: ['house-*'] }
policies:
  p: { on_block: yank, rules: [ deny: { project: six, versions: '>=2' } ] }
";

/// Names of the same length that nobody has created.
const ABSENT: [(&str, &str); 3] = [
    ("s/hidden", "s/absent"),
    ("m/hidden", "m/absent"),
    ("lone/hidden", "lone/absent"),
];

fn index(name: &str) -> IndexName {
    IndexName::parse(name).unwrap()
}

fn project(name: &str) -> ProjectName {
    ProjectName::parse(name).unwrap()
}

/// The content of a file with this name on an index.
fn bytes_of(at: &str, filename: &str) -> Bytes {
    format!("{filename} of {at}").into()
}

fn file(at: &str, name: &str, filename: &str) -> File {
    let bytes = bytes_of(at, filename);
    let mut file = File::named(Filename::parse(filename, &project(name)).unwrap());
    file.hashes = Hashes::sha256_only(Sha256::of(&bytes));
    file.size = Some(bytes.len() as u64);
    file.url = Some(format!("https://files.example/{filename}").into());
    if filename.ends_with(".whl") {
        let metadata = bytes_of(at, &format!("{filename}.metadata"));
        file.core_metadata = CoreMetadata::Hashed(Hashes::sha256_only(Sha256::of(&metadata)));
    }
    file
}

fn facts(at: &str, filename: &str, role: FileRole) -> FileFacts {
    let bytes = bytes_of(at, filename);
    let metadata = bytes_of(at, &format!("{filename}.metadata"));
    FileFacts {
        filename: filename.to_owned(),
        role,
        sha256: Sha256::of(&bytes),
        size: bytes.len() as u64,
        md5: None,
        blake2b_256: None,
        uploaded_at: NOW.parse().unwrap(),
        uploader: None,
        requires_python: None,
        metadata_sha256: filename.ends_with(".whl").then(|| Sha256::of(&metadata)),
        yanked: Yanked::No,
        log: Vec::new(),
    }
}

const WHEEL: &str = "six-1.0-py3-none-any.whl";
const SDIST: &str = "six-1.0.tar.gz";
const DENIED: &str = "six-2.0.tar.gz";
const RESULT: &str = "six-1.0.tar.gz.toxresult-20260102030405-0";
const DENIED_RESULT: &str = "six-2.0.tar.gz.toxresult-20260102030405-0";
const DOCS: &str = "six-1.0.doc.zip";

/// A house with content on both hidden indexes, and the bytes of their files.
async fn house(policies: &str) -> House {
    let clock = Clock::fixed(NOW.parse().unwrap());
    let larder = Larder::empty(&clock).await;
    for filename in [WHEEL, SDIST, DENIED, RESULT, DENIED_RESULT, DOCS] {
        let (bytes, sidecar) = (
            bytes_of("s/hidden", filename),
            bytes_of("s/hidden", &format!("{filename}.metadata")),
        );
        larder.keep(&Key::PrivateFile(Sha256::of(&bytes)), &bytes);
        larder.keep(&Key::PrivateMetadata(Sha256::of(&bytes)), &sidecar);
    }
    let seven = "seven-1.0.tar.gz";
    let bytes = bytes_of("m/hidden", seven);
    larder.keep(&Key::MirrorFile(Sha256::of(&bytes)), &bytes);
    let list = Key::ProjectList {
        index: index("m/hidden"),
    };
    larder.keep(&list, b"seven\nsix\n");
    let house = House::offline(&larder, policies, &clock);
    let about = |file: &str| FileRole::ToxResult {
        for_file: file.to_owned(),
    };
    let files = vec![
        facts("s/hidden", WHEEL, FileRole::ReleaseFile),
        facts("s/hidden", SDIST, FileRole::ReleaseFile),
        facts("s/hidden", DENIED, FileRole::ReleaseFile),
        facts("s/hidden", RESULT, about(SDIST)),
        facts("s/hidden", DENIED_RESULT, about(DENIED)),
        facts("s/hidden", DOCS, FileRole::DocZip),
    ];
    house
        .publish(&index("s/hidden"), &project("six"), files)
        .await;
    let mut page = ProjectPage::empty(project("seven"));
    page.files = vec![file("m/hidden", "seven", seven)];
    house.keep_page(&index("m/hidden"), &page);
    house.keep_page(&index("m/hidden"), &ProjectPage::empty(project("six")));
    house
}

/// The path of a file below its index; attachments have one too.
fn place(at: &str, filename: &str) -> String {
    let hex = Sha256::of(&bytes_of(at, filename)).to_hex();
    format!("+f/{}/{}/{filename}", &hex[..3], &hex[3..16])
}

/// Every path below an index that could reveal whether it exists.
fn paths() -> Vec<String> {
    let mut paths: Vec<String> = [
        "",
        "/",
        "?no_projects=",
        "/+api",
        "/+simple",
        "/+simple/",
        "/%2Bsimple/",
        "/+simple/six",
        "/+simple/six/",
        "/+simple/Six/",
        "/+simple/seven/",
        "/+simple/nothing/",
        "/six",
        "/six/",
        "/Six",
        "/six?ignore_bases=",
        "/six/1.0",
        "/six/2.0",
        "/six/9",
        "/seven",
        "/seven/1.0",
        "/nothing",
        "/nothing/1",
        "/+e/https_files.example/six-1.0.tar.gz",
        "/+f/x/y/six.zip",
        "/+f/abc/0123456789abc/nothing-1.0.tar.gz",
        "/six/1.0/+d/index.html",
        "/+uploads.atom",
        "/+stranger",
    ]
    .map(str::to_owned)
    .into();
    for filename in [WHEEL, SDIST, DENIED, RESULT, DOCS, "six-0.tar.gz"] {
        let place = place("s/hidden", filename);
        paths.push(format!("/{place}"));
        paths.push(format!("/{place}.metadata"));
        paths.push(format!("/{}", place.replace('+', "%2B")));
    }
    paths.push(format!("/{}", place("m/hidden", "seven-1.0.tar.gz")));
    paths
}

const PIP: (&str, &str) = ("user-agent", "pip/26.3");

/// Every kind of client, including the odd ones.
fn clients(etag: &str) -> Vec<Vec<(&str, &str)>> {
    vec![
        vec![PIP],
        vec![PIP, ("if-none-match", etag), ("range", "bytes=0-3")],
        vec![("accept", "application/vnd.pypi.simple.v1+json")],
        vec![("accept", "application/vnd.pypi.simple.v2+json")],
        vec![("accept", "application/json")],
        vec![
            ("accept", "text/html,*/*;q=0.8"),
            ("user-agent", "Mozilla/5.0"),
        ],
        vec![("accept-encoding", "gzip")],
    ]
}

fn told(got: &Got) -> String {
    let is_packed = got.header("content-encoding") == "gzip";
    let mut headers: Vec<String> = got
        .headers
        .iter()
        // Two gateways have two.
        .filter(|(name, _)| !name.as_str().ends_with("uuid"))
        // Two names, one as long as the other, need not be as long when they are packed.
        .filter(|(name, _)| !is_packed || *name != "content-length")
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    let mut text = got.text();
    if is_packed && !got.body.is_empty() {
        text.clear();
        let mut packed = flate2::read::GzDecoder::new(&got.body[..]);
        packed.read_to_string(&mut text).unwrap();
    }
    format!("{}\n{}\n\n{text}", got.status, headers.join("\n"))
}

#[tokio::test]
async fn an_index_that_is_not_public_answers_as_if_there_were_none() {
    let house = house(POLICIES).await;
    let page = Asked::public("GET", "/s/hidden/+simple/six/", &[PIP]);
    let page = house.ask(&page.at_management()).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let etag = page.headers["etag"].to_str().unwrap().to_owned();
    let mut compared = 0;
    for (hidden, absent) in ABSENT {
        for path in paths() {
            for headers in clients(&etag) {
                for method in ["GET", "HEAD"] {
                    let (here, there) = (format!("/{hidden}{path}"), format!("/{absent}{path}"));
                    let asked = Asked::public(method, &here, &headers);
                    // Asked first, so that a cached answer of the management door would be noticed.
                    let open = house.ask(&asked.at_management()).await;
                    let shut = told(&house.ask(&asked).await);
                    let none = told(&house.ask(&Asked::public(method, &there, &headers)).await);
                    let none = none.replace(absent, hidden);
                    assert_eq!(shut, none, "{method} {here} {headers:?}");
                    compared += usize::from(open.status != 404);
                }
            }
        }
    }
    assert!(
        compared > 200,
        "only {compared} of them are there at the management door"
    );
}

#[tokio::test]
async fn the_short_address_of_a_hidden_index_leads_nowhere() {
    let shut = house(POLICIES).await;
    let none = house(&POLICIES.replace("default_index: m/hidden", "")).await;
    for path in ["/simple", "/simple/", "/simple/seven/", "/simple/seven"] {
        for headers in clients("\"x\"") {
            let asked = Asked::public("GET", path, &headers);
            let (here, there) = (shut.ask(&asked).await, none.ask(&asked).await);
            assert_eq!(told(&here), told(&there), "{path} {headers:?}");
        }
    }
    let asked = Asked::public("GET", "/simple/seven/", &[PIP]);
    assert_eq!(shut.ask(&asked.at_management()).await.status, 200);
}

#[tokio::test]
async fn what_inherits_from_it_works_by_every_link_that_is_handed_out() {
    let house = house(POLICIES).await;
    let simple = [("accept", "application/vnd.pypi.simple.v1+json")];
    for (name, files) in [
        ("six", vec![WHEEL, SDIST]),
        ("seven", vec!["seven-1.0.tar.gz"]),
    ] {
        let page = house.get(&format!("/s/top/+simple/{name}/"), &simple).await;
        let page: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
        for listed in page["files"].as_array().unwrap() {
            let path = listed["url"].as_str().unwrap().trim_start_matches("../");
            let got = house.get(&format!("/s/top/{path}"), &[PIP]).await;
            let is_allowed = listed["yanked"] == false;
            assert_eq!(got.status, if is_allowed { 200 } else { 403 }, "{path}");
        }
        let json = [
            ("accept", "application/json"),
            ("host", "devpi.example:4040"),
        ];
        for target in [format!("/s/top/{name}"), format!("/s/top/{name}/1.0")] {
            let got = house.get(&target, &json).await;
            assert_eq!(got.status, 200, "{target}");
            let links = links(&got);
            let names: Vec<&str> = links
                .iter()
                .filter_map(|link| link.rsplit('/').next())
                .collect();
            assert_eq!(
                names, files,
                "{target}: neither refused ones nor attachments"
            );
            for link in &links {
                let path = link.strip_prefix("http://devpi.example:4040").unwrap();
                assert!(path.starts_with("/s/top/"), "{path}");
                assert_eq!(house.get(path, &[PIP]).await.status, 200, "{path}");
            }
            // At the management door, where its own page is shown, the links lead to it.
            let open = Asked::public("GET", &target, &json).at_management();
            let open = links_to_owner(&house.ask(&open).await);
            assert!(open, "{target}");
        }
    }
    let list = house.get("/s/top/+simple/", &simple).await;
    assert!(list.text().contains("seven"), "{}", list.text());
    let html = [("accept", "text/html"), ("user-agent", "Mozilla/5.0")];
    let page = house.get("/s/top", &html).await.text();
    assert!(page.contains("not public"), "{page}");
    assert!(
        !page.contains("href=\"../s/hidden\""),
        "a link that leads nowhere: {page}"
    );
}

#[tokio::test]
async fn what_is_attached_to_a_refused_file_is_refused_with_it() {
    let whole = POLICIES.replace(", versions: '>=2'", "");
    let of = |policies: String, filename: &'static str| async move {
        let target = format!("/s/hidden/{}", place("s/hidden", filename));
        let asked = Asked::public("GET", &target, &[PIP]).at_management();
        house(&policies).await.ask(&asked).await.status
    };
    for (filename, of_some, of_all) in [
        (SDIST, 200, 403),
        (RESULT, 200, 403),
        (DENIED, 403, 403),
        (DENIED_RESULT, 403, 403),
        (DOCS, 200, 403),
    ] {
        assert_eq!(
            of(POLICIES.to_owned(), filename).await,
            of_some,
            "{filename}"
        );
        assert_eq!(of(whole.clone(), filename).await, of_all, "{filename}");
    }
}

/// Every `href` of an object, in order.
fn links(got: &Got) -> Vec<String> {
    let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    let mut found = Vec::new();
    let mut left = vec![&body];
    while let Some(value) = left.pop() {
        match value {
            serde_json::Value::Object(map) => {
                found.extend(
                    map.get("href")
                        .and_then(|href| href.as_str())
                        .map(str::to_owned),
                );
                left.extend(map.values());
            }
            serde_json::Value::Array(all) => left.extend(all.iter().rev()),
            _ => {}
        }
    }
    found
}

fn links_to_owner(got: &Got) -> bool {
    let links = links(got);
    !links.is_empty() && links.iter().all(|link| link.contains("/hidden/+f/"))
}

fn dairy() -> FakeIndex {
    let sieve = Project::new("sieve").wheel("1.0");
    Setup::default().project(sieve).start()
}

#[test]
fn installers_use_what_inherits_and_uploads_go_by_the_management_door() {
    let dairy = dairy();
    let listen = "listen: { public: { allow: [read, upload, manage] } }\n";
    let policies = format!(
        "{listen}indexes:\n  root/dairy: {{ type: mirror, mirror_url: '{}', public: false }}\n  \
         shop/inner: {{ public: false, acl_upload: [':ANONYMOUS:'], bases: [root/dairy] }}\n  \
         shop/all: {{ bases: [shop/inner], acl_upload: [':ANONYMOUS:'] }}\n",
        dairy.url()
    );
    let program = Program::with_policies(&policies).start();
    let (public, manage) = (
        program.public_url().to_owned(),
        program.manage_url().to_owned(),
    );
    let upload = |door: &str, to: &str| {
        let form = Form::of_wheel("mould", "1.0");
        form.post(&format!("{door}{to}/")).unwrap()
    };
    let (shut, none) = (upload(&public, "shop/inner"), upload(&public, "shop/other"));
    assert_eq!((shut.status, none.status), (404, 404), "{}", shut.body);
    assert_eq!(shut.body, none.body.replace("other", "inner"));
    assert_eq!(upload(&manage, "shop/inner").status, 200);

    let push = br#"{"name": "mould", "version": "1.0", "targetindex": "shop/inner"}"#;
    assert_eq!(upload(&manage, "shop/all").status, 200);
    let pushed = |door: &str| ask::send("PUSH", &format!("{door}shop/all"), &[], push).unwrap();
    assert_eq!(pushed(&public).status, 404, "{}", pushed(&public).body);
    assert_eq!(pushed(&manage).status, 200, "{}", pushed(&manage).body);

    for tool in [Tool::Pip, Tool::Uv] {
        let index = program.index_url("shop/all");
        Client::fresh(tool)
            .install(&index, &["sieve", "mould"])
            .succeeds();
        let inner = program.index_url("shop/inner");
        Client::fresh(tool).install(&inner, &["sieve"]).fails();
    }
    // The configuration file makes it public, and hides it again.
    program.write_policies(&policies.replace("public: false, acl", "acl"));
    program.wait_until_it_says("index shop/inner changed: public false -> true");
    let index = program.index_url("shop/inner");
    Client::fresh(Tool::Uv)
        .install(&index, &["mould"])
        .succeeds();
    program.write_policies(&policies);
    program.wait_until_it_says("index shop/inner changed: public true -> false");
    assert_eq!(ask::get(&format!("{index}mould/")).unwrap().status, 404);
}
