//! A place in an operator's file, and what is wrong there.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in a file; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// The path as the operator named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl Location {
    /// File and line for readers who may not be the operator: where the file is on the disk is not their
    /// business.
    #[must_use]
    pub fn for_strangers(&self) -> String {
        let file = Path::new(&*self.file);
        let name = file.file_name().filter(|_| file.is_absolute());
        let shown = name.map_or_else(|| self.file.as_ref().into(), |name| name.to_string_lossy());
        format!("{shown}:{}", self.line)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Something wrong in the operator's files: `file:line:column: what, did you mean "…"?`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where; `None` for faults outside files, such as a bad environment variable.
    pub location: Option<Location>,
    /// What is wrong, lower case, no full stop.
    pub what: String,
    /// What was probably meant, or what to do.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault at a place.
    #[must_use]
    pub fn at(location: &Location, what: impl Into<String>) -> Self {
        Self {
            location: Some(location.clone()),
            what: what.into(),
            hint: None,
        }
    }

    /// A fault at a place, if it has one.
    #[must_use]
    pub fn perhaps_at(location: Option<&Location>, what: impl Into<String>) -> Self {
        Self {
            location: location.cloned(),
            ..Self::nowhere(what)
        }
    }

    /// A fault outside files.
    #[must_use]
    pub fn nowhere(what: impl Into<String>) -> Self {
        Self {
            location: None,
            what: what.into(),
            hint: None,
        }
    }

    /// Adds a hint on what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds `did you mean "…"?` when one of the known words is close to the written one.
    #[must_use]
    pub fn did_you_mean<'a>(self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match suggest(written, known) {
            Some(word) => self.hint(format!("did you mean \"{word}\"?")),
            None => self,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(formatter, "{location}: ")?;
        }
        formatter.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(formatter, ", {hint}"),
            None => Ok(()),
        }
    }
}

/// Every fault found, one per line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Notes one more.
    pub fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// `Ok(value)` if there are none, otherwise all of them in the order of the files.
    ///
    /// # Errors
    /// The faults themselves.
    pub fn or<T>(mut self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort();
        self.0.dedup();
        Err(self)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// The known word closest to the written one, if it is close enough to have been meant.
#[must_use]
pub fn suggest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near_enough = (written.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (edit_distance(written, word), word))
        .filter(|(distance, _)| *distance <= near_enough)
        .min()
        .map(|(_, word)| word)
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
fn edit_distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=right.len()).collect();
    for i in 1..=left.len() {
        for j in 1..=right.len() {
            let cost = usize::from(left[i - 1] != right[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(rows[i][j - 1] + 1)
                .min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_not_told_where_on_the_disk_a_file_is() {
        for (file, shown) in [
            ("policies/web.yaml", "policies/web.yaml:14"),
            ("/srv/cheesecloth/policies/web.yaml", "web.yaml:14"),
            ("web.yaml", "web.yaml:14"),
        ] {
            let location = Location {
                file: file.into(),
                line: 14,
                column: 7,
            };
            assert_eq!(location.for_strangers(), shown);
        }
    }

    #[test]
    fn a_fault_reads_as_compilers_print_them() {
        let location = Location {
            file: "policies/web.yaml".into(),
            line: 14,
            column: 7,
        };
        let fault = Fault::at(&location, "unknown base \"root/pypii\"")
            .did_you_mean("root/pypii", ["root/dev", "root/pypi"]);
        assert_eq!(
            fault.to_string(),
            "policies/web.yaml:14:7: unknown base \"root/pypii\", did you mean \"root/pypi\"?"
        );
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        assert_eq!(suggest("basse", ["bases", "title"]), Some("bases"));
        assert_eq!(suggest("xyz", ["bases", "title"]), None);
        assert_eq!(suggest("", ["bases"]), None);
    }
}
