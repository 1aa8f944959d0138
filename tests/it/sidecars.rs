//! Every listed sidecar can be fetched, whatever upstream states and answers; what cannot be
//! fetched is not listed, because installers stop at the first listed one that is missing.

use std::time::Duration;

use bytes::Bytes;
use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::db::{FileFacts, FileRole};
use cheesecloth::testing::model::{IndexName, ProjectName, Sha256, Yanked};
use serde_json::{Value, json};

use super::support::{
    Canned, Client, Content, FakeIndex, Fault, Got, House, Larder, Listed, Program, Project, Setup,
    Tool, Wheel, soon,
};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "application/vnd.pypi.simple.v1+html";
const NOW: &str = "2026-01-05T00:00:00Z";
const PAGE: &str = "/root/dairy/+simple/curd/";
const SIDECAR: &str = "/files/curd/curd-1.0-py3-none-any.whl.metadata";

fn curd() -> Wheel {
    Wheel::new("curd", "1.0").requires("whey>=1")
}

fn dairy(setup: Setup, file: Listed) -> FakeIndex {
    setup.project(Project::new("curd").file(file)).start()
}

fn policies(dairy: &FakeIndex) -> String {
    let url = dairy.url();
    format!("indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\" }}\n")
}

async fn house(dairy: &FakeIndex) -> House {
    let clock = Clock::fixed(NOW.parse().unwrap());
    House::online(&policies(dairy), &clock).await
}

async fn page(house: &House) -> Value {
    let got = house.get(PAGE, &[("accept", JSON)]).await;
    serde_json::from_slice(&got.body).unwrap()
}

fn url(page: &Value) -> String {
    let url = page["files"][0]["url"].as_str().unwrap();
    format!("/root/dairy/{}", url.trim_start_matches("../"))
}

async fn get(house: &House, url: &str) -> Got {
    house.get(url, &[]).await
}

