//! `warm`: has a running server fetch what lock files pin, before it is needed.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use url::Url;

use crate::cli::output::{OutputOptions, code, say, say_error, say_json};
use crate::cli::running::reachable;
use crate::cli::sources::Sources;
use crate::config::{Listen, Loaded};
use crate::language::Lockfile;
use crate::model::IndexName;
use crate::moving::{Warming, warm};
use crate::policy::Policies;

#[derive(Debug, Args)]
pub(super) struct WarmOptions {
    #[command(flatten)]
    sources: Sources,
    /// uv.lock, pylock.toml, poetry.lock, or requirements (*.txt, *.in). Of a release that is pinned
    /// without files all files are fetched, of a project without a version its newest release.
    #[arg(required = true, value_name = "LOCKFILE")]
    lockfiles: Vec<PathBuf>,
    /// The index, as user/index (default: default_index, or the first one).
    #[arg(long, value_name = "INDEX", value_parser = index)]
    index: Option<IndexName>,
    /// The running server's public door (default: where the configuration has it).
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(options: &WarmOptions) -> anyhow::Result<ExitCode> {
    let loaded = options.sources.setup().load()?;
    let door = match &options.url {
        Some(url) => url.clone(),
        None => door(&loaded)?,
    };
    let index = match &options.index {
        Some(index) => index.clone(),
        None => first_index(&loaded)?,
    };
    let mut pins = Vec::new();
    for path in &options.lockfiles {
        let shown = path.display().to_string();
        let text = fs::read_to_string(path).with_context(|| format!("read {shown}"))?;
        pins.extend(Lockfile::parse(&shown, &text)?.pins);
    }
    let bar = Bar(ProgressBar::new(0));
    // The template is a constant; a bad one would show no numbers, and a test runs it.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} files {elapsed}") {
        bar.0.set_style(style);
    }
    let warmed = warm(&door, &index, &pins, &loaded.config.limits, &bar)?;
    bar.0.finish_and_clear();
    if options.output.json {
        let (files, bytes, failed) = (warmed.files, warmed.bytes, &warmed.failed);
        let shown = serde_json::json!({ "files": files, "bytes": bytes, "failed": failed });
        say_json(&shown)?;
    } else {
        for why in &warmed.failed {
            say_error(why);
        }
        say(&format!(
            "{} files, {} bytes, through {index} at {door}",
            warmed.files, warmed.bytes
        ))?;
    }
    Ok(code(warmed.failed.is_empty()))
}

struct Bar(ProgressBar);

impl Warming for Bar {
    fn found(&self, files: u64) {
        self.0.set_length(files);
    }

    fn done(&self) {
        self.0.inc(1);
    }
}

/// Where the configuration has the public door, as somebody on this machine asks it.
fn door(loaded: &Loaded) -> anyhow::Result<Url> {
    let Listen::Tcp { address, tls } = &loaded.config.listen.public.place else {
        anyhow::bail!("the public door is not on a TCP address; name the server with --url");
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = reachable(*address);
    Ok(Url::parse(&format!("{scheme}://{address}/"))?)
}

pub(super) fn first_index(loaded: &Loaded) -> anyhow::Result<IndexName> {
    let policies = Policies::compile(&loaded.documents, &[])?;
    let first = policies.indexes().next().map(|index| index.name.clone());
    let index = policies.default_index().cloned().or(first);
    index.context("there is no index; name one with --index")
}

/// Reads an index's name from the command line.
pub(super) fn index(text: &str) -> Result<IndexName, String> {
    IndexName::parse(text).map_err(|error| error.to_string())
}
