//! `serve`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Args;

use crate::app;
use crate::app::{AccountOptions, Setup, Start};
use crate::cli::output::say;
use crate::cli::sources::Sources;
use crate::config::Overrides;

#[derive(Debug, Args)]
pub(super) struct ServeOptions {
    #[command(flatten)]
    sources: Sources,
    /// The public door: HOST:PORT, unix:/path, or off.
    #[arg(long, value_name = "ADDR")]
    public: Option<String>,
    /// The management door.
    #[arg(long, value_name = "ADDR")]
    manage: Option<String>,
    /// The metrics door.
    #[arg(long, value_name = "ADDR")]
    metrics: Option<String>,
    /// The public door's host, as devpi-server spells it.
    #[arg(long, value_name = "HOST", conflicts_with = "public")]
    host: Option<String>,
    /// The public door's port, as devpi-server spells it.
    #[arg(long, value_name = "PORT", conflicts_with = "public")]
    port: Option<u16>,
    /// Serve only what is here; never ask an upstream.
    #[arg(long)]
    offline: bool,
    /// Take the listening sockets over from the running process (docs: deploy/).
    #[arg(long)]
    upgrade: bool,
}

pub(super) fn run(options: ServeOptions) -> anyhow::Result<ExitCode> {
    let host_and_port = match (&options.host, options.port) {
        (None, None) => None,
        (host, port) => {
            let host = host.as_deref().unwrap_or("127.0.0.1");
            Some(format!("{host}:{}", port.unwrap_or(4040)))
        }
    };
    let mut setup = options.sources.setup();
    setup.overrides = Overrides {
        public: options.public.or(host_and_port),
        manage: options.manage,
        metrics: options.metrics,
        offline: options.offline,
        ..setup.overrides
    };
    serve(setup, AccountOptions::default(), options.upgrade)
}

/// Serves until a signal ends it.
pub(super) fn serve(
    setup: Setup,
    accounts: AccountOptions,
    is_upgrade: bool,
) -> anyhow::Result<ExitCode> {
    let start = Start {
        setup,
        accounts,
        is_upgrade,
        is_terminal: std::io::stderr().is_terminal(),
    };
    // A reader of standard output that has gone must not end the server.
    app::serve(start, &mut |line| drop(say(line)))?;
    Ok(ExitCode::SUCCESS)
}