/// The page once its file's digest is known, which happens after the answer that fetched the file.
async fn learned(house: &House) -> Value {
    soon(async {
        loop {
            let page = page(house).await;
            if page["files"][0]["hashes"]["sha256"].is_string() {
                break page;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_wheel_that_nobody_has_hashed_has_its_sidecar_and_later_its_digest() {
    for setup in [
        Setup::default().without_hashes().without_sidecars(),
        Setup::default().with_md5().without_sidecars(),
        Setup::default()
            .html_only()
            .without_hashes()
            .without_sidecars(),
        Setup::default().html_only().with_md5().without_sidecars(),
        Setup::default()
            .with_md5()
            .without_sidecars()
            .without_ranges(),
        // Announced with a digest of the sidecar.
        Setup::default().with_md5(),
        Setup::default().without_hashes(),
    ] {
        let dairy = dairy(setup, Listed::wheel(&curd(), "1.0"));
        let house = house(&dairy).await;
        let before = page(&house).await;
        assert!(!before["files"][0]["core-metadata"].is_null(), "{before}");
        let early = url(&before);
        let got = get(&house, &format!("{early}.metadata")).await;
        assert_eq!(got.status, 200, "{early}: {}", got.text());
        assert_eq!(got.body, curd().metadata());
        let asked = dairy.journal().count("/files/");
        let again = get(&house, &format!("{early}.metadata")).await;
        assert_eq!(again.body, curd().metadata());
        assert_eq!(dairy.journal().count("/files/"), asked, "{early}");

        assert_eq!(get(&house, &early).await.body, curd().build());
        let after = learned(&house).await;
        let digest = Sha256::of(&curd().build()).to_hex();
        assert_eq!(after["files"][0]["hashes"], json!({ "sha256": digest }));
        for url in [early, url(&after)] {
            let got = get(&house, &format!("{url}.metadata")).await;
            assert_eq!(got.body, curd().metadata(), "{url}");
        }
    }
}

#[tokio::test]
async fn beside_a_sha256_no_other_digest_is_listed() {
    let dairy = dairy(
        Setup::default().with_md5_too(),
        Listed::wheel(&curd(), "1.0"),
    );
    let house = house(&dairy).await;
    let page = page(&house).await;
    let digest = Sha256::of(&curd().build()).to_hex();
    assert_eq!(page["files"][0]["hashes"], json!({ "sha256": digest }));
    // The URL by md5, which devpi would have shown, as would this page at an earlier time.
    let md5 = Content::Bytes(curd().build().into()).md5();
    let by_md5 = format!(
        "/root/dairy/+f/{}/{}/{}",
        &md5[..3],
        &md5[3..16],
        curd().filename()
    );
    assert_eq!(get(&house, &by_md5).await.status, 200);
}

#[tokio::test]
async fn an_announced_sidecar_that_cannot_be_had_is_read_from_the_wheel() {
    let login = "<!DOCTYPE html><title>Log in</title>";
    let faults = [
        ("401", Fault::new().status(401)),
        ("403", Fault::new().status(403)),
        ("404", Fault::new().status(404)),
        ("500", Fault::new().status(500)),
        ("other bytes", Fault::new().wrong_digest()),
        ("a page for people", Fault::new().status(200).body(login)),
    ];
    for (what, fault) in faults {
        for is_stated in [true, false] {
            let setup = Setup::default();
            let dairy = dairy(setup, Listed::wheel(&curd(), "1.0"));
            if !is_stated {
                if what == "other bytes" {
                    // Without a digest, they cannot be told from the right ones.
                    continue;
                }
                announce_without_digest(&dairy);
            }
            dairy.misbehave(SIDECAR, fault.clone());
            let house = house(&dairy).await;
            let url = url(&page(&house).await);
            let got = get(&house, &format!("{url}.metadata")).await;
            assert_eq!(got.status, 200, "{what}, {is_stated}: {}", got.text());
            assert_eq!(got.body, curd().metadata(), "{what}");
            assert!(dairy.journal().count(SIDECAR) > 0, "{what}");
        }
    }
}

#[tokio::test]
async fn a_wheel_is_read_whole_where_upstream_refuses_or_misreads_ranges() {
    let size = curd().build().len();
    let misread = format!("bytes 0-9/{size}");
    for fault in [
        Fault::new().status(403),
        Fault::new().status(500),
        Fault::new().status(501),
        Fault::new().header("content-range", &misread),
    ] {
        let setup = Setup::default().without_sidecars();
        let dairy = dairy(setup, Listed::wheel(&curd(), "1.0"));
        dairy.misbehave("/files/", fault.clone().ranges_only());
        let house = house(&dairy).await;
        let url = url(&page(&house).await);
        let got = get(&house, &format!("{url}.metadata")).await;
        assert_eq!(got.status, 200, "{fault:?}: {}", got.text());
        assert_eq!(got.body, curd().metadata(), "{fault:?}");
    }
}

/// A page that states only `true` for the sidecar.
fn announce_without_digest(dairy: &FakeIndex) {
    let digest = Sha256::of(&curd().build()).to_hex();
    let name = curd().filename();
    let page = json!({
        "meta": { "api-version": "1.1" },
        "name": "curd",
        "files": [{
            "filename": name,
            "url": format!("../../files/curd/{name}"),
            "hashes": { "sha256": digest },
            "core-metadata": true,
        }],
    });
    let canned = Canned {
        content_type: JSON.to_owned(),
        headers: Vec::new(),
        content: Content::Bytes(page.to_string().into()),
    };
    dairy.change(|setup| setup.canned("/simple/curd/", canned));
}

/// Metadata with a dependency that `curd` does not have.
const EVIL: &str = "Metadata-Version: 2.1\nName: curd\nVersion: 1.0\nRequires-Dist: evil-dep\n";

/// Mirrors that misrepresent the wheel `curd`, each in another way.
fn evil_mirrors() -> Vec<(&'static str, FakeIndex)> {
    let lied = || Listed::wheel(&curd(), "1.0").sidecar(EVIL);
    let stated = dairy(Setup::default(), lied());
    let announced = dairy(Setup::default(), lied());
    announce_without_digest(&announced);
    // A different wheel is at the wheel's URL, and only its end is requested.
    let other = Wheel::new("curd", "1.0").requires("evil-dep");
    let other = Listed::wheel(&other, "1.0");
    let other_bytes = dairy(Setup::default().without_sidecars(), other);
    announce_without_digest(&other_bytes);
    vec![
        ("stated", stated),
        ("announced", announced),
        ("other bytes", other_bytes),
    ]
}

#[tokio::test]
async fn what_one_mirror_says_of_a_wheel_is_not_served_for_another() {
    let sidecar = format!("{}.metadata", curd().filename());
    for (how, evil) in evil_mirrors() {
        for setup in [Setup::default(), Setup::default().without_sidecars()] {
            let good = dairy(setup, Listed::wheel(&curd(), "1.0"));
            let both = format!(
                "indexes:\n  m/evil: {{ type: mirror, mirror_url: \"{}\" }}\n  \
                 m/good: {{ type: mirror, mirror_url: \"{}\" }}\n",
                evil.url(),
                good.url(),
            );
            let clock = Clock::fixed(NOW.parse().unwrap());
            let larder = Larder::empty(&clock).await;
            let digest = Sha256::of(&curd().build()).to_hex();
            let at = |mirror: &str| {
                let (first, rest) = (&digest[..3], &digest[3..16]);
                format!("/m/{mirror}/+f/{first}/{rest}/{sidecar}")
            };
            for round in 0..2 {
                let house = House::online_over(&larder, &both, &clock);
                let told = get(&house, &at("evil")).await;
                assert!(told.text().contains("evil-dep"), "{how}: {}", told.text());
                let got = get(&house, &at("good")).await;
                assert_eq!(got.status, 200, "{how}, {round}: {}", got.text());
                assert_eq!(got.body, curd().metadata(), "{how}, {round}");
                larder.kept_sidecars(2).await;
            }
        }
    }
}

#[tokio::test]
async fn a_held_sidecar_is_served_only_while_the_page_announces_it() {
    let dairy = dairy(Setup::default(), Listed::wheel(&curd(), "1.0"));
    let clock = Clock::fixed(NOW.parse().unwrap());
    let house = House::online(&policies(&dairy), &clock).await;
    let file = url(&page(&house).await);
    let sidecar = format!("{file}.metadata");
    assert_eq!(get(&house, &sidecar).await.body, curd().metadata());
    assert_eq!(get(&house, &file).await.body, curd().build());
    // From now on the page announces another sidecar, which does not exist.
    let other = Listed::wheel(&curd(), "1.0").sidecar(EVIL);
    dairy.change(|_| Setup::default().project(Project::new("curd").file(other)));
    dairy.misbehave(SIDECAR, Fault::new().status(404));
    clock.advance(Duration::from_secs(3600));
    assert!(!page(&house).await["files"][0]["core-metadata"].is_null());
    let got = get(&house, &sidecar).await;
    assert_eq!(got.status, 502, "{}", got.text());
    let listed = page(&house).await;
    assert!(listed["files"][0]["core-metadata"].is_null(), "{listed}");
}

/// Requests a sidecar that cannot be fetched; after that none is listed, and the file is still
/// served.
async fn is_listed_no_longer(setup: Setup, file: Listed, bytes: &[u8]) {
    let dairy = dairy(setup, file);
    dairy.misbehave(SIDECAR, Fault::new().status(403));
    let clock = Clock::fixed(NOW.parse().unwrap());
    let larder = Larder::empty(&clock).await;
    let house = House::online_over(&larder, &policies(&dairy), &clock);
    let file = url(&page(&house).await);
    let refused = get(&house, &format!("{file}.metadata")).await;
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert!(refused.text().contains("curd-1.0"), "{}", refused.text());
    for house in [
        house,
        House::online_over(&larder, &policies(&dairy), &clock),
    ] {
        let listed = page(&house).await;
        assert!(listed["files"][0]["core-metadata"].is_null(), "{listed}");
        assert!(listed["files"][0]["dist-info-metadata"].is_null());
        let html = house.get(PAGE, &[("accept", HTML)]).await.text();
        assert!(!html.contains("metadata"), "{html}");
        let url = url(&listed);
        assert_eq!(get(&house, &format!("{url}.metadata")).await.status, 404);
        assert_eq!(get(&house, &url).await.body, *bytes);
    }
}

#[tokio::test]
async fn a_sidecar_that_cannot_be_had_is_listed_no_longer() {
    let name = curd().filename();
    let noise = Content::noise(3, 5_000);
    let no_archive = || Listed::new(&name, "1.0", noise.clone());
    let own = || Setup::default().without_sidecars();
    is_listed_no_longer(own(), no_archive(), &noise.to_vec()).await;
    is_listed_no_longer(own().without_ranges(), no_archive(), &noise.to_vec()).await;
    is_listed_no_longer(own().with_md5(), no_archive(), &noise.to_vec()).await;
    // What upstream states for it is not what the wheel contains.
    let other = Listed::wheel(&curd(), "1.0").sidecar("Name: curd\nVersion: 9\n");
    is_listed_no_longer(Setup::default(), other, &curd().build()).await;
}

#[tokio::test]
async fn a_private_wheel_that_came_without_metadata_is_listed_without_a_sidecar() {
    let clock = Clock::fixed(NOW.parse().unwrap());
    let house = House::online("indexes: { root/dairy: { bases: [] } }\n", &clock).await;
    let (index, project) = ("root/dairy", "curd");
    let facts = |filename: String, metadata| FileFacts {
        sha256: Sha256::of(filename.as_bytes()),
        filename,
        role: FileRole::ReleaseFile,
        size: 1,
        md5: None,
        blake2b_256: None,
        uploaded_at: NOW.parse().unwrap(),
        uploader: None,
        requires_python: None,
        metadata_sha256: metadata,
        yanked: Yanked::No,
        log: Vec::new(),
    };
    let of_old = facts(curd().filename(), None);
    let usual = facts(curd().tag("py2-none-any").filename(), Some(Sha256::of(b"")));
    let (index, project) = (
        IndexName::parse(index).unwrap(),
        ProjectName::parse(project).unwrap(),
    );
    house.publish(&index, &project, vec![of_old, usual]).await;
    let page = page(&house).await;
    for file in page["files"].as_array().unwrap() {
        let is_of_old = file["filename"] == curd().filename();
        assert_eq!(file["core-metadata"].is_null(), is_of_old, "{file}");
        if is_of_old {
            let url = file["url"].as_str().unwrap().trim_start_matches("../");
            let sidecar = format!("/root/dairy/{url}.metadata");
            assert_eq!(get(&house, &sidecar).await.status, 404);
        }
    }
}

/// A web server's directory listing as nginx writes it, with the files in it.
fn directory_listing(files: &[(String, Vec<u8>)]) -> Setup {
    let mut setup = Setup::default();
    for project in ["curd", "whey"] {
        let mut html = format!(
            "<html>\r\n<head><title>Index of /simple/{project}/</title></head>\r\n<body>\r\n\
             <h1>Index of /simple/{project}/</h1><hr><pre><a href=\"../\">../</a>\r\n"
        );
        for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with(project)) {
            let size = bytes.len();
            html += &format!("<a href=\"{name}\">{name}</a>   05-Jan-2026 00:00   {size}\r\n");
            let file = canned("application/octet-stream", bytes.clone().into());
            setup = setup.canned(&format!("/simple/{project}/{name}"), file);
        }
        html += "</pre><hr></body>\r\n</html>\r\n";
        setup = setup.canned(
            &format!("/simple/{project}/"),
            canned("text/html", html.into()),
        );
    }
    setup
}

fn canned(content_type: &str, content: Bytes) -> Canned {
    Canned {
        content_type: content_type.to_owned(),
        headers: Vec::new(),
        content: Content::Bytes(content),
    }
}

fn both() -> [Wheel; 2] {
    [curd(), Wheel::new("whey", "1.5")]
}

/// Runs real installers twice: with files that nobody knows yet, and with files that have passed
/// through.
fn install(upstream: &FakeIndex) {
    for tool in [Tool::Pip, Tool::Uv] {
        let shop = Program::with_policies(&policies(upstream)).start();
        for _ in 0..2 {
            let client = Client::fresh(tool);
            let index = shop.index_url("root/dairy");
            client.install(&index, &["curd"]).succeeds();
            for module in ["curd", "whey"] {
                let out = client.folder().join("out").join(module);
                assert!(out.is_dir(), "{tool:?} did not install {module}");
            }
        }
    }
}

fn projects(setup: Setup) -> FakeIndex {
    let setup = both().iter().fold(setup, |setup, wheel| {
        let project = wheel.filename();
        let (project, _) = project.split_once('-').unwrap();
        let version = if project == "curd" { "1.0" } else { "1.5" };
        setup.project(Project::new(project).file(Listed::wheel(wheel, version)))
    });
    setup.start()
}

#[test]
fn pip_and_uv_install_from_a_directory_listing_without_hashes() {
    let files = both().map(|wheel| (wheel.filename(), wheel.build()));
    install(&directory_listing(&files).start());
}

#[test]
fn pip_and_uv_install_from_an_index_that_states_md5_only() {
    install(&projects(
        Setup::default().html_only().with_md5().without_sidecars(),
    ));
    install(&projects(Setup::default().with_md5().without_sidecars()));
}

#[test]
fn pip_and_uv_install_from_an_index_that_states_sha1_only() {
    let setup = || Setup::default().with_only("sha1").without_sidecars();
    install(&projects(setup().html_only()));
    install(&projects(setup()));
}

#[test]
fn pip_and_uv_install_where_announced_sidecars_are_refused() {
    let upstream = projects(Setup::default());
    for wheel in both() {
        let name = wheel.filename();
        let (project, _) = name.split_once('-').unwrap();
        let sidecar = format!("/files/{project}/{name}.metadata");
        upstream.misbehave(&sidecar, Fault::new().status(403));
    }
    install(&upstream);
}
