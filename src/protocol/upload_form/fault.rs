//! What is wrong with a form, in words for people: it ends up in a status line.

use std::fmt;

/// Longest part of a request's text that is repeated in a fault, in characters.
const QUOTED_MAX: usize = 100;

/// One thing that is wrong with a form, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FormFault(pub String);

/// Everything that is wrong with a form, in devpi's order of checks; never empty. One line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormFaults(pub Vec<FormFault>);

impl fmt::Display for FormFaults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for FormFaults {}

/// A text of the request, short and on one line: it ends up in a status line.
pub(super) fn quoted(text: &str) -> String {
    let shown = text.chars().take(QUOTED_MAX);
    shown
        .map(|character| {
            if character.is_control() {
                '?'
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_says_is_quoted_on_one_short_line() {
        assert_eq!(quoted("a\r\nSet-Cookie: x"), "a??Set-Cookie: x");
        assert_eq!(quoted(&"ä".repeat(500)).chars().count(), QUOTED_MAX);
    }
}
