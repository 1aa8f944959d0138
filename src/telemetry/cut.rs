//! How much of a client's text is kept in memory or written down.
//!
//! A request may be as large as its limits allow, and a client may repeat it as often as it likes: logs and
//! tables keep the beginning of such a text, which is enough to recognise it.

use std::sync::Arc;

/// Bytes kept of a name: a user, a file, an id. Valid ones are shorter.
pub const NAME_MAX: usize = 255;

/// Bytes kept of a request's method or path: a file's URL has below 1 KiB.
pub const PATH_MAX: usize = 2048;

/// Bytes kept of a client's own description of itself. uv's is the longest known, at about 300.
pub const AGENT_MAX: usize = 512;

/// Bytes kept of a sentence, such as the reason for a refusal.
pub const REASON_MAX: usize = 1024;

/// The beginning of a text, at most `bytes_max` bytes of it.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Shortens a kept text, and marks it as shortened.
pub(super) fn shortened(text: &mut Option<Arc<str>>, bytes_max: usize) {
    if let Some(long) = text.as_deref().filter(|text| text.len() > bytes_max) {
        let beginning = format!("{}…", cut(long, bytes_max));
        *text = Some(beginning.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, bytes_max, expected) in [
            ("short", 10, "short"),
            ("exact", 5, "exact"),
            ("exactly", 5, "exact"),
            ("ééé", 3, "é"),
            ("", 0, ""),
        ] {
            assert_eq!(cut(text, bytes_max), expected);
        }
    }

    #[test]
    fn a_shortened_text_shows_that_it_was() {
        for (text, expected) in [
            (None, None),
            (Some("kept"), Some("kept")),
            (Some("longer"), Some("long…")),
        ] {
            let mut kept = text.map(Arc::from);
            shortened(&mut kept, 4);
            assert_eq!(kept.as_deref(), expected);
        }
    }
}
