//! Where the configuration files are.

use std::path::PathBuf;

use crate::config::environment::{Environment, variable};

/// The file that is read when none is named.
pub(super) const DEFAULT_FILE: &str = "cheesecloth.yaml";

/// Where the configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoliciesPath {
    /// A file, or a folder of `*.yaml` and `*.yml`.
    Named(PathBuf),
    /// `CHEESECLOTH_POLICIES`; else `cheesecloth.yaml` in this folder if it is there; else no file.
    Default {
        /// The working directory, or another in tests.
        folder: PathBuf,
    },
}

impl PoliciesPath {
    /// Where the configuration is looked for.
    #[must_use]
    pub fn asked(&self, env: Environment<'_>) -> PathBuf {
        match self {
            Self::Named(path) => path.clone(),
            Self::Default { folder } => variable(env, "CHEESECLOTH_POLICIES")
                .map_or_else(|| folder.join(DEFAULT_FILE), PathBuf::from),
        }
    }

    /// The same, or `None` if nobody named it and it does not exist.
    #[must_use]
    pub fn resolve(&self, env: Environment<'_>) -> Option<PathBuf> {
        let is_named = match self {
            Self::Named(_) => true,
            Self::Default { .. } => variable(env, "CHEESECLOTH_POLICIES").is_some(),
        };
        Some(self.asked(env)).filter(|path| is_named || path.exists())
    }
}
