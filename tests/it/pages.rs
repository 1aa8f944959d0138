//! Project pages and lists: what clients negotiate, how upstreams behave, what policies leave.

use std::io::Read as _;
use std::time::Duration;

use cheesecloth::testing::clock::Clock;
use serde_json::Value;

use super::support::{
    Canned, Content, FakeIndex, Fault, House, Listed, Program, Project, Setup, Web, Wheel,
};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "application/vnd.pypi.simple.v1+html";
const NOW: &str = "2026-01-05T00:00:00Z";

/// Two versions of `sieve`: one from December, and one from three days before [`NOW`].
fn sieves() -> Project {
    let sieve = |version, uploaded| {
        Listed::wheel(&Wheel::new("sieve", version), version).uploaded(uploaded)
    };
    Project::new("sieve")
        .file(sieve("1.0", "2025-12-01T00:00:00Z"))
        .file(sieve("2.0", "2026-01-02T00:00:00Z").yanked("a < b & \"c\""))
}

fn dairy() -> FakeIndex {
    Setup::default().project(sieves()).start()
}

fn mirror(name: &str, upstream: &FakeIndex, more: &str) -> String {
    let url = upstream.url();
    format!("  {name}: {{ type: mirror, mirror_url: \"{url}\"{more} }}\n")
}

fn policies(upstream: &FakeIndex, more: &str) -> String {
    "indexes:\n".to_owned() + &mirror("root/dairy", upstream, more)
}

fn clock() -> Clock {
    Clock::fixed(NOW.parse().unwrap())
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn filenames(house: &House, path: &str) -> Vec<String> {
    let got = house.get(path, &[("accept", JSON)]).await;
    assert_eq!(got.status, 200, "{path}: {}", got.text());
    names(&got.body)
}

fn names(body: &[u8]) -> Vec<String> {
    let page: Value = serde_json::from_slice(body).unwrap();
    let files = page["files"].as_array().unwrap().iter();
    files
        .map(|file| file["filename"].as_str().unwrap().to_owned())
        .collect()
}

/// `href` and text of each link.
fn links(html: &str) -> Vec<(String, String)> {
    let links = html.split("<a href=\"").skip(1);
    links
        .map(|link| {
            let (href, rest) = link.split_once('"').unwrap();
            let (_, rest) = rest.split_once('>').unwrap();
            let (text, _) = rest.split_once("</a>").unwrap();
            let (href, _) = href.split_once('#').unwrap_or((href, ""));
            (href.to_owned(), text.to_owned())
        })
        .collect()
}

#[tokio::test]
async fn every_client_gets_the_form_it_asks_for_with_a_tag_of_its_own() {
    let dairy = dairy();
    let shop = Program::with_policies(&policies(&dairy, "")).start();
    let url = format!("{}sieve/", shop.index_url("root/dairy"));
    let web = Web::new();
    let pip = format!("{JSON}, {HTML}; q=0.1, text/html; q=0.01");
    let mut tags = Vec::new();
    for (accept, expected) in [
        (None, "text/html"),
        (Some("*/*"), "text/html"),
        (Some(&*pip), JSON),
        (Some("application/vnd.pypi.simple.v1+json, */*;q=0.1"), JSON),
        (Some("application/vnd.pypi.simple.latest+html"), HTML),
    ] {
        let headers: Vec<_> = accept
            .map(|accept| ("accept", accept))
            .into_iter()
            .collect();
        let plain = web.get_with(&url, &headers).await;
        assert_eq!(plain.status, 200, "{accept:?}");
        let content_type = plain.header("content-type");
        assert_eq!(content_type.split(';').next(), Some(expected), "{accept:?}");
        assert_eq!(plain.header("cache-control"), "no-cache");
        let vary = plain.header("vary").to_lowercase();
        assert!(
            vary.contains("accept") && vary.contains("accept-encoding"),
            "{vary}"
        );
        for encoding in ["gzip", "zstd"] {
            let with = [&headers[..], &[("accept-encoding", encoding)]].concat();
            let got = web.get_with(&url, &with).await;
            assert_eq!(got.header("content-encoding"), encoding);
            assert_eq!(decoded(encoding, &got.body), plain.body);
            tags.push(got.header("etag").to_owned());
            let again = [&with[..], &[("if-none-match", got.header("etag"))]].concat();
            let again = web.get_with(&url, &again).await;
            assert_eq!((again.status, again.body.len()), (304, 0));
            assert_eq!(again.header("etag"), got.header("etag"));
            assert_eq!(again.header("vary").to_lowercase(), vary);
        }
        tags.push(plain.header("etag").to_owned());
    }
    let refused = web.get_with(&url, &[("accept", "image/png")]).await;
    assert_eq!(refused.status, 406);
    tags.sort();
    tags.dedup();
    // JSON and HTML (both HTML types have the same content), each plain, gzip and zstd.
    assert_eq!(tags.len(), 6, "{tags:?}");
    assert_eq!(dairy.journal().count("/simple/"), 1);
}

fn decoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match encoding {
        "gzip" => {
            let mut reader = flate2::read::GzDecoder::new(body);
            reader.read_to_end(&mut plain).unwrap();
        }
        _ => plain = zstd::bulk::decompress(body, 1 << 20).unwrap(),
    }
    plain
}

