//! Clients that already have a file get a 304 without the file being opened, and only where they
//! would get a 200.

use super::super::support::Form;
use super::*;

const GENERATION: &str = "cheesecloth_policy_generation";

fn tag_of(content: &[u8]) -> String {
    format!("\"{}\"", Sha256::of(content).to_hex())
}

#[tokio::test]
async fn who_has_a_file_is_told_so_while_its_bytes_are_gone() {
    let content = patterned(MIB);
    let (dairy, data) = (dairy(&content), tempfile::tempdir().unwrap());
    let shop = Program::with_policies(&policies(&dairy, ""))
        .data(data.path())
        .start();
    let web = Web::new();
    let url = url_of(&web, &shop).await;
    assert!(web.get(&url).await.body == content);
    shop.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
    let whole = web.get(&url).await;
    assert!(whole.body == content);
    for path in kept(data.path(), "files") {
        fs::remove_file(path).unwrap();
    }
    let etag = tag_of(&content);
    let uploaded = whole.header("last-modified").to_owned();
    assert!(!uploaded.is_empty());
    for condition in [
        ("if-none-match", etag.clone()),
        ("if-none-match", format!("\"other\", W/{etag}")),
        ("if-modified-since", uploaded),
    ] {
        let condition = [(condition.0, condition.1.as_str())];
        for got in [
            web.get_with(&url, &condition).await,
            web.head_with(&url, &condition).await,
        ] {
            assert_eq!((got.status, got.body.len()), (304, 0), "{condition:?}");
            let of_content = ["etag", "cache-control", "accept-ranges", "last-modified"];
            for name in of_content {
                assert_eq!(got.header(name), whole.header(name), "{condition:?}");
            }
            assert_eq!(got.header("content-type"), "");
            assert_eq!(got.header("cache-status"), "cheesecloth; hit");
        }
    }
    assert_eq!(dairy.journal().count(UPSTREAM_PATH), 1, "it was fetched");
    let other = [("if-none-match", "\"other\"")];
    assert!(web.get_with(&url, &other).await.body == content);
    assert_eq!(dairy.journal().count(UPSTREAM_PATH), 2);
}

#[tokio::test]
async fn what_is_refused_is_refused_to_who_has_it_too() {
    let content = patterned(MIB);
    let dairy = dairy(&content);
    let shop = shop(&dairy);
    let web = Web::new();
    let url = url_of(&web, &shop).await;
    let (etag, mut statuses) = (tag_of(&content), Vec::new());
    for _ in 0..3 {
        let got = web.get_with(&url, &[("if-none-match", &etag)]).await;
        statuses.push(got.status);
        shop.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
    }
    assert_eq!(statuses, [304, 304, 304]);
    let shut = policies(&dairy, ", policy: shut")
        + "policies: { shut: { rules: [{ deny: { kind: [sdist], reason: holes } }] } }\n";
    shop.write_policies(&shut);
    shop.hang_up();
    shop.wait_for_metric(GENERATION, |generation| generation >= 2.0);
    let refused = web.get_with(&url, &[("if-none-match", &etag)]).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
}

#[tokio::test]
async fn of_an_uploaded_file_that_is_known_to_be_damaged_nobody_hears_that_it_is_unchanged() {
    let wheel = Wheel::new("wide", "1.0").data(300_000);
    let (content, data) = (wheel.build(), tempfile::tempdir().unwrap());
    let yaml = "indexes:\n  packages/stable: { volatile: false, acl_upload: [':ANONYMOUS:'] }\n\
                limits: { verify_pace: 0B }\n";
    let shop = Program::with_policies(yaml).data(data.path()).start();
    let form = Form::of("wide", "1.0", &wheel.filename(), &content);
    let posted = form.post(&format!("{}packages/stable/", shop.manage_url()));
    assert_eq!(posted.unwrap().status, 200);
    let web = Web::new();
    let page = format!("{}wide/", shop.index_url("packages/stable"));
    let url = web.page(&page).await.url_of(&wheel.filename());
    let etag = tag_of(&content);
    let condition = [("if-none-match", etag.as_str())];
    assert!(web.get(&url).await.body == content);
    assert_eq!(web.get_with(&url, &condition).await.status, 304);
    for path in kept(data.path(), "private") {
        if path.extension().is_none() {
            fs::write(path, &content[1..]).unwrap();
        }
    }
    assert_eq!(web.get(&url).await.status, 500);
    let refused = web.get_with(&url, &condition).await;
    assert_eq!(refused.status, 500, "{}", refused.text());
}
