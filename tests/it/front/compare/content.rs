//! Whether two bodies have the same content.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use super::Pair;

/// A link on a page: file, digest, `data-requires-python`.
type Link = (String, String, String);

/// Whether two bodies agree: pages by their links, JSON by its values, all else byte for byte.
pub(super) fn is_same(pair: &Pair) -> bool {
    let (nginx, ours) = (pair.nginx.content(), pair.ours.content());
    if nginx == ours {
        return true;
    }
    if pair.nginx.status != pair.ours.status {
        return false;
    }
    let kind = |answer: &super::Answer| {
        let kind = answer.header("content-type");
        kind.split(';').next().unwrap_or_default().to_owned()
    };
    if kind(&pair.nginx) != kind(&pair.ours) {
        return false;
    }
    let (nginx, ours) = (
        without_places(pair.nginx.text()),
        without_places(pair.ours.text()),
    );
    if nginx == ours {
        return true;
    }
    let values: Option<(Value, Value)> = serde_json::from_str(&nginx)
        .ok()
        .zip(serde_json::from_str(&ours).ok());
    match values {
        Some((nginx, ours)) => match (links_of_json(&nginx), links_of_json(&ours)) {
            (Some(nginx), Some(ours)) => nginx == ours,
            _ => nginx == ours,
        },
        None => {
            let path = &pair.case.request.target;
            let is_page = nginx.contains("<a href=") && !path.contains("/+f/");
            is_page && links_of_html(&nginx) == links_of_html(&ours)
        }
    }
}

/// Without memory addresses, which devpi's own messages for invalid values contain.
fn without_places(text: String) -> String {
    let place = Regex::new("0x[0-9a-f]+").unwrap();
    place.replace_all(&text, "0x").into_owned()
}

fn links_of_json(page: &Value) -> Option<BTreeSet<Link>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(projects) = page["projects"].as_array() {
        let names = projects.iter().map(|project| text(&project["name"]));
        return Some(
            names
                .map(|name| (name, String::new(), String::new()))
                .collect(),
        );
    }
    let files = page["files"].as_array()?.iter();
    Some(
        files
            .map(|file| {
                (
                    text(&file["filename"]),
                    text(&file["hashes"]["sha256"]),
                    text(&file["requires-python"]),
                )
            })
            .collect(),
    )
}

fn links_of_html(page: &str) -> BTreeSet<Link> {
    let link = Regex::new(r#"<a href="([^"]*)"([^>]*)>([^<]*)</a>"#).unwrap();
    let wants = Regex::new(r#"data-requires-python="([^"]*)""#).unwrap();
    link.captures_iter(page)
        .map(|found| {
            let digest = found[1].split_once("#sha256=").map(|(_, digest)| digest);
            let wanted = wants.captures(&found[2]);
            (
                found[3].to_owned(),
                digest.unwrap_or_default().to_owned(),
                wanted
                    .map(|wanted| wanted[1].to_owned())
                    .unwrap_or_default(),
            )
        })
        .collect()
}