#[tokio::test]
async fn json_and_html_list_the_same_whatever_upstream_speaks() {
    let setups = [
        Setup::default(),
        Setup::default().api_minor(0),
        Setup::default().api_minor(1).gzip(),
        Setup::default().api_minor(3).without_etags(),
        Setup::default().html_only(),
        Setup::default()
            .html_only()
            .without_hashes()
            .without_sidecars(),
    ];
    for setup in setups {
        let dairy = setup.project(sieves()).start();
        let house = House::online(&policies(&dairy, ""), &clock()).await;
        let path = "/root/dairy/+simple/sieve/";
        let json = house.get(path, &[("accept", JSON)]).await;
        let html = house.get(path, &[("accept", HTML)]).await;
        assert_eq!(json.status, 200, "{}", json.text());
        let page: Value = serde_json::from_slice(&json.body).unwrap();
        let files = page["files"].as_array().unwrap().iter();
        let listed = files.map(|file| {
            let text = |key: &str| file[key].as_str().unwrap().to_owned();
            (text("url"), text("filename"))
        });
        assert_eq!(listed.collect::<Vec<_>>(), links(&html.text()));
        assert_eq!(page["meta"]["api-version"], "1.4");
        assert_eq!(page["versions"], serde_json::json!(["1.0", "2.0"]));
        for file in page["files"].as_array().unwrap() {
            assert!(
                file["hashes"].is_object() && file["upload-time"].is_string(),
                "{file}"
            );
            assert_ne!(file["core-metadata"], Value::Null, "{file}");
        }
        assert_eq!(page["files"][1]["yanked"], "a < b & \"c\"");
        assert!(
            html.text().contains("a &lt; b &amp; &quot;c&quot;"),
            "{}",
            html.text()
        );
    }
}

#[tokio::test]
async fn a_cool_down_matures_by_itself() {
    let dairy = dairy();
    let rule = "policies:\n  house:\n    rules:\n      - deny: { younger_than: 7d, reason: 'too young' }\n";
    let yaml = policies(&dairy, ", policy: house, mirror_cache_expiry: 100d") + rule;
    let clock = clock();
    let house = House::online(&yaml, &clock).await;
    let path = "/root/dairy/+simple/sieve/";
    let young = "sieve-2.0-py3-none-any.whl";
    assert_eq!(
        filenames(&house, path).await,
        ["sieve-1.0-py3-none-any.whl"]
    );
    let digest =
        cheesecloth::testing::model::Sha256::of(&Wheel::new("sieve", "2.0").build()).to_hex();
    let url = format!("/root/dairy/+f/{}/{}/{young}", &digest[..3], &digest[3..16]);
    for (by, status) in [(Duration::ZERO, 403), (3 * DAY, 403), (DAY, 200)] {
        clock.advance(by);
        let got = house.get(&url, &[]).await;
        assert_eq!(got.status, status, "{by:?} later: {}", got.text());
        let is_listed = filenames(&house, path).await.contains(&young.to_owned());
        assert_eq!(is_listed, status == 200, "{by:?} later");
    }
}

