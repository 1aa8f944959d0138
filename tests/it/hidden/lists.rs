//! What tells of many indexes at once: the first page, a user's, a search. A public door's leaves out the
//! hidden ones, and what only they know.

use cheesecloth::testing::exchange::{RefusedLately, RefusedOften};

use super::{NOW, POLICIES, house, index};
use crate::support::{Asked, House};

#[tokio::test]
async fn the_first_page_tells_nothing_of_what_its_door_does_not_show() {
    let house = house(POLICIES).await;
    let often = [
        ("s/hidden", "one-of-the-house"),
        ("s/top", "leftpad"),
        ("s/top", "house-tool"),
    ];
    let often = often.map(|(at, project)| RefusedOften {
        index: index(at),
        project: project.into(),
        rule: "p/deny".into(),
        times: 7,
    });
    house.flows().core.overview.tell_refused(RefusedLately {
        since: NOW.parse().unwrap(),
        often: often.into(),
    });
    let asked = Asked::public("GET", "/", &[("accept", "text/html")]);
    let open = house.ask(&asked.at_management()).await.text();
    let shut = house.ask(&asked).await.text();
    // The upstream of a hidden mirror, what a hidden stage holds, what was refused there or has a name that it
    // reserves.
    for words in [
        "href=\"./m/hidden\"",
        "1 project, 3 files",
        "one-of-the-house",
        "house-tool",
    ] {
        assert!(open.contains(words), "{words} in {open}");
        assert!(!shut.contains(words), "{words} in {shut}");
    }
    assert!(shut.contains("leftpad"), "{shut}");
    let asked = Asked::public("GET", "/s/top", &[("accept", "text/html")]);
    let open = house.ask(&asked.at_management()).await.text();
    let shut = house.ask(&asked).await.text();
    assert!(open.contains("1 project, 3 files"), "{open}");
    assert!(!shut.contains("3 files"), "{shut}");
}

#[tokio::test]
async fn no_list_for_everybody_names_it_and_the_management_doors_do() {
    let house = house(POLICIES).await;
    house.catalogue().await;
    let json = [("accept", "application/json")];
    let html = [("accept", "text/html"), ("user-agent", "Mozilla/5.0")];
    for (target, headers) in [
        ("/", &json[..]),
        ("/s", &json),
        ("/m", &json),
        ("/lone", &json),
        ("/", &html),
        ("/s", &html),
        ("/m", &html),
        ("/lone", &html),
        ("/+search?q=se", &html),
        ("/+search?q=six", &html),
    ] {
        let asked = Asked::public("GET", target, headers);
        let (shut, open) = (
            house.ask(&asked).await,
            house.ask(&asked.at_management()).await,
        );
        // Indexes that inherit from it may name it as a base.
        let named = shut.text().replace("s/hidden, m/hidden", "");
        let named = named
            .replace("\"s/hidden\"", "")
            .replace("\"m/hidden\"", "");
        assert!(!named.contains("hidden"), "{target}: {named}");
        assert!(open.text().contains("hidden"), "{target}: {}", open.text());
    }
    let alone = |house, target| async move { House::get(house, target, &json).await.status };
    assert_eq!(
        alone(&house, "/lone").await,
        404,
        "a user that only it names"
    );
    assert_eq!(alone(&house, "/s").await, 200);
}
