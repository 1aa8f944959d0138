//! Options of devpi's programs that this one has no use for (docs/protocol/devpi.md §20), including those
//! of plugins and earlier versions, in one table. An option that changes nothing for clients is accepted
//! with a notice; any other is refused with what to do instead. No script ends at a bare "unexpected
//! argument".

use clap::error::Result;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use crate::cli::devpi_unused::Fate::{Asked, Refused, Taken};
use crate::cli::devpi_unused::Takes::{Number, Switch, Word};
use crate::cli::output::say_error;

/// Programs, each a bit.
pub(super) const INIT: u8 = 1;
pub(super) const SERVER: u8 = 2;
pub(super) const IMPORT: u8 = 4;
pub(super) const EXPORT: u8 = 8;

const SERVES: u8 = INIT | SERVER;
const MOVES: u8 = IMPORT | EXPORT;

/// What to do instead of following another server.
const REPLICA: &str =
    "for reading, put `cheesecloth serve` with devpi: {servers: […]} before the primary";
/// What to do instead of giving root's password as a hash.
const PASSWORD: &str = "give --root-passwd, or DEVPI_PASSWORD in the environment";
const PROXIES: &str = "a proxy on this machine is believed, with X-outside-url or X-Forwarded-*";
const SEARCH: &str = "there is no search index: names are looked through as they are";
const SUPERVISED: &str =
    "it stays in the foreground; systemd or supervisor starts and stops it, see deploy/";
const AT_INIT: &str = "it is `devpi-init` that makes root and root/pypi";

/// An option without use.
#[derive(Debug)]
struct Row {
    name: &'static str,
    /// The programs that have it.
    of: u8,
    takes: Takes,
    fate: Fate,
}

/// What follows an option.
#[derive(Debug, Clone, Copy)]
enum Takes {
    Switch,
    Word,
    Number,
}

