//! What somebody looks for, read within limits: it is untrusted text.

use crate::search::words::words_of;

/// Longest text that is looked at, in characters: three times the longest name in use.
pub const QUERY_CHARS_MAX: usize = 100;

/// Most words that are looked for; each costs a look into the dictionary.
pub const WORDS_MAX: usize = 8;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchQuery {
    typed: String,
    words: Vec<String>,
    name: String,
    is_cut: bool,
    /// Whether one of the words is enough.
    is_either: bool,
}

impl SearchQuery {
    /// Reads what was typed.
    #[must_use]
    pub fn parse(typed: &str) -> Self {
        let whole = typed.trim();
        let typed: String = whole.chars().take(QUERY_CHARS_MAX).collect();
        let words: Vec<String> = words_of(&typed).take(WORDS_MAX).collect();
        let is_cut = typed.len() < whole.len() || words_of(&typed).nth(WORDS_MAX).is_some();
        Self {
            name: words.join("-"),
            typed,
            words,
            is_cut,
            is_either: false,
        }
    }

    /// The same, of which one word is enough.
    #[must_use]
    pub fn either(typed: &str) -> Self {
        Self {
            is_either: true,
            ..Self::parse(typed)
        }
    }

    /// What is looked for in turn: all of it, and each word where one is enough.
    pub fn alternatives(&self) -> impl Iterator<Item = Self> + '_ {
        let each = self
            .words
            .iter()
            .filter(|_| self.is_either && self.words.len() > 1);
        std::iter::once(self.clone()).chain(each.map(|word| Self::parse(word)))
    }

    /// Whether more was typed than is looked for.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What was typed, as far as it is looked at.
    #[must_use]
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// The words, each of which has to be found.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Spelled like a project's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_read_as_a_name_and_as_words() {
        for (typed, name) in [
            (" Hello.Pkg ", "hello-pkg"),
            ("a b", "a-b"),
            ("<script>", "script"),
            ("--__", ""),
            ("", ""),
        ] {
            let query = SearchQuery::parse(typed);
            assert_eq!(query.name(), name, "{typed}");
            assert_eq!(query.is_empty(), name.is_empty(), "{typed}");
        }
        assert_eq!(
            SearchQuery::parse(&"é".repeat(9999))
                .typed()
                .chars()
                .count(),
            QUERY_CHARS_MAX
        );
        assert_eq!(
            SearchQuery::parse(&"a ".repeat(99)).words().len(),
            WORDS_MAX
        );
    }
}
