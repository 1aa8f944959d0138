//! What a release says about itself, on its page: facts, links, requirements, classifiers.

use maud::{Markup, html};

use crate::model::{IndexName, ProjectName};
use crate::protocol::ReleaseMetadata;
use crate::reader::prose::web_url;
use crate::reader::web::way::Way;

/// Most links, requirements and classifiers that are shown of each.
const SHOWN_MAX: usize = 200;

/// Longest text in the list of facts, in characters; people read on elsewhere.
const FACT_CHARS_MAX: usize = 300;

/// The facts in a few words each.
pub fn facts(metadata: &ReleaseMetadata, python: Option<&str>) -> Markup {
    let joined = |field: &str| {
        let values = metadata.list(field);
        (!values.is_empty()).then(|| values.join(", "))
    };
    let author = metadata.text("author").or(metadata.text("author_email"));
    let maintainer = metadata
        .text("maintainer")
        .or(metadata.text("maintainer_email"));
    let extras = joined("provides_extras");
    let imports = joined("import_names");
    let licence = metadata.licence();
    let all = [
        ("Licence", licence.as_deref()),
        ("Python", metadata.text("requires_python").or(python)),
        ("Author", author),
        ("Maintainer", maintainer),
        ("Keywords", metadata.text("keywords")),
        ("Extras", extras.as_deref()),
        ("Imports", imports.as_deref()),
    ];
    let stated = all.into_iter();
    let stated = stated.filter_map(|(label, text)| Some((label, cut(text?))));
    let stated: Vec<_> = stated.collect();
    html! {
        @if stated.is_empty() {
            p.faint { "It says nothing." }
        } @else {
            dl.about { @for (label, text) in stated { dt { (label) } dd { (text) } } }
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(FACT_CHARS_MAX).collect()
}

/// Where the project says to look, as far as that is on the web.
pub fn links(metadata: &ReleaseMetadata) -> Markup {
    let links = metadata.links();
    let links = links.filter_map(|(label, url)| Some((label, web_url(url)?)));
    let links: Vec<_> = links.take(SHOWN_MAX).collect();
    html! {
        @if !links.is_empty() {
            ul.plain {
                @for (label, url) in links {
                    li { a href=(url) rel="nofollow noreferrer" { (label) } }
                }
            }
        }
    }
}

/// What it requires; each project as a link to this index.
pub fn requirements(metadata: &ReleaseMetadata, way: &Way, index: &IndexName) -> Markup {
    let required: Vec<_> = metadata.requirements().collect();
    html! {
        @if required.is_empty() {
            p.faint { "none" }
        } @else {
            ul.plain {
                @for one in required.iter().take(SHOWN_MAX) {
                    li {
                        @match ProjectName::parse(one.name) {
                            Ok(project) => { a href=(way.project(index, &project)) { (one.name) } " " }
                            Err(_) => { (one.name) }
                        }
                        (one.wanted)
                        @if !one.marker.is_empty() { " " span.faint { "; " (one.marker) } }
                    }
                }
            }
            @if required.len() > SHOWN_MAX { p.faint { "and " (required.len() - SHOWN_MAX) " more" } }
        }
    }
}

/// Its classifiers.
pub fn classifiers(metadata: &ReleaseMetadata) -> Markup {
    let all = metadata.list("classifiers");
    html! {
        @if !all.is_empty() {
            details {
                summary { "Classifiers" }
                ul.plain { @for one in all.iter().take(SHOWN_MAX) { li { (one) } } }
            }
        }
    }
}
