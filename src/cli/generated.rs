//! `completions` and `man`: what clap makes of the same declarations that parse what is typed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_complete::{Shell, generate};
use clap_mangen::{Man, generate_to};

use crate::cli::arguments::Arguments;
use crate::cli::output::say;

/// The program's name in them, however it was started.
const PROGRAM: &str = "cheesecloth";

#[derive(Debug, Args)]
pub(super) struct CompletionsOptions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManOptions {
    /// The command, with spaces between its words (default: the program).
    #[arg(value_name = "COMMAND", conflicts_with = "into")]
    command: Vec<String>,
    /// Write every page into this folder instead, such as /usr/share/man/man1.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

pub(super) fn completions(options: &CompletionsOptions) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    generate(options.shell, &mut shown(), PROGRAM, &mut text);
    print(text)
}

/// The program without the commands that only scripts know: not every shell's completions leave them out.
fn shown() -> Command {
    let program = Arguments::command();
    let commands = program
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    Command::new(PROGRAM)
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .subcommands(commands.cloned())
}

pub(super) fn man(options: &ManOptions) -> anyhow::Result<ExitCode> {
    let mut program = Arguments::command();
    if let Some(folder) = &options.into {
        let shown = folder.display();
        std::fs::create_dir_all(folder).with_context(|| format!("make {shown}"))?;
        generate_to(program, folder).with_context(|| format!("write pages into {shown}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    program.build();
    let mut command = &program;
    for word in &options.command {
        command = command
            .find_subcommand(word)
            .with_context(|| format!("there is no command {:?}", options.command.join(" ")))?;
    }
    // Built, a command knows what it is called in full.
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    print(text)
}

fn print(text: Vec<u8>) -> anyhow::Result<ExitCode> {
    let text = String::from_utf8(text)?;
    match say(text.trim_end()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        said => Ok(said.map(|()| ExitCode::SUCCESS)?),
    }
}
