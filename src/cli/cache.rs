//! `cache`: what is held, counted, listed, collected, and read again.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use globset::{Glob, GlobMatcher};
use indicatif::BinaryBytes;
use serde_json::{Value, json};

use crate::app;
use crate::cli::output::{OutputOptions, code, say, say_error, say_json};
use crate::cli::progress::Shown;
use crate::cli::running::{Running, RunningOptions, memory_held};
use crate::cli::sources::Sources;
use crate::config::Config;
use crate::model::{ProjectName, Timestamp, parse_bytes};
use crate::moving::{DamagedFile, HeldFile, Remedy, VerifyReport};
use crate::writer::swept_as_json;

#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// Count what is held, by kind, and say how much it may be.
    Stat(StatOptions),
    /// List held files by index, project and name, each with its size and last request.
    Ls(LsOptions),
    /// Do now what the server does on its schedule: evict mirror files beyond the quota, keep the disk's
    /// reserve free, remove uploaded bytes that no record needs.
    Gc(GcOptions),
    /// Read every stored byte and compare it with its digest: exit 1 when something is damaged. What a
    /// mirror has is dropped and fetched again when it is next asked for; what was uploaded is only told.
    Verify(VerifyOptions),
}

#[derive(Debug, Args)]
pub(super) struct StatOptions {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Args)]
pub(super) struct LsOptions {
    #[command(flatten)]
    sources: Sources,
    /// Only files whose name matches this glob.
    #[arg(value_name = "PATTERN", value_parser = glob)]
    pattern: Option<GlobMatcher>,
    /// Only those of this mirror or stage: user/index, or a glob such as team/*.
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    index: Option<GlobMatcher>,
    /// Only those of this project.
    #[arg(long, value_name = "NAME", value_parser = project)]
    project: Option<ProjectName>,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Args)]