/// What happens to an option that is given.
#[derive(Debug)]
enum Fate {
    /// Accepted: why it decides nothing.
    Taken(&'static str),
    /// Refused: what to do instead.
    Refused(&'static str),
    /// Refused for some values: which, what that is called, and what to do instead; else why it is
    /// accepted.
    Asked(fn(&str) -> bool, &'static str, &'static str, &'static str),
}

const fn row(name: &'static str, of: u8, takes: Takes, fate: Fate) -> Row {
    Row {
        name,
        of,
        takes,
        fate,
    }
}

#[rustfmt::skip] // a table reads by rows
static ROWS: &[Row] = &[
    row("threads", SERVES, Number, Taken("there are as many threads as processors")),
    row("debug", SERVES, Switch, Taken("the log is always written, RUST_LOG=debug says more")),
    row("debug", MOVES, Switch, Taken("what is left out is always said")),
    row("secretfile", SERVES, Word, Taken("the secret is kept in the records")),
    row("request-timeout", SERVES, Number, Taken("limits.upstream_total_timeout says it in a file of policies")),
    row("mirror-cache-expiry", SERVES, Number, Taken("every mirror has its own mirror_cache_expiry")),
    row("enable-core-metadata", SERVES, Switch, Taken("sidecars are always served")),
    row("absolute-urls", SERVES, Switch, Taken("relative links work behind every proxy")),
    row("connection-limit", SERVES, Number, Taken("limits.connections says it in a file of policies")),
    row("max-request-body-size", SERVES, Number, Taken("limits.upload says it in a file of policies")),
    row("logger-cfg", SERVES, Word, Taken("log says it in a file of policies; the log goes to stderr")),
    row("logger-cfg", MOVES, Word, Taken("the log goes to stderr")),
    row("profile-requests", SERVES, Number, Taken("the metrics door has durations")),
    row("keyfs-cache-size", SERVES, Number, Taken("cache.memory says it in a file of policies")),
    row("keyfs-cache-size", MOVES, Number, Taken("nothing is kept in memory")),
    row("autocreate-users", SERVES, Switch, Taken("users of a directory are made when they first log in")),
    row("trusted-proxy", SERVES, Word,
        Asked(is_far, "--trusted-proxy of another host", "name the URL that clients see with --outside-url instead", PROXIES)),
    row("trusted-proxy-count", SERVES, Number, Taken(PROXIES)),
    row("trusted-proxy-headers", SERVES, Word, Taken(PROXIES)),
    row("role", SERVES, Word, Asked(is_replica, "--role replica", REPLICA, "no replica can follow this server")),
    row("storage", SERVES | MOVES, Word,
        Asked(is_elsewhere, "--storage", "records are kept in SQLite below --serverdir", "records are kept in SQLite")),
    row("include-mirrored-files", MOVES, Switch, Taken("mirrors fetch their files again")),
    row("hard-links", MOVES, Switch, Taken("files are copied, so that nobody changes them in both places")),
    row("wait-for-events", IMPORT, Switch, Taken("an import is over when it ends")),
    row("no-events", IMPORT, Switch, Taken("an import is over when it ends")),
    row("primary-url", SERVES, Word, Refused(REPLICA)),
    row("requests-only", SERVES, Switch, Refused("one process serves everything")),
    row("unix-socket-perms", SERVES, Word, Refused("the socket is open to its user and group, 660")),
    row("passwd", SERVES, Word, Refused("change it with `devpi user -m NAME password=…`")),
    row("root-passwd-hash", SERVES | IMPORT, Word, Refused(PASSWORD)),
    row("replica-file-search-path", SERVER, Word, Refused(REPLICA)),
    row("hard-links", SERVER, Switch, Refused("files are copied, so that nobody changes them in both places")),
    row("file-replication-threads", SERVER, Word, Refused(REPLICA)),
    row("file-replication-skip-indexes", SERVER, Word, Refused(REPLICA)),
    row("proxy-timeout", SERVER, Word, Refused(REPLICA)),
    row("no-replica-streaming", SERVER, Switch, Refused(REPLICA)),
    row("theme", SERVER, Word, Refused("the pages for people have one look")),
    row("documentation-path", SERVER, Word, Refused("documentation is kept with the files, and not unpacked")),
    row("indexer-backend", SERVER, Word, Refused(SEARCH)),
    row("recreate-search-index", SERVER, Switch, Refused(SEARCH)),
    row("no-root-pypi", SERVER, Switch, Refused(AT_INIT)),
    row("root-passwd", SERVER, Word, Refused(AT_INIT)),
    row("init", SERVER, Switch, Refused("run `devpi-init`")),
    row("import", SERVER, Word, Refused("run `devpi-import`")),
    row("export", SERVER, Word, Refused("run `devpi-export`")),
    row("gen-config", SERVER, Switch, Refused("units, images and proxies are ready made in deploy/")),
    row("start", SERVER, Switch, Refused(SUPERVISED)),
    row("stop", SERVER, Switch, Refused(SUPERVISED)),
    row("status", SERVER, Switch, Refused("ask +status, or /readyz of the metrics door of `serve`")),
    row("log", SERVER, Switch, Refused("the log goes to stderr")),
];

fn is_replica(role: &str) -> bool {
    !["standalone", "auto", "primary", "master"].contains(&role)
}

/// Proxies on this machine are trusted anyway.
fn is_far(proxy: &str) -> bool {
    !["127.0.0.1", "::1", "localhost", ""].contains(&proxy)
}

fn is_elsewhere(storage: &str) -> bool {
    storage.split(':').next() != Some("sqlite")
}

/// The given options that a program has no use for.
#[derive(Debug)]
pub(super) struct Unused<const PROGRAM: u8>(Vec<(&'static Row, String)>);

impl<const PROGRAM: u8> Unused<PROGRAM> {
    /// Reports what is accepted without effect.
    ///
    /// # Errors
    /// The first option that asks for something this program does not do.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let mut taken = Vec::new();
        for (row, value) in &self.0 {
            let option = format!("--{}", row.name);
            match row.fate {
                Refused(instead) => anyhow::bail!("{option} is not supported here: {instead}"),
                Asked(is_refused, what, instead, _) if is_refused(value) => {
                    anyhow::bail!("{what} is not supported here: {instead}")
                }
                Taken(why) | Asked(.., why) => taken.push((option, why)),
            }
        }
        for (option, why) in taken {
            say_error(&format!(
                "{option} is taken and decides nothing here: {why}"
            ));
        }
        Ok(())
    }

    fn rows() -> impl Iterator<Item = &'static Row> {
        ROWS.iter().filter(|row| row.of & PROGRAM != 0)
    }
}

impl<const PROGRAM: u8> Args for Unused<PROGRAM> {
    fn augment_args(command: Command) -> Command {
        command.args(Self::rows().map(Row::argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const PROGRAM: u8> FromArgMatches for Unused<PROGRAM> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self> {
        let given = Self::rows().filter_map(|row| Some((row, row.given(matches)?)));
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<()> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Row {
    fn argument(&self) -> Arg {
        let argument = Arg::new(self.name).long(self.name).hide(true);
        let argument = match self.takes {
            Switch => argument.action(ArgAction::SetTrue),
            Word => argument.value_name("WORD"),
            Number => argument.value_name("N").value_parser(value_parser!(u64)),
        };
        match self.name {
            "primary-url" => argument.alias("master-url"),
            _ => argument,
        }
    }

    /// What is given for it, as it was typed.
    fn given(&self, matches: &ArgMatches) -> Option<String> {
        match self.takes {
            Switch => matches.get_flag(self.name).then(String::new),
            Word | Number => {
                let typed = matches.get_raw(self.name)?.next()?;
                Some(typed.to_string_lossy().into_owned())
            }
        }
    }
}
