//! Where the configuration is: options shared by every command that reads it.

use std::path::PathBuf;

use clap::Args;

use crate::app::Setup;
use crate::config::{Overrides, PoliciesPath};

#[derive(Debug, Args)]
pub(super) struct Sources {
    /// A YAML file or a folder of them (default: cheesecloth.yaml, where there is one).
    #[arg(long, value_name = "PATH")]
    pub(super) policies: Option<PathBuf>,
    /// Where everything that must survive a restart is kept.
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
}

impl Sources {
    /// These and the environment, without further flags.
    pub(super) fn setup(&self) -> Setup {
        Setup {
            policies: policies_path(self.policies.as_ref()),
            overrides: Overrides {
                data: self.data.clone(),
                ..Overrides::default()
            },
            env: environment,
        }
    }
}

/// Where the configuration is: the named path, or the working directory's.
///
/// The latter is not made absolute: refusals name the rule's file to clients, and where it lies on this
/// machine is not their business.
pub(super) fn policies_path(named: Option<&PathBuf>) -> PoliciesPath {
    match named {
        Some(path) => PoliciesPath::Named(path.clone()),
        None => PoliciesPath::Default {
            folder: PathBuf::new(),
        },
    }
}

/// The process's environment; `config` knows which names count.
#[expect(
    clippy::disallowed_methods,
    reason = "handed to config, which decides what is read"
)]
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