pub(super) struct GcOptions {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    running: RunningOptions,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Args)]
pub(super) struct VerifyOptions {
    #[command(flatten)]
    sources: Sources,
    /// How much may be read in a second, such as 50MiB (default: as much as the disk can).
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    rate: Option<u64>,
    #[command(flatten)]
    running: RunningOptions,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(command: &CacheCommand) -> anyhow::Result<ExitCode> {
    match command {
        CacheCommand::Stat(options) => stat(options),
        CacheCommand::Ls(options) => ls(options),
        CacheCommand::Gc(options) => gc(options),
        CacheCommand::Verify(options) => verify(options),
    }
}

fn glob(text: &str) -> Result<GlobMatcher, String> {
    let glob = Glob::new(text).map_err(|error| error.to_string())?;
    Ok(glob.compile_matcher())
}

fn project(text: &str) -> Result<ProjectName, String> {
    ProjectName::parse(text).map_err(|error| error.to_string())
}

fn stat(options: &StatOptions) -> anyhow::Result<ExitCode> {
    let config = options.sources.setup().load()?.config;
    let holdings = app::holdings(&config)?;
    let memory = memory_held(&config);
    let evictable = holdings.mirror_files.bytes + holdings.mirror_sidecars.bytes;
    let (disk_max, memory_max) = (config.cache.disk, config.cache.memory);
    if options.output.json {
        let kinds = holdings.kinds().map(|(kind, usage)| {
            let usage = json!({ "files": usage.files, "bytes": usage.bytes });
            (kind.to_owned(), usage)
        });
        say_json(&json!({
            "data": config.data,
            "kinds": serde_json::Map::from_iter(kinds),
            "quota": { "bytes": evictable, "bytes_max": disk_max },
            "memory": { "bytes": memory, "bytes_max": memory_max },
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (kind, usage) in holdings.kinds() {
        let (kind, bytes) = (kind.replace('_', " "), BinaryBytes(usage.bytes));
        say(&format!("{kind:<16} {:>9} files {bytes:>12}", usage.files))?;
    }
    let held = match memory {
        Some(bytes) => BinaryBytes(bytes).to_string(),
        None => "no server answers".to_owned(),
    };
    let (evictable, disk_max) = (BinaryBytes(evictable), BinaryBytes(disk_max));
    say(&format!("cache.disk       {evictable} of {disk_max}"))?;
    say(&format!(
        "cache.memory     {held} of {}",
        BinaryBytes(memory_max)
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn ls(options: &LsOptions) -> anyhow::Result<ExitCode> {
    let files = app::held_files(&options.sources.setup())?;
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    let mut write = || -> std::io::Result<()> {
        for file in files.iter().filter(|file| options.is_wanted(file)) {
            if options.output.json {
                writeln!(output, "{}", as_json(file))?;
            } else {
                writeln!(output, "{}", as_text(file))?;
            }
        }
        output.flush()
    };
    match write() {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => Ok(written.map(|()| ExitCode::SUCCESS)?),
    }
}

impl LsOptions {
    fn is_wanted(&self, file: &HeldFile) -> bool {
        let matches = |glob: &Option<GlobMatcher>, text: Option<&str>| match glob {
            Some(glob) => text.is_some_and(|text| glob.is_match(text)),
            None => true,
        };
        let index = file.index.as_ref().map(|index| index.as_str());
        matches(&self.pattern, file.filename.as_deref())
            && matches(&self.index, index)
            && (self.project.is_none() || self.project == file.project)
    }
}

/// When a file was last requested, in seconds.
fn used_at(file: &HeldFile) -> Option<String> {
    let at = Timestamp::try_from(file.used_at).ok()?;
    Some(format!("{at:.0}"))
}

/// One object a line: there may be hundreds of thousands.
fn as_json(file: &HeldFile) -> Value {
    json!({
        "index": file.index.as_ref().map(|index| index.as_str()),
        "project": file.project.as_ref().map(ProjectName::as_str),
        "file": file.filename,
        "sha256": file.sha256.to_hex(),
        "bytes": file.bytes,
        "last_access": used_at(file),
        "private": file.is_private,
    })
}

fn as_text(file: &HeldFile) -> String {
    let index = file.index.as_ref().map_or("-", |index| index.as_str());
    let at = used_at(file).unwrap_or_default();
    let name = match &file.filename {
        Some(filename) => filename.escape_debug().to_string(),
        None => file.sha256.to_hex(),
    };
    format!("{:>12} {at} {index} {name}", file.bytes)
}

fn gc(options: &GcOptions) -> anyhow::Result<ExitCode> {
    let setup = options.sources.setup();
    let config = setup.load()?.config;
    anyhow::ensure!(
        options.running.is_elsewhere() || config.data.is_dir(),
        "{} holds no data: name its directory with --data",
        config.data.display()
    );
    let alone = match options.running.is_elsewhere() {
        true => None,
        false => app::unless_served(&config)?,
    };
    let done = match &alone {
        Some(_) => swept_as_json(&app::sweep(&setup)?),
        None => {
            let running = Running::of(&config, &options.running)?;
            running.post("+cache/gc", None)?.result().clone()
        }
    };
    if options.output.json {
        say_json(&done)?;
        return Ok(ExitCode::SUCCESS);
    }
    let bytes = |part: &str| BinaryBytes(done[part]["bytes"].as_u64().unwrap_or_default());
    let files = |part: &str| done[part]["files"].as_u64().unwrap_or_default();
    for (part, words) in [
        ("evicted", "files of mirrors evicted"),
        ("collected", "uploaded files without a record removed"),
        ("left", "files of mirrors left"),
    ] {
        say(&format!("{} {words}, {}", files(part), bytes(part)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(options: &VerifyOptions) -> anyhow::Result<ExitCode> {
    let config = options.sources.setup().load()?.config;
    let report = Shown::while_at("read", |on_progress| {
        app::verify(&config, options.rate, on_progress)
    })?;
    tell_server(&config, options, &report);
    if options.output.json {
        say_json(&report)?;
        return Ok(code(report.damaged.is_empty()));
    }
    for one in &report.damaged {
        say(&line(one))?;
    }
    let (files, bytes) = (report.files, BinaryBytes(report.bytes));
    let found = match report.damaged.len() {
        0 => "nothing is damaged".to_owned(),
        1 => "1 is damaged".to_owned(),
        more => format!("{more} are damaged"),
    };
    say(&format!("{files} files read, {bytes}: {found}"))?;
    Ok(code(report.damaged.is_empty()))
}

/// Has a running server read the uploaded files that are damaged, so that it serves none of them.
fn tell_server(config: &Config, options: &VerifyOptions, report: &VerifyReport) {
    let private = report.damaged.iter().filter(|one| one.private);
    let kept = private.filter(|one| one.remedy == Remedy::Kept);
    let digests: Vec<_> = kept.filter_map(|one| one.sha256.as_deref()).collect();
    if digests.is_empty() {
        return;
    }
    let tell = || -> anyhow::Result<()> {
        if !options.running.is_elsewhere() && app::unless_served(config)?.is_some() {
            return Ok(());
        }
        let running = Running::of(config, &options.running)?;
        running.post("+cache/inspect", Some(&json!({ "private": digests })))?;
        Ok(())
    };
    let told =
        tell().context("the running server still serves what is damaged, until it reads it again");
    if let Err(error) = told {
        say_error(&format!("{error:#}"));
    }
}

/// What is wrong, and what to do about it.
fn line(one: &DamagedFile) -> String {
    let what = match &one.name {
        Some(name) => format!("{} ({name})", one.path),
        None => one.path.clone(),
    };
    let remedy = match (one.remedy, one.private) {
        (Remedy::Dropped, _) => "dropped, and fetched again when it is next asked for",
        (Remedy::Healed, _) => "put in place again: the same bytes were kept twice",
        (Remedy::Kept, true) => "restore it from a backup, or upload the same file again",
        (Remedy::Kept, false) => "the disk does not give it; look at the disk",
    };
    format!("{what}: {}; {remedy}", one.what)
}
