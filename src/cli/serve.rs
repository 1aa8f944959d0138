//! `serve`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::app;
use crate::app::{AccountOptions, Start};
use crate::cli::arguments::{ServeOptions, Sources};
use crate::cli::say;
use crate::config::{Overrides, PoliciesPath};

pub(super) fn run(options: ServeOptions) -> anyhow::Result<ExitCode> {
    let host_and_port = match (&options.host, options.port) {
        (None, None) => None,
        (host, port) => {
            let host = host.as_deref().unwrap_or("127.0.0.1");
            Some(format!("{host}:{}", port.unwrap_or(4040)))
        }
    };
    let start = Start {
        policies: policies_path(&options.sources),
        overrides: Overrides {
            data: options.sources.data,
            public: options.public.or(host_and_port),
            manage: options.manage,
            metrics: options.metrics,
            offline: options.offline,
            ..Overrides::default()
        },
        accounts: AccountOptions::default(),
        is_upgrade: options.upgrade,
        is_terminal: std::io::stderr().is_terminal(),
    };
    // A reader that went away must not end the server.
    app::serve(start, environment, &mut |line| drop(say(line)))?;
    Ok(ExitCode::SUCCESS)
}

/// Where the configuration is: the named path, or the working directory's.
///
/// The latter is not spelled out: refusals name the rule's file to clients, and where it lies on this
/// machine is not their business.
pub(super) fn policies_path(sources: &Sources) -> PoliciesPath {
    match &sources.policies {
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