#[tokio::test]
async fn names_that_are_denied_or_owned_are_never_asked_upstream() {
    let dairy = Setup::default()
        .project(sieves())
        .project(Project::new("acme-brine").wheel("1.0"))
        .start();
    let yaml = policies(&dairy, "")
        + "  shop/all: { bases: [root/dairy], owns: ['acme-*'], policy: house }\n\
           policies:\n  house:\n    rules:\n      - deny: { project: sieve, reason: 'no holes' }\n";
    let house = House::online(&yaml, &clock()).await;
    for (name, filename) in [
        ("sieve", "sieve-1.0-py3-none-any.whl"),
        ("acme-brine", "acme_brine-1.0-py3-none-any.whl"),
        ("acme-unknown", "acme_unknown-1.0.tar.gz"),
    ] {
        let page = house.get(&format!("/shop/all/+simple/{name}/"), &[]).await;
        assert_eq!(page.status, 451, "{name}");
        assert_eq!(page.header("content-type"), "application/problem+json");
        let url = format!("/shop/all/+f/012/3456789abcdef/{filename}");
        for ending in ["", ".metadata"] {
            let file = house.get(&format!("{url}{ending}"), &[]).await;
            assert_eq!(file.status, 403, "{filename}{ending}");
        }
        assert_eq!(dairy.journal().count(&format!("/simple/{name}")), 0);
    }
    assert_eq!(dairy.journal().count("/"), 0);
    let unknown = house.get("/shop/all/+simple/whey/", &[]).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_layer_that_is_down_is_not_left_out_unless_it_is_optional() {
    let near = dairy();
    let far = Setup::default()
        .project(Project::new("sieve").wheel("9.0"))
        .start();
    near.misbehave("/simple/", Fault::new().status(500));
    for (more, status) in [("", 503), (", optional: true", 200)] {
        let yaml = policies(&near, more)
            + &mirror("root/far", &far, "")
            + "  shop/all: { bases: [root/dairy, root/far] }\n";
        let clock = clock();
        let house = House::online(&yaml, &clock).await;
        let got = house
            .get("/shop/all/+simple/sieve/", &[("accept", JSON)])
            .await;
        assert_eq!(got.status, status, "{}", got.text());
        // By itself, with nothing cached, the mirror does not answer "not found" either.
        let alone = house.get("/root/dairy/+simple/sieve/", &[]).await;
        assert_eq!(alone.status, 503, "{}", alone.text());
        if status == 200 {
            assert_eq!(names(&got.body), ["sieve-9.0-py3-none-any.whl"]);
            // What was left out comes back as soon as its upstream answers again.
            near.behave();
            clock.advance(DAY);
            let names = filenames(&house, "/shop/all/+simple/sieve/").await;
            assert_eq!(names.len(), 3, "{names:?}");
            near.misbehave("/simple/", Fault::new().status(500));
            let unknown = house.get("/shop/all/+simple/whey/", &[]).await;
            assert_eq!(unknown.status, 503, "{}", unknown.text());
        } else {
            assert!(got.text().contains("root/dairy"), "{}", got.text());
        }
    }
}

#[tokio::test]
async fn a_stale_page_answers_while_upstream_is_down_and_files_longer_than_that() {
    let dairy = dairy();
    let clock = clock();
    let house = House::online(&policies(&dairy, ", mirror_cache_expiry: 10m"), &clock).await;
    let path = "/root/dairy/+simple/sieve/";
    let page = house.get(path, &[("accept", JSON)]).await;
    let value: Value = serde_json::from_slice(&page.body).unwrap();
    let link = value["files"][0]["url"].as_str().unwrap();
    let url = format!("/root/dairy/{}", link.trim_start_matches("../"));
    assert_eq!(house.get(&url, &[]).await.status, 200);
    assert_eq!(
        house.get("/root/dairy/+simple/whey/", &[]).await.status,
        404
    );
    dairy.misbehave("/", Fault::new().status(500));
    for (by, status) in [(DAY, 200), (5 * DAY, 200), (2 * DAY, 503)] {
        clock.advance(by);
        assert_eq!(house.get(path, &[]).await.status, status, "{by:?} later");
        assert_eq!(house.get(&url, &[]).await.status, 200, "{by:?} later");
        // That it did not exist earlier says nothing about today.
        let unknown = house.get("/root/dairy/+simple/whey/", &[]).await;
        assert_eq!(unknown.status, 503, "{by:?} later");
    }
}

#[tokio::test]
async fn a_project_that_vanishes_keeps_its_last_good_files_for_a_while() {
    let clock = clock();
    let dairy = dairy();
    let keep = ", keep_last_good: { for: 3d, older_than: 1d }, mirror_cache_expiry: 10m";
    let yaml = policies(&dairy, keep);
    let path = "/root/dairy/+simple/sieve/";
    for is_empty in [true, false] {
        let house = House::online(&yaml, &clock).await;
        dairy.change(|_| Setup::default().project(sieves()));
        assert_eq!(filenames(&house, path).await.len(), 2);
        dairy.change(|_| {
            let nothing = Setup::default();
            if is_empty {
                nothing.project(Project::new("sieve"))
            } else {
                nothing
            }
        });
        clock.advance(DAY);
        assert_eq!(filenames(&house, path).await.len(), 2, "a day later");
        clock.advance(3 * DAY);
        let got = house.get(path, &[("accept", JSON)]).await;
        match is_empty {
            true => assert!(names(&got.body).is_empty()),
            false => assert_eq!(got.status, 404),
        }
    }
    // Malware is not kept: upstream says that it is malware.
    let house = House::online(&yaml, &clock).await;
    dairy.change(|_| Setup::default().project(sieves()));
    assert_eq!(filenames(&house, path).await.len(), 2);
    dairy.change(|_| Setup::default().project(Project::new("sieve").status("quarantined")));
    clock.advance(DAY);
    let got = house.get(path, &[("accept", JSON)]).await;
    assert!(names(&got.body).is_empty());
    let page: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(page["project-status"]["status"], "quarantined");
}

#[tokio::test]
async fn upstreams_may_redirect_ask_for_a_password_and_name_files_elsewhere() {
    let files = dairy();
    let pages = Setup::default()
        .project(sieves())
        .credentials("anna", "s3cret")
        .files_at(&files.at("/files"))
        .start();
    let front = Setup::default()
        .redirect("/simple/", &format!("{}*", files.url()))
        .start();
    let yaml = "indexes:\n".to_owned()
        + &mirror(
            "root/pages",
            &pages,
            ", username: anna, password_env: DAIRY_PASSWORD",
        )
        + &mirror("root/front", &front, "");
    let shop = Program::with_policies(&yaml)
        .with("DAIRY_PASSWORD", "s3cret")
        .start();
    let web = Web::new();
    for index in ["root/pages", "root/front"] {
        let page = web.page(&format!("{}sieve/", shop.index_url(index))).await;
        let url = page.url_of("sieve-1.0-py3-none-any.whl");
        let got = web.get(&url).await;
        assert_eq!(got.status, 200, "{index}: {}", got.text());
        assert!(got.body == Wheel::new("sieve", "1.0").build());
    }
    for seen in files.journal().all("/") {
        assert_eq!(
            seen.header("authorization"),
            "",
            "a password went to another host"
        );
    }
}

#[tokio::test]
async fn the_project_list_is_merged_and_leaves_out_what_may_not_be_asked() {
    let near = Setup::default()
        .project(Project::new("sieve"))
        .project(Project::new("acme-brine"))
        .start();
    let far = Setup::default()
        .html_only()
        .project(Project::new("curd"))
        .project(Project::new("sieve"))
        .start();
    let yaml = "default_index: shop/all\n".to_owned()
        + &policies(&near, "")
        + &mirror("root/far", &far, "")
        + "  shop/all: { bases: [root/dairy, root/far], owns: ['acme-*'] }\n";
    let house = House::online(&yaml, &clock()).await;
    for path in ["/shop/all/+simple/", "/shop/all/%2Bsimple/", "/simple/"] {
        let got = house.get(path, &[("accept", JSON)]).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text());
        let list: Value = serde_json::from_slice(&got.body).unwrap();
        let names = list["projects"].as_array().unwrap().iter();
        let names: Vec<_> = names
            .map(|project| project["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["curd", "sieve"], "{path}");
        let html = house.get(path, &[("accept", HTML)]).await;
        let texts = links(&html.text()).into_iter().map(|(_, text)| text);
        assert_eq!(texts.collect::<Vec<_>>(), names, "{path}");
    }
}

/// As many names as the largest index has.
const MANY: usize = 700_000;

#[tokio::test]
async fn a_list_of_seven_hundred_thousand_names_takes_bounded_memory() {
    let mut list = String::from("{\"meta\":{\"api-version\":\"1.4\"},\"projects\":[");
    for number in 0..MANY {
        let comma = if number == 0 { "" } else { "," };
        list += &format!("{comma}{{\"name\":\"some-longer-project-{number:06}\"}}");
    }
    list += "]}";
    let canned = Canned {
        content_type: JSON.to_owned(),
        headers: Vec::new(),
        content: Content::Bytes(list.into()),
    };
    let dairy = Setup::default().canned("/simple/", canned).start();
    let shop = Program::with_policies(&policies(&dairy, "")).start();
    let before = shop.memory_peak_bytes();
    let web = Web::new();
    for accept in [JSON, HTML] {
        let got = web
            .get_with(&shop.index_url("root/dairy"), &[("accept", accept)])
            .await;
        assert_eq!(got.status, 200);
        let last = format!("some-longer-project-{:06}", MANY - 1);
        assert!(got.text().contains(&last));
        // The first answer was sent while the list was made, before its tag was known.
        let kept = web
            .get_with(&shop.index_url("root/dairy"), &[("accept", accept)])
            .await;
        assert_eq!(kept.body, got.body);
        let again = [("accept", accept), ("if-none-match", kept.header("etag"))];
        let again = web.get_with(&shop.index_url("root/dairy"), &again).await;
        assert_eq!(again.status, 304);
    }
    let grown = shop.memory_peak_bytes().saturating_sub(before) >> 20;
    eprintln!("a list of {MANY} names took {grown} MiB at its peak");
    // Several times the size of its text, but not a value per name: those alone would take as much.
    assert!(grown < 400, "{grown} MiB");
    assert_eq!(dairy.journal().count("/simple/"), 1);
}
