//! Markdown as HTML, not clean yet.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, html};

/// Most events that are written: a table of one wide row and many short ones has cells for all of them.
const EVENTS_MAX: usize = 100_000;

/// Writes CommonMark with GitHub's tables, lists of tasks and struck text.
pub(super) fn markdown(text: &str) -> String {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(text, options).take(EVENTS_MAX);
    let mut out = String::with_capacity(text.len());
    html::push_html(&mut out, events.map(without_source));
    out
}

/// No image is loaded, and one that is written out as data is long.
fn without_source(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Start(Tag::Image {
            link_type,
            title,
            id,
            ..
        }) => Event::Start(Tag::Image {
            link_type,
            dest_url: CowStr::Borrowed(""),
            title,
            id,
        }),
        other => other,
    }
}
