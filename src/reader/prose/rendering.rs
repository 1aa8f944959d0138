//! A description in whatever markup, as HTML that can only be read.

use crate::reader::prose::clean::clean;
use crate::reader::prose::kind::ProseKind;
use crate::reader::prose::linked::push_linked;
use crate::reader::prose::markdown::markdown;

/// Most of a description that is shown, in bytes. Nearly all are below 50 KiB; past this it is a book, and
/// what hostile markup costs grows with it.
pub(super) const SHOWN_BYTES_MAX: usize = 256 << 10;

/// A description, ready to stand in a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prose {
    /// Clean markup.
    pub html: String,
    /// Whether something is missing at the end.
    pub is_cut: bool,
}

/// Renders a description. reStructuredText is shown as it is written, with its URLs as links: it is made
/// to be read that way.
#[must_use]
pub fn prose(kind: ProseKind, text: &str) -> Prose {
    let shown = &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)];
    let mut prose = match kind {
        ProseKind::Markdown => clean(&markdown(shown)).unwrap_or_else(|_| preformatted(shown)),
        ProseKind::Restructured | ProseKind::Plain => preformatted(shown),
    };
    prose.is_cut |= shown.len() < text.len();
    prose
}

fn preformatted(text: &str) -> Prose {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    html.push_str("<pre class=\"plain\">");
    push_linked(text.trim_matches('\n'), &mut html);
    html.push_str("</pre>");
    Prose {
        html,
        is_cut: false,
    }
}
