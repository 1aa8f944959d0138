//! What a door shows of a house: pages in both formats, and devpi's objects with their links.

use std::collections::BTreeMap;

use super::super::support::{Asked, Got, House};

pub(super) const JSON: &str = "application/vnd.pypi.simple.v1+json";
pub(super) const HTML: &str = "application/vnd.pypi.simple.v1+html";

/// The files on a page: each one's path below the index, and its yank reason if it has one.
pub(super) type Shown = BTreeMap<String, Option<String>>;

/// A house as one door shows it.
#[derive(Clone, Copy)]
pub(super) struct Through<'a> {
    pub(super) house: &'a House,
    pub(super) is_manage: bool,
}

impl Through<'_> {
    pub(super) async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Got {
        let asked = Asked::public("GET", target, headers);
        let asked = if self.is_manage {
            asked.at_management()
        } else {
            asked
        };
        self.house.ask(&asked).await
    }

    pub(super) async fn page(&self, index: &str, project: &str, form: &str) -> (Got, Shown) {
        let path = format!("/{index}/+simple/{project}/");
        let got = self.get(&path, &[("accept", form)]).await;
        if got.status != 200 {
            return (got, Shown::new());
        }
        let shown = if form == JSON {
            of_json(&got.body)
        } else {
            of_html(&got.text())
        };
        (got, shown)
    }

    /// devpi's object of a project and its versions, each of which must equal the object at its own
    /// URL.
    pub(super) async fn object(&self, index: &str, project: &str) -> (Got, serde_json::Value) {
        let headers = [("accept", "application/json"), ("host", HOST)];
        let got = self.get(&format!("/{index}/{project}"), &headers).await;
        // A devpi-server's own "not found" may have any format.
        let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap_or_default();
        let versions = body["result"].clone();
        for (version, data) in versions.as_object().into_iter().flatten() {
            let alone = self
                .get(&format!("/{index}/{project}/{version}"), &headers)
                .await;
            let alone: serde_json::Value = serde_json::from_slice(&alone.body).unwrap();
            assert_eq!(alone["result"], *data, "{version} of {project} in {index}");
        }
        (got, versions)
    }
}

/// The host name under which objects are requested.
pub(super) const HOST: &str = "devpi.example";

/// The links of an object: each file's index and its path below that.
pub(super) fn links(value: &serde_json::Value) -> Vec<(String, String)> {
    let href = |link: &serde_json::Value| {
        let href = link["href"].as_str().unwrap();
        let below = href.strip_prefix(&format!("http://{HOST}/")).unwrap();
        let (index, path) = below.split_once("/+f/").unwrap();
        (index.to_owned(), format!("+f/{path}"))
    };
    let mut found = Vec::new();
    let versions = value.as_object().into_iter().flatten();
    for (_, data) in versions {
        let shadowed = data["+shadowing"].as_array().into_iter().flatten();
        for data in [data].into_iter().chain(shadowed) {
            found.extend(data["+links"].as_array().into_iter().flatten().map(href));
        }
    }
    found
}

fn of_json(body: &[u8]) -> Shown {
    let page: serde_json::Value = serde_json::from_slice(body).unwrap();
    let files = page["files"].as_array().unwrap().iter();
    files
        .map(|file| {
            let path = file["url"].as_str().unwrap().trim_start_matches("../");
            (path.to_owned(), file["yanked"].as_str().map(str::to_owned))
        })
        .collect()
}

fn of_html(text: &str) -> Shown {
    let links = text.split("<a href=\"../../").skip(1);
    links
        .map(|link| {
            let (head, _) = link.split_once('>').unwrap();
            let (path, _) = head.split_once('#').unwrap();
            let yanked = head.split_once("data-yanked=\"").map(|(_, rest)| {
                let (reason, _) = rest.split_once('"').unwrap();
                reason
                    .replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&amp;", "&")
            });
            (path.to_owned(), yanked)
        })
        .collect()
}
