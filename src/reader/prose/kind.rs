//! What a description is written in.

/// The markup of a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProseKind {
    /// Markdown, in GitHub's dialect or CommonMark.
    Markdown,
    /// reStructuredText.
    Restructured,
    /// None, or one that is not known here.
    Plain,
}

impl ProseKind {
    /// Reads `Description-Content-Type`. Without one it is reStructuredText, as the core metadata
    /// specification has it.
    #[must_use]
    pub fn of(content_type: Option<&str>) -> Self {
        let Some(stated) = content_type.map(str::trim).filter(|text| !text.is_empty()) else {
            return Self::Restructured;
        };
        let kind = stated.split(';').next().unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            "text/markdown" | "text/x-markdown" => Self::Markdown,
            "text/x-rst" | "text/prs.fallenstein.rst" => Self::Restructured,
            _ => Self::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_as_they_are_met() {
        let table = [
            (None, ProseKind::Restructured),
            (Some(" "), ProseKind::Restructured),
            (Some("text/x-rst; charset=UTF-8"), ProseKind::Restructured),
            (Some("text/markdown"), ProseKind::Markdown),
            (
                Some("Text/Markdown; charset=UTF-8; variant=GFM"),
                ProseKind::Markdown,
            ),
            (Some("text/plain"), ProseKind::Plain),
            (Some("text/html"), ProseKind::Plain),
            (Some(";"), ProseKind::Plain),
        ];
        for (stated, expected) in table {
            assert_eq!(ProseKind::of(stated), expected, "{stated:?}");
        }
    }
}
