//! Options of devpi's programs that this one has no use for (docs/protocol/devpi.md §20): those that change
//! nothing for clients are taken, and said so; those that would are refused, with what to do instead.

use clap::Args;

use crate::cli::say_error;

/// What to do instead of following another server.
pub(super) const REPLICA: &str =
    "for reading, put `cheesecloth serve` with devpi: {servers: […]} before the primary";

/// Proxies on this machine are believed anyhow.
const LOCAL: [&str; 4] = ["127.0.0.1", "::1", "localhost", ""];

/// What to do instead of keeping records elsewhere.
pub(super) const ELSEWHERE: &str = "records are kept in SQLite below --serverdir";

/// What to do instead of giving root's password as a hash.
pub(super) const PASSWORD: &str = "give --root-passwd, or DEVPI_PASSWORD in the environment";

/// Whether a `--storage` is another than the one there is.
pub(super) fn is_elsewhere(storage: &str) -> bool {
    storage.split(':').next() != Some("sqlite")
}

/// What `devpi-init` and `devpi-server` take beside the options that they act on.
#[derive(Debug, Args)]
pub(super) struct Others {
    #[arg(
        long,
        short = 'c',
        value_name = "FILE",
        help = "A YAML file with options under the key devpi-server"
    )]
    configfile: Option<String>,
    #[arg(long, hide = true)]
    threads: Option<u32>,
    #[arg(long, hide = true)]
    debug: bool,
    #[arg(long, hide = true)]
    secretfile: Option<String>,
    #[arg(long, hide = true)]
    request_timeout: Option<u32>,
    #[arg(long, hide = true)]
    mirror_cache_expiry: Option<u32>,
    #[arg(long, hide = true)]
    enable_core_metadata: bool,
    #[arg(long, hide = true)]
    absolute_urls: bool,
    #[arg(long, hide = true)]
    connection_limit: Option<u32>,
    #[arg(long, hide = true)]
    max_request_body_size: Option<u64>,
    #[arg(long, hide = true)]
    logger_cfg: Option<String>,
    #[arg(long, hide = true)]
    profile_requests: Option<u32>,
    #[arg(long, hide = true)]
    keyfs_cache_size: Option<u32>,
    #[arg(long, hide = true)]
    autocreate_users: bool,
    #[arg(long, hide = true)]
    trusted_proxy_count: Option<u32>,
    #[arg(long, hide = true)]
    trusted_proxy_headers: Option<String>,
    #[arg(long, hide = true)]
    trusted_proxy: Option<String>,
    #[arg(long, hide = true)]
    role: Option<String>,
    #[arg(long, hide = true)]
    storage: Option<String>,
    #[arg(long, hide = true, alias = "master-url")]
    primary_url: Option<String>,
    #[arg(long, hide = true)]
    requests_only: bool,
    #[arg(long, hide = true)]
    unix_socket_perms: Option<String>,
    #[arg(long, hide = true)]
    passwd: Option<String>,
    #[arg(long, hide = true)]
    root_passwd_hash: Option<String>,
}

impl Others {
    /// Says what is taken without effect.
    ///
    /// # Errors
    /// The first option that asks for something else than what this program does.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if let Some((option, instead)) = self.refused().into_iter().next() {
            anyhow::bail!("{option} is not supported here: {instead}");
        }
        for (option, why) in self.taken() {
            say_error(&format!(
                "{option} is taken and decides nothing here: {why}"
            ));
        }
        Ok(())
    }

    fn taken(&self) -> Vec<(&'static str, &'static str)> {
        let proxies = "a proxy on this machine is believed, with X-outside-url or X-Forwarded-*";
        let role = self.role.is_some();
        #[rustfmt::skip] // a table reads by rows
        let table = [
            ("--threads", self.threads.is_some(), "there are as many threads as processors"),
            ("--debug", self.debug, "the log is always written, RUST_LOG=debug says more"),
            ("--secretfile", self.secretfile.is_some(), "the secret is kept in the records"),
            ("--request-timeout", self.request_timeout.is_some(), "limits.upstream_total_timeout says it in a file of policies"),
            ("--mirror-cache-expiry", self.mirror_cache_expiry.is_some(), "every mirror has its own mirror_cache_expiry"),
            ("--enable-core-metadata", self.enable_core_metadata, "sidecars are always served"),
            ("--absolute-urls", self.absolute_urls, "relative links work behind every proxy"),
            ("--connection-limit", self.connection_limit.is_some(), "limits.connections says it in a file of policies"),
            ("--max-request-body-size", self.max_request_body_size.is_some(), "limits.upload says it in a file of policies"),
            ("--logger-cfg", self.logger_cfg.is_some(), "log says it in a file of policies; the log goes to stderr"),
            ("--profile-requests", self.profile_requests.is_some(), "the metrics door has durations"),
            ("--keyfs-cache-size", self.keyfs_cache_size.is_some(), "cache.memory says it in a file of policies"),
            ("--autocreate-users", self.autocreate_users, "there are no authentication plugins"),
            ("--trusted-proxy", self.trusted_proxy.is_some(), proxies),
            ("--trusted-proxy-count", self.trusted_proxy_count.is_some(), proxies),
            ("--trusted-proxy-headers", self.trusted_proxy_headers.is_some(), proxies),
            ("--role", role, "no replica can follow this server"),
            ("--storage", self.storage.is_some(), "records are kept in SQLite"),
        ];
        let given = table.into_iter().filter(|(_, is_given, _)| *is_given);
        given.map(|(option, _, why)| (option, why)).collect()
    }

    fn refused(&self) -> Vec<(&'static str, &'static str)> {
        let is_replica = self
            .role
            .as_deref()
            .is_some_and(|role| !["standalone", "auto", "primary", "master"].contains(&role));
        let is_far = self
            .trusted_proxy
            .as_deref()
            .is_some_and(|proxy| !LOCAL.contains(&proxy));
        let is_other = self.storage.as_deref().is_some_and(is_elsewhere);
        #[rustfmt::skip] // a table reads by rows
        let table = [
            ("--role replica", is_replica, REPLICA),
            ("--primary-url", self.primary_url.is_some(), REPLICA),
            ("--trusted-proxy of another host", is_far, "name the URL that clients see with --outside-url instead"),
            ("--storage", is_other, ELSEWHERE),
            ("--requests-only", self.requests_only, "one process serves everything"),
            ("--unix-socket-perms", self.unix_socket_perms.is_some(), "the socket is open to its user and group, 660"),
            ("--passwd", self.passwd.is_some(), "change it with `devpi user -m NAME password=…`"),
            ("--root-passwd-hash", self.root_passwd_hash.is_some(), PASSWORD),
        ];
        let given = table.into_iter().filter(|(_, is_given, _)| *is_given);
        given
            .map(|(option, _, instead)| (option, instead))
            .collect()
    }
}
