//! What devpi's programs can do and this one does not, refused with what to do instead: nobody's script
//! ends at "unexpected argument" without a word (docs/protocol/devpi.md §20).

use std::ffi::OsString;

use clap::Args;

/// Programs of devpi's that have no counterpart here.
const PROGRAMS: [(&str, &str); 5] = [
    (
        "devpi-passwd",
        "change it with `devpi user -m NAME password=…`",
    ),
    (
        "devpi-gen-config",
        "units, images and proxies are ready made in deploy/",
    ),
    (
        "devpi-gen-secret",
        "the secret is kept in the records, and made at the first start",
    ),
    ("devpi-fsck", "a digest is checked before a file is kept"),
    (
        "devpi-clear-search-index",
        "there is no search index: names are looked through as they are",
    ),
];

/// Options of `devpi-server` for what this program does not do, those of plugins and of earlier
/// versions included.
#[derive(Debug, Args)]
pub(super) struct Refused {
    #[arg(long, hide = true)]
    replica_file_search_path: Option<String>,
    #[arg(long, hide = true)]
    hard_links: bool,
    #[arg(long, hide = true)]
    file_replication_threads: Option<String>,
    #[arg(long, hide = true)]
    file_replication_skip_indexes: Option<String>,
    #[arg(long, hide = true)]
    proxy_timeout: Option<String>,
    #[arg(long, hide = true)]
    no_replica_streaming: bool,
    #[arg(long, hide = true)]
    theme: Option<String>,
    #[arg(long, hide = true)]
    documentation_path: Option<String>,
    #[arg(long, hide = true)]
    indexer_backend: Option<String>,
    #[arg(long, hide = true)]
    recreate_search_index: bool,
    #[arg(long, hide = true)]
    no_root_pypi: bool,
    #[arg(long, hide = true)]
    root_passwd: Option<String>,
    #[arg(long, hide = true)]
    init: bool,
    #[arg(long, hide = true)]
    import: Option<String>,
    #[arg(long, hide = true)]
    export: Option<String>,
    #[arg(long, hide = true)]
    gen_config: bool,
    #[arg(long, hide = true)]
    start: bool,
    #[arg(long, hide = true)]
    stop: bool,
    #[arg(long, hide = true)]
    status: bool,
    #[arg(long, hide = true)]
    log: bool,
}

impl Refused {
    /// Lets nothing pass.
    ///
    /// # Errors
    /// The first option that is given.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        const REPLICA: &str = crate::cli::devpi_others::REPLICA;
        const SUPERVISED: &str =
            "it stays in the foreground; systemd or supervisor starts and stops it, see deploy/";
        const AT_INIT: &str = "it is `devpi-init` that makes root and root/pypi";
        #[rustfmt::skip] // a table reads by rows
        let table = [
            ("--replica-file-search-path", self.replica_file_search_path.is_some(), REPLICA),
            ("--hard-links", self.hard_links, "files are copied, so that nobody changes them in both places"),
            ("--file-replication-threads", self.file_replication_threads.is_some(), REPLICA),
            ("--file-replication-skip-indexes", self.file_replication_skip_indexes.is_some(), REPLICA),
            ("--proxy-timeout", self.proxy_timeout.is_some(), REPLICA),
            ("--no-replica-streaming", self.no_replica_streaming, REPLICA),
            ("--theme", self.theme.is_some(), "the pages for people have one look"),
            ("--documentation-path", self.documentation_path.is_some(), "documentation is kept with the files, and not unpacked"),
            ("--indexer-backend", self.indexer_backend.is_some(), "there is no search index: names are looked through as they are"),
            ("--recreate-search-index", self.recreate_search_index, "there is no search index: names are looked through as they are"),
            ("--no-root-pypi", self.no_root_pypi, AT_INIT),
            ("--root-passwd", self.root_passwd.is_some(), AT_INIT),
            ("--init", self.init, "run `devpi-init`"),
            ("--import", self.import.is_some(), "run `devpi-import`"),
            ("--export", self.export.is_some(), "run `devpi-export`"),
            ("--gen-config", self.gen_config, "units, images and proxies are ready made in deploy/"),
            ("--start", self.start, SUPERVISED),
            ("--stop", self.stop, SUPERVISED),
            ("--status", self.status, "ask +status, or /readyz of the metrics door of `serve`"),
            ("--log", self.log, "the log goes to stderr"),
        ];
        match table.into_iter().find(|(_, is_given, _)| *is_given) {
            Some((option, _, instead)) => refuse(option, instead),
            None => Ok(()),
        }
    }
}

/// Refuses a program's name where that is all that is known of it.
///
/// # Errors
/// When it is one of those.
pub(super) fn check_program(arguments: &[OsString]) -> anyhow::Result<()> {
    let named = arguments.get(1);
    match PROGRAMS
        .iter()
        .find(|(name, _)| named.is_some_and(|named| named == name))
    {
        Some((name, instead)) => refuse(name, instead),
        None => Ok(()),
    }
}

/// The names of those programs.
pub(super) fn programs() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(name, _)| *name)
}

/// Refuses something with what to do instead.
///
/// # Errors
/// Always.
pub(super) fn refuse(what: &str, instead: &str) -> anyhow::Result<()> {
    anyhow::bail!("{what} is not supported here: {instead}")
}
