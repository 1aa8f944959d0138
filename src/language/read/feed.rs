//! The entries of `advisories:`: paths, and feeds that are fetched.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::advisory::Advisories;
use crate::language::document::Placed;
use crate::language::documents::Document;
use crate::language::feed::{Feed, WhenStale};
use crate::language::read::fields::Notes;
use crate::language::read::files::Files;
use crate::language::read::keys::{Choice, Misread, Shape, Word, YamlKey, key, kind, one};
use crate::language::read::tree::{Node, Value};
use crate::language::read::words::HttpUrl;
use crate::model::{Fault, FeedLimits};

/// How often a feed is asked for, and how long it is relied on, when nothing is said.
const EVERY: &str = "1h";
const MAX_AGE: &str = "3d";

/// The shortest time between two questions: each may be answered with tens of megabytes.
const EVERY_MIN: Duration = Duration::from_secs(1);

/// Longest name of a feed; it is a label.
const NAME_MAX: usize = 32;

/// The keys of a feed.
#[rustfmt::skip] // a table reads by rows
pub(super) const FEED: &[YamlKey] = &[
    key("url", one::<HttpUrl>(), "",
        "where it is: OSV's zip of an ecosystem, or one OSV document"),
    key("name", one::<FeedName>(), "",
        "what metrics and logs call it; made of the URL when absent"),
    key("every", one::<Duration>(), EVERY, "how often it is asked for"),
    key("max_age", one::<Duration>(), MAX_AGE,
        "for how long its last answer is relied on"),
    key("stale", one::<WhenStale>(), "deny",
        "what rules about advisories do after that, or before the first answer: refuse, or judge by what is held"),
    key("may_shrink", one::<bool>(), "false",
        "whether an answer with less than half of what is held is believed immediately"),
];

/// What `advisories` holds.
pub(super) const ADVISORIES: Shape = Shape::ManyOr(kind::<PathBuf>(), &[FEED]);

impl Choice for WhenStale {
    const WORDS: &'static [(&'static str, Self)] = &[("deny", Self::Deny), ("allow", Self::Allow)];
}

/// What a feed is called.
#[derive(Debug)]
struct FeedName(Arc<str>);

impl Word for FeedName {
    fn wanted() -> String {
        "a short name of a-z, 0-9 and -".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > NAME_MAX || !text.bytes().all(is_fit) {
            return Err(Misread::new(format!("{text:?} is not {}", Self::wanted())));
        }
        Ok(Self(text.into()))
    }
}

/// Reads the value of `advisories`.
pub(super) fn read(node: &Node, document: &mut Document, files: &mut dyn Files, notes: &mut Notes) {
    let entries = match &node.value {
        Value::Sequence(entries) => entries.as_slice(),
        Value::Nothing | Value::Scalar(_) | Value::Mapping(_) => std::slice::from_ref(node),
    };
    for entry in entries {
        if let Value::Mapping(_) = entry.value {
            document.feeds.extend(feed(entry, notes));
        } else if let Some(path) = notes.word::<PathBuf>("advisories", entry) {
            // Stands in for what cannot be read, so that rules which need it are not at fault as well.
            let read = files.advisories(&path.location, &path.value);
            let read = read.map_err(|fault| notes.note(fault));
            let read = Arc::new(read.unwrap_or_else(|()| Advisories::default()));
            document.advisories.push(Placed::at(&path.location, read));
        }
    }
    let most = FeedLimits::default().feeds;
    if document.feeds.len() > most {
        notes.note(Fault::at(&node.location, format!("more than {most} feeds")));
    }
}

fn feed(node: &Node, notes: &mut Notes) -> Option<Feed> {
    let fields = notes.fields(node, &[FEED]);
    let url = fields.placed::<HttpUrl>("url", notes);
    let name = fields.placed::<FeedName>("name", notes);
    let (every, max_age) = (
        fields.placed::<Duration>("every", notes),
        fields.one::<Duration>("max_age", notes),
    );
    let stale = fields.one("stale", notes).unwrap_or_default();
    let may_shrink = fields.one("may_shrink", notes).unwrap_or_default();
    if fields.node("url").is_none() {
        let fault = Fault::at(&node.location, "a feed without a url");
        notes.note(fault.hint("write { url: \"https://advisories.example/PyPI/all.zip\" }"));
    }
    let url = url?;
    let name = name.map(|name| name.map(|FeedName(name)| name));
    let name = name.unwrap_or_else(|| Placed::at(&url.location, named_by(&url.value.0)));
    let default = |text| Duration::read(text).unwrap_or_default();
    let max_age = max_age.unwrap_or_else(|| default(MAX_AGE));
    let every = match every {
        Some(every) if every.value < EVERY_MIN || every.value > max_age / 2 => {
            let what = "every: not between a second and half of max_age";
            notes.note(Fault::at(&every.location, what));
            return None;
        }
        Some(every) => every.value,
        None => default(EVERY).min(max_age / 2),
    };
    Some(Feed {
        name,
        url: url.value.0,
        every,
        max_age,
        stale,
        may_shrink,
        held: None,
    })
}

/// A name made of the last words of a path: `pypi` of `…/PyPI/all.zip`.
fn named_by(url: &Url) -> Arc<str> {
    let words = url.path().split('/').filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    let stem = |word: &str| {
        word.rsplit_once('.')
            .map_or(word, |(stem, _)| stem)
            .to_owned()
    };
    let chosen = match words.as_slice() {
        [.., above, last] if stem(last).eq_ignore_ascii_case("all") => stem(above),
        [.., last] => stem(last),
        [] => url.host_str().unwrap_or_default().to_owned(),
    };
    let chosen = chosen.to_ascii_lowercase();
    let fit = chosen.chars().map(|character| match character {
        'a'..='z' | '0'..='9' => character,
        _ => '-',
    });
    let name: String = fit.take(NAME_MAX).collect();
    match name.is_empty() {
        true => "feed".into(),
        false => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_called_by_the_end_of_its_path() {
        for (url, name) in [
            ("https://advisories.example/PyPI/all.zip", "pypi"),
            ("https://advisories.example/osv/our_own.json", "our-own"),
            ("https://advisories.example/", "advisories-example"),
        ] {
            assert_eq!(&*named_by(&Url::parse(url).unwrap()), name);
        }
    }
}
