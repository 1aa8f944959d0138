//! What of a file a URL asks for: its bytes, or what is told beside it under the same name.

/// What of a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskedPart {
    /// Its bytes.
    Whole,
    /// Its metadata (PEP 658).
    Metadata,
    /// Its provenance (PEP 740).
    Provenance,
}

impl AskedPart {
    /// Splits the last segment of a file's URL into the file's name and what is asked of it.
    #[must_use]
    pub fn split(name: &str) -> (&str, Self) {
        let beside = [Self::Metadata, Self::Provenance];
        let mut found = beside
            .iter()
            .filter_map(|part| Some((name.strip_suffix(part.ending())?, *part)));
        found
            .find(|(filename, _)| !filename.is_empty() && !filename.ends_with('/'))
            .unwrap_or((name, Self::Whole))
    }

    /// What it appends to the file's URL.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Metadata => ".metadata",
            Self::Provenance => ".provenance",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stands_behind_the_name() {
        for (name, expected) in [
            ("six-1.0.zip", ("six-1.0.zip", AskedPart::Whole)),
            ("six-1.0.whl.metadata", ("six-1.0.whl", AskedPart::Metadata)),
            (
                "six-1.0.zip.provenance",
                ("six-1.0.zip", AskedPart::Provenance),
            ),
            ("+f/2fb/.metadata", ("+f/2fb/.metadata", AskedPart::Whole)),
            (".provenance", (".provenance", AskedPart::Whole)),
        ] {
            assert_eq!(AskedPart::split(name), expected, "{name}");
            assert_eq!(format!("{}{}", expected.0, expected.1.ending()), name);
        }
    }
}
