//! Rules decide by the length that a page states, so the file has to have it.

use super::*;

/// The real length of every file, which is above the rule's limit.
const LENGTH: usize = 5000;

fn policies_by_size(dairy: &FakeIndex) -> String {
    let url = dairy.url();
    format!(
        "indexes:
  root/dairy: {{ type: mirror, mirror_url: \"{url}\" }}
  shop/any: {{ bases: [root/dairy] }}
  shop/small: {{ bases: [root/dairy], policy: small }}
policies:
  small: {{ rules: [deny: {{ size_over: 1KiB }}] }}
"
    )
}

fn listed(project: &str, stated: Option<u64>) -> Project {
    let filename = format!("{project}-1.0.zip");
    let content = Content::Bytes(patterned(LENGTH));
    let file = Listed::new(&filename, "1.0", content);
    Project::new(project).file(match stated {
        Some(stated) => file.stating_size(stated),
        None => file,
    })
}

async fn url_below(web: &Web, shop: &Program, index: &str, project: &str) -> String {
    let page = format!("{}{project}/", shop.index_url(index));
    web.page(&page).await.url_of(&format!("{project}-1.0.zip"))
}

#[tokio::test]
async fn a_file_of_another_length_than_its_page_says_is_not_served() {
    // Overstating the size does not evade the rule, but it is a lie all the same.
    let setup = Setup::default().project(listed("brie", Some(10)));
    let setup = setup.project(listed("curd", Some(1_000_000)));
    let dairy = setup.project(listed("feta", None)).start();
    let shop = Program::with_policies(&policies_by_size(&dairy)).start();
    let web = Web::new();
    // The last one states the truth. All have the same bytes, so these are on disk in the second
    // round.
    for _ in 0..2 {
        for (index, project) in [
            ("shop/small", "brie"),
            ("shop/any", "brie"),
            ("shop/any", "curd"),
        ] {
            let url = url_below(&web, &shop, index, project).await;
            let got = web.get(&url).await;
            assert_eq!(got.status, 502, "{url}: {}", got.text());
            assert!(
                got.text().contains("not what it claims to be"),
                "{}",
                got.text()
            );
        }
        let url = url_below(&web, &shop, "shop/any", "feta").await;
        assert_eq!(web.get(&url).await.status, 200);
    }
}

#[tokio::test]
async fn a_length_that_was_learned_decides_from_then_on() {
    let small = Listed::new("brie-1.0.zip", "1.0", Content::Bytes(patterned(500)));
    let setup = Setup::default().without_sizes();
    let dairy = setup.project(Project::new("brie").file(small)).start();
    let shop = Program::with_policies(&policies_by_size(&dairy)).start();
    let web = Web::new();
    let url = url_below(&web, &shop, "shop/any", "brie").await;
    let below_rule = url.replace("/shop/any/", "/shop/small/");
    let refused = web.get(&below_rule).await;
    assert_eq!(refused.status, 403, "nobody says how long it is");
    assert_eq!(web.get(&url).await.status, 200);
    // What was learned is recorded after the last byte has been sent.
    let mut tries = 0;
    while web.get(&below_rule).await.status != 200 {
        tries += 1;
        assert!(tries < 10_000, "{}", web.get(&below_rule).await.text());
    }
}
