//! Which build this is.
//!
//! The version is the package's. Commit and date are what the build was told in `CHEESECLOTH_COMMIT` and
//! `CHEESECLOTH_DATE`, as `deploy/release` and the Dockerfile do. Nothing asks git: a build of an unpacked
//! archive has none, and one that reads the clock cannot be repeated.

/// What a build is not told.
const UNKNOWN: &str = "unknown";

/// A build of the program.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// The package's version.
    pub version: &'static str,
    /// The commit it was built from, or `unknown`.
    pub commit: &'static str,
    /// The day of that commit, `YYYY-MM-DD`, or `unknown`.
    pub date: &'static str,
}

/// The build that runs.
pub const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    commit: told(option_env!("CHEESECLOTH_COMMIT")),
    date: told(option_env!("CHEESECLOTH_DATE")),
};

/// An empty variable tells nothing: an unset argument of a Dockerfile arrives as one.
const fn told(variable: Option<&'static str>) -> &'static str {
    match variable {
        Some(text) if !text.is_empty() => text,
        _ => UNKNOWN,
    }
}

impl Build {
    /// What `--version` says after the program's name.
    #[must_use]
    pub fn shown(&self) -> String {
        let Self {
            version,
            commit,
            date,
        } = self;
        match (*commit, *date) {
            (UNKNOWN, _) => format!("{version} (commit unknown)"),
            (_, UNKNOWN) => format!("{version} ({commit})"),
            _ => format!("{version} ({commit} {date})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_says_what_it_was_told_and_what_it_was_not() {
        let table = [
            (None, None, "1.0 (commit unknown)"),
            (Some(""), Some(""), "1.0 (commit unknown)"),
            (None, Some("2026-11-30"), "1.0 (commit unknown)"),
            (Some("4f3a2b1c"), None, "1.0 (4f3a2b1c)"),
            (
                Some("4f3a2b1c"),
                Some("2026-11-30"),
                "1.0 (4f3a2b1c 2026-11-30)",
            ),
        ];
        for (commit, date, expected) in table {
            let build = Build {
                version: "1.0",
                commit: told(commit),
                date: told(date),
            };
            assert_eq!(build.shown(), expected);
        }
    }
}
