//! A file of the configuration by its lines, and where rules can be written into it.

use crate::config::put_rules::RuleText;
use crate::language::Node;
use crate::model::Location;

/// A text by its lines.
pub(super) struct Lines<'a> {
    text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
    pub(super) newline: &'static str,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let is_windows = text
            .split_once('\n')
            .is_some_and(|(line, _)| line.ends_with('\r'));
        Self {
            text,
            starts: std::iter::once(0).chain(ends).collect(),
            newline: if is_windows { "\r\n" } else { "\n" },
        }
    }

    /// The byte at a place.
    pub(super) fn at(&self, place: &Location) -> Option<usize> {
        let line = usize::try_from(place.line).ok()?.checked_sub(1)?;
        let column = usize::try_from(place.column).ok()?.checked_sub(1)?;
        let start = *self.starts.get(line)?;
        let mut rest = self.text[start..].char_indices();
        let at = match rest.nth(column) {
            Some((offset, _)) => start + offset,
            None => self.text.len(),
        };
        Some(at)
    }

    /// The first byte of a key's value, after its anchor. Where the YAML reader has a list begin differs with
    /// its indentation; where a key stands does not.
    pub(super) fn value_of(&self, key: &Location, name: &str) -> Option<usize> {
        let at = self.at(key)?;
        let spelled = [name.to_owned(), format!("\"{name}\""), format!("'{name}'")];
        let spelled = spelled
            .iter()
            .find(|one| self.text[at..].starts_with(*one))?;
        let after = self.text[at + spelled.len()..].trim_start_matches(' ');
        let after = after.strip_prefix(':')?;
        let mut at = self.text.len() - after.len();
        loop {
            let rest = &self.text[at..];
            let next = rest.chars().next()?;
            at += match next {
                '&' => rest.find(char::is_whitespace)?,
                '#' => rest.find('\n')?,
                blank if blank.is_whitespace() => blank.len_utf8(),
                _ => return Some(at),
            };
        }
    }

    /// The end of the line in which a key stands, where a new line can begin.
    pub(super) fn end_of(&self, key: &Location) -> Option<usize> {
        let line = usize::try_from(key.line).ok()?;
        // Of the last line nothing follows, so nothing stands below the key.
        self.starts.get(line).copied()
    }

    /// What stands before a byte in its line, if that is nothing but blanks.
    pub(super) fn indent_of(&self, at: usize) -> Option<&'a str> {
        let line = self
            .starts
            .partition_point(|start| *start <= at)
            .checked_sub(1)?;
        let before = &self.text[*self.starts.get(line)?..at];
        before.chars().all(|one| one == ' ').then_some(before)
    }

    /// The rules as lines of a list.
    pub(super) fn block(&self, indent: &str, rules: &[RuleText]) -> String {
        let lines = rules.iter().flat_map(|rule| &rule.block);
        let lines = lines.map(|line| format!("{indent}{line}{}", self.newline));
        lines.collect()
    }

    /// The rules as entries of a list in brackets, of which the first would stand at a byte.
    pub(super) fn in_flow(
        &self,
        at: usize,
        key: &Location,
        rules: &[RuleText],
    ) -> Option<(usize, String)> {
        let line = usize::try_from(key.line).ok()?.checked_sub(1)?;
        let line = &self.text[*self.starts.get(line)?..];
        let blanks = line.len() - line.trim_start_matches(' ').len();
        let indent = " ".repeat(blanks + 4);
        let mut put = String::new();
        for rule in rules {
            put.push_str(&format!("{}{indent}{},", self.newline, rule.flow));
        }
        let rest = self.text[at..].trim_start();
        if rest.starts_with(']') {
            put.pop();
        }
        // What follows in the same line begins a line of its own, unless nothing does.
        let follows = self.text[at..]
            .split('\n')
            .next()
            .unwrap_or_default()
            .trim();
        if !follows.is_empty() {
            put.push_str(&format!("{}{}", self.newline, &indent[2..]));
        }
        Some((at, put))
    }

    /// The rules as lines above a rule and its comments.
    pub(super) fn before_in_block(
        &self,
        next: &Node,
        rules: &[RuleText],
    ) -> Option<(usize, String)> {
        let (mut line, indent) = self.dash_of(next)?;
        while line > 0 && self.is_comment(line - 1, indent) {
            line -= 1;
        }
        Some((*self.starts.get(line)?, self.block(indent, rules)))
    }

    /// The rules as lines below the last rule.
    pub(super) fn last_in_block(&self, last: &Node, rules: &[RuleText]) -> Option<(usize, String)> {
        let (first, indent) = self.dash_of(last)?;
        let belongs = |line: &usize| {
            let text = self.line(*line).unwrap_or_default();
            let blanks = text.len() - text.trim_start_matches(' ').len();
            let is_empty = text.trim().is_empty() || text.trim_start().starts_with('#');
            (is_empty || blanks > indent.len(), is_empty)
        };
        let below = (first + 1..self.starts.len()).take_while(|line| belongs(line).0);
        let end = below
            .filter(|line| !belongs(line).1)
            .last()
            .unwrap_or(first);
        let put = self.block(indent, rules);
        match self.starts.get(end + 1) {
            Some(at) => Some((*at, put)),
            None => Some((self.text.len(), format!("{}{put}", self.newline))),
        }
    }

    /// The rules as entries of a list in brackets, before another.
    pub(super) fn before_in_flow(
        &self,
        next: &Node,
        rules: &[RuleText],
    ) -> Option<(usize, String)> {
        let at = self.at(&next.location)?;
        let indent = self.indent_of(at);
        let gap = indent.map_or(" ".to_owned(), |indent| format!("{}{indent}", self.newline));
        let put = rules.iter().map(|rule| format!("{},{gap}", rule.flow));
        Some((at, put.collect()))
    }

    /// The rules as the last entries of a list in brackets, which are opened at a byte.
    pub(super) fn last_in_flow(&self, start: usize, rules: &[RuleText]) -> Option<(usize, String)> {
        let list = self.closed(start)?;
        let comma = if list.has_comma { "" } else { "," };
        let flows = |gap: &str| {
            let flows: Vec<&str> = rules.iter().map(|rule| &*rule.flow).collect();
            flows.join(gap)
        };
        let newline = self.newline;
        Some(match self.indent_of(list.bracket) {
            // A comma cannot be put behind a comment.
            Some(indent) if list.is_commented => {
                let gap = format!(",{newline}{indent}  ");
                let put = format!("{indent}  {comma}{}{newline}", flows(&gap));
                (list.bracket - indent.len(), put)
            }
            Some(indent) => {
                let gap = format!("{newline}{indent}  ");
                let put = format!("{comma}{gap}{}", flows(&format!(",{gap}")));
                (list.end, put)
            }
            None => (list.end, format!("{comma} {}", flows(", "))),
        })
    }

    /// Where a list in brackets ends that is opened at a byte.
    fn closed(&self, start: usize) -> Option<Closed> {
        let mut list = Closed::default();
        let (mut depth, mut quote, mut before, mut is_comment) = (0_usize, None, ' ', false);
        for (offset, one) in self.text[start..].char_indices() {
            let at = start + offset;
            match (one, quote) {
                ('\n', _) => is_comment = false,
                _ if is_comment => {}
                (_, Some(open)) => quote = quote.filter(|_| one != open || before == '\\'),
                ('"' | '\'', None) if !before.is_alphanumeric() => quote = Some(one),
                ('#', None) if before.is_whitespace() => {
                    is_comment = true;
                    list.is_commented = true;
                }
                ('[' | '{', None) => depth += 1,
                (']' | '}', None) => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        list.bracket = at;
                        return Some(list);
                    }
                }
                _ => {}
            }
            if !is_comment && !one.is_whitespace() {
                list.has_comma = one == ',';
                list.is_commented = false;
                list.end = at + one.len_utf8();
            }
            before = one;
        }
        None
    }

    /// The line of a rule in a list of lines, and what stands before its dash.
    fn dash_of(&self, rule: &Node) -> Option<(usize, &'a str)> {
        let line = usize::try_from(rule.location.line).ok()?.checked_sub(1)?;
        let text = self.line(line)?;
        let indent = &text[..text.len() - text.trim_start_matches(' ').len()];
        text[indent.len()..]
            .starts_with("- ")
            .then_some((line, indent))
    }

    fn is_comment(&self, line: usize, indent: &str) -> bool {
        let text = self.line(line).unwrap_or_default();
        text.strip_prefix(indent)
            .is_some_and(|text| text.starts_with('#'))
    }

    fn line(&self, line: usize) -> Option<&'a str> {
        let start = *self.starts.get(line)?;
        self.text[start..].split('\n').next()
    }
}

/// The end of a list in brackets.
#[derive(Debug, Default)]
struct Closed {
    /// Where its bracket stands.
    bracket: usize,
    /// The byte after the last entry, or after the comma behind it.
    end: usize,
    has_comma: bool,
    /// Whether a comment follows there.
    is_commented: bool,
}
