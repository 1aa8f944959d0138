//! The head and the body of a metadata file, which has the form of a mail (core metadata specification).

use std::borrow::Cow;

/// The fields of a head, in order, each with its continuation lines as they are; then the body.
#[derive(Debug, Clone)]
pub(super) struct Headers<'a> {
    rest: &'a str,
    body: &'a str,
}

impl<'a> Headers<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self {
            rest: text,
            body: "",
        }
    }

    /// What follows the empty line; known once every field has been taken.
    pub(super) fn body(&self) -> &'a str {
        self.body
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (line, mut after) = split_line(self.rest);
            if line.is_empty() {
                (self.rest, self.body) = ("", after);
                return None;
            }
            while after.starts_with([' ', '\t']) {
                (_, after) = split_line(after);
            }
            let field = &self.rest[..self.rest.len() - after.len()];
            self.rest = after;
            // Text before the first field, or a line that is none, continues nothing.
            let colon = line.find(':').filter(|_| !line.starts_with([' ', '\t']));
            if let Some(colon) = colon {
                return Some((line[..colon].trim(), &field[colon + 1..]));
            }
        }
        None
    }
}

/// A value on one line.
pub(super) fn joined(value: &str) -> Cow<'_, str> {
    let value = value.trim();
    if !value.contains('\n') {
        return Cow::Borrowed(value);
    }
    let lines = value.lines().map(str::trim);
    Cow::Owned(lines.collect::<Vec<_>>().join(" "))
}

/// A value of several lines, without the indentation of its continuation lines: eight blanks, or seven and a
/// bar.
pub(super) fn unfolded(value: &str) -> String {
    let plain = |line: &str| -> String {
        let folded = ["        ", "       |"];
        let text = folded.iter().find_map(|mark| line.strip_prefix(mark));
        let text = text.or_else(|| line.strip_prefix([' ', '\t']));
        text.unwrap_or(line).to_owned()
    };
    let mut lines = value.lines();
    let first = lines.next().unwrap_or_default().trim().to_owned();
    let lines = std::iter::once(first).chain(lines.map(plain));
    lines.collect::<Vec<_>>().join("\n")
}

/// The first line, without its end, and the text after it.
fn split_line(text: &str) -> (&str, &str) {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    (line.strip_suffix('\r').unwrap_or(line), after)
}
