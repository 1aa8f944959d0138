//! cheesecloth, started as an operator starts it: flags, a file of policies, a data directory.
//!
//! It logs as it does for everyone, one line per request, into `/dev/null`; nginx logs nothing.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::content::TURNING;
use super::plain::{Request, fetch};
use super::process::{Cores, Server};
use super::tools::run;

/// Until every door is open and the program is ready.
const START: Duration = Duration::from_secs(60);

/// Between two questions whether it is ready: short, since starting is measured too.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The policy of [`STRICT`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strict {
    /// Names on its whitelist, those of the pages that are asked for among them; without any there is
    /// no whitelist.
    pub(crate) whitelisted: usize,
    pub(crate) rules: usize,
}

/// The index that the gateway serves without any policy.
pub(crate) const MIRROR: &str = "root/pypi";

/// The index under a large policy, and the same without.
pub(crate) const STRICT: &str = "root/strict";
pub(crate) const LOOSE: &str = "root/loose";

/// The index that takes uploads.
pub(crate) const STAGE: &str = "root/stage";

/// The index above a stack of others, of which [`STAGE`] is the last.
pub(crate) const TOP: &str = "root/top";

/// A certificate for TLS, in files that both servers read.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// The projects whose pages are asked for through [`STRICT`].
const ASKED: [&str; 2] = ["small", TURNING];

/// What it is to serve.
#[derive(Debug)]
pub(crate) struct Launch {
    folder: PathBuf,
    origin: SocketAddr,
    cores: Cores,
    tls: Option<Certificate>,
    strict: Option<Strict>,
    on_both_cores: bool,
    /// Where the upstream's list of projects is, and the pages below it.
    upstream: &'static str,
    /// How long a page is fresh, and of the other keys of `cache:` what is not usual here.
    expiry: &'static str,
    cache: &'static str,
    takes_uploads: bool,
    /// Connections that one address may have open; nothing where it is the usual number.
    per_address: Option<usize>,
    /// Whether [`STAGE`] is in the records and not in the file.
    is_imported: bool,
    /// Indexes in the stack of [`TOP`], itself and [`STAGE`] among them.
    stacked: usize,
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    server: Server,
    public: SocketAddr,
    manage: Option<SocketAddr>,
    /// From before the process was made until it said it was ready.
    pub(crate) started_in: Duration,
}

impl Launch {
    /// Will mirror the origin, with its policies and its data in `folder`.
    pub(crate) fn new(folder: &Path, origin: SocketAddr, cores: Cores) -> Self {
        Self {
            folder: folder.to_owned(),
            origin,
            cores,
            tls: None,
            strict: None,
            on_both_cores: false,
            upstream: "/simple/",
            // A day, so that no page is asked for again while it is measured.
            expiry: "1d",
            cache: "",
            takes_uploads: false,
            per_address: None,
            is_imported: false,
            stacked: 0,
        }
    }

    /// Puts TLS on the public door.
    pub(crate) fn tls(mut self, certificate: &Certificate) -> Self {
        self.tls = Some(certificate.clone());
        self
    }

    /// Declares [`STRICT`] and [`LOOSE`] too.
    pub(crate) fn strict(mut self, strict: Strict) -> Self {
        self.strict = Some(strict);
        self
    }

    /// Serves by a thread on each of the two cores.
    pub(crate) fn on_both_cores(mut self) -> Self {
        self.on_both_cores = true;
        self
    }

    /// Mirrors what lies below another path of the origin.
    pub(crate) fn upstream(mut self, path: &'static str) -> Self {
        self.upstream = path;
        self
    }

    /// Pages expire after a second, and are not answered beyond that without asking for them first.
    pub(crate) fn short_lived(mut self) -> Self {
        (self.expiry, self.cache) = ("1s", ", stale_while_revalidate: 0s");
        self
    }

    /// Opens the management door, and [`STAGE`] takes files from everyone.
    pub(crate) fn uploads(mut self) -> Self {
        self.takes_uploads = true;
        self
    }

    /// The same, [`STAGE`] being one that was imported.
    pub(crate) fn uploads_into_imported(mut self) -> Self {
        (self.takes_uploads, self.is_imported) = (true, true);
        self
    }

    /// Lets one address have so many connections open.
    pub(crate) fn per_address(mut self, connections: usize) -> Self {
        self.per_address = Some(connections);
        self
    }

    /// Declares [`TOP`] above so many indexes, itself counted.
    pub(crate) fn stacked(mut self, indexes: usize) -> Self {
        self.stacked = indexes;
        self
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&self) -> anyhow::Result<Gateway> {
        let mut command = self.command("serve")?;
        let manage = if self.takes_uploads {
            "127.0.0.1:0"
        } else {
            "off"
        };
        command.args(["--manage", manage, "--metrics", "127.0.0.1:0"]);
        if self.tls.is_none() {
            command.args(["--public", "127.0.0.1:0"]);
        }
        let again = format!("{command:?}");
        launch(command, self.takes_uploads)
            .with_context(|| format!("cheesecloth does not start; try {again}"))
    }

    /// Takes in an export, before anything is served.
    pub(crate) fn import(&self, export: &Path) -> anyhow::Result<()> {
        run(self.command("import")?.arg(export)).context("import")?;
        Ok(())
    }

    /// One of the program's commands over the policies and the data.
    fn command(&self, name: &str) -> anyhow::Result<Command> {
        fs::create_dir_all(&self.folder)?;
        let policies = self.folder.join("policies.yaml");
        fs::write(&policies, self.declare()?)?;
        let program = Path::new(env!("CARGO_BIN_EXE_cheesecloth"));
        let mut command = if self.on_both_cores {
            self.cores.both(program)
        } else {
            self.cores.server(program)
        };
        command.arg(name).arg("--policies").arg(&policies);
        command.arg("--data").arg(self.data());
        command.current_dir(&self.folder);
        without_surroundings(&mut command);
        Ok(command)
    }

    fn declare(&self) -> anyhow::Result<String> {
        let origin = self.origin;
        let mut text = String::new();
        if let Some(Certificate { cert, key }) = &self.tls {
            text.push_str(&format!(
                "listen:\n  public: {{ address: \"127.0.0.1:0\", tls: {{ cert: {cert:?}, key: {key:?} }} }}\n"
            ));
        }
        if let Some(most) = self.per_address {
            text.push_str(&format!("limits: {{ connections_per_address: {most} }}\n"));
        }
        let (path, expiry, cache) = (self.upstream, self.expiry, self.cache);
        text.push_str(&format!(
            "cache: {{ memory: 256MiB, disk: 20GiB{cache} }}\nindexes:\n  \
             root/pypi: {{ type: mirror, mirror_url: \"http://{origin}{path}\", mirror_cache_expiry: {expiry} }}\n"
        ));
        if self.takes_uploads && !self.is_imported {
            text.push_str(&format!("  {STAGE}: {{ acl_upload: [\":ANONYMOUS:\"] }}\n"));
        }
        text.push_str(&self.stack());
        if let Some(strict) = self.strict {
            text.push_str(&self.declare_strict(strict)?);
        }
        Ok(text)
    }

    /// [`TOP`] and what is between it and [`STAGE`].
    fn stack(&self) -> String {
        if self.stacked < 2 {
            return String::new();
        }
        let between: Vec<String> = (2..self.stacked)
            .map(|number| format!("root/between-{number}"))
            .collect();
        let mut text: String = between
            .iter()
            .map(|name| format!("  {name}: {{}}\n"))
            .collect();
        let bases: String = between.iter().map(|name| format!("{name}, ")).collect();
        text.push_str(&format!("  {TOP}: {{ bases: [{bases}{STAGE}] }}\n"));
        text
    }

    fn declare_strict(&self, strict: Strict) -> anyhow::Result<String> {
        let mut whitelist = "";
        if strict.whitelisted > 0 {
            let others = strict.whitelisted.saturating_sub(ASKED.len());
            let others = (0..others).map(|number| format!("project-{number}"));
            let names = others.chain(ASKED.map(str::to_owned));
            let names: String = names.map(|name| name + "\n").collect();
            fs::write(self.folder.join("requirements.txt"), names)?;
            whitelist = ", whitelist_files: [requirements.txt]";
        }
        let rules: String = (0..strict.rules).map(rule).collect();
        let policy = if strict.rules > 0 {
            ", policy: strict"
        } else {
            ""
        };
        let mut text = format!(
            "  {LOOSE}: {{ bases: [{MIRROR}] }}\n  {STRICT}: {{ bases: [{MIRROR}]{policy}{whitelist} }}\n"
        );
        if strict.rules > 0 {
            text.push_str(&format!("policies:\n  strict:\n    rules:\n{rules}"));
        }
        Ok(text)
    }
}

/// One of the rules that match nothing here, of every usual kind.
fn rule(number: usize) -> String {
    let matcher = match number % 5 {
        0 => format!("project: [bad-{number}, \"bad-{number}-*\"]"),
        1 => format!("project: project-{number}, versions: \"<2.{number}\""),
        2 => format!("project: \"/^evil-?{number}-.*$/\""),
        3 => format!("kind: egg, project: \"old-{number}-*\""),
        _ => format!("younger_than: 7d, project: \"young-{number}-*\""),
    };
    format!("      - deny: {{ {matcher}, reason: \"rule {number}\" }}\n")
}

impl Gateway {
    /// The process.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// The public door.
    pub(crate) fn public(&self) -> SocketAddr {
        self.public
    }

    /// The management door, which is open where uploads are taken.
    pub(crate) fn manage(&self) -> anyhow::Result<SocketAddr> {
        self.manage.context("the management door is off")
    }

    /// Ends it.
    pub(crate) fn stop(self) {
        drop(self.server);
    }
}

/// Takes away what whoever runs this has set for another gateway, and any proxy before loopback.
fn without_surroundings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHEESECLOTH_") {
            command.env_remove(name);
        }
    }
    command
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1");
}

fn launch(mut command: Command, has_manage: bool) -> anyhow::Result<Gateway> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let started = Instant::now();
    let mut server = Server::new(command.spawn()?);
    let stdout = server.stdout().context("stdout is piped")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens once the doors are known; the pipe is emptied all the same.
            let _ = sender.send(line);
        }
    });
    let mut doors = [None; 3];
    let (public, metrics, manage) = loop {
        if let [Some(public), Some(metrics), manage] = doors
            && manage.is_some() == has_manage
        {
            break (public, metrics, manage);
        }
        let left = START.saturating_sub(started.elapsed());
        let line = lines
            .recv_timeout(left)
            .context("it has not named its doors")?;
        for (door, name) in doors.iter_mut().zip(["public ", "metrics ", "management "]) {
            if let Some(url) = line.strip_prefix(name) {
                *door = Some(address(url)?);
            }
        }
    };
    let ready = Request::new("/readyz");
    while !fetch(metrics, &ready).is_ok_and(|answer| answer.status == 200) {
        if server.ended()?.is_some() || started.elapsed() > START {
            bail!("it does not become ready");
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(Gateway {
        server,
        public,
        manage,
        started_in: started.elapsed(),
    })
}

/// The address in a URL such as `http://127.0.0.1:4040/`.
fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let (_, rest) = url
        .trim()
        .split_once("://")
        .with_context(|| format!("no url: {url:?}"))?;
    let host = rest.split('/').next().unwrap_or_default();
    host.parse().with_context(|| format!("no address: {url:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_found_in_its_line() {
        for url in [
            "http://127.0.0.1:80/",
            "https://127.0.0.1:80",
            "http://127.0.0.1:80/a/",
        ] {
            assert_eq!(address(url).unwrap().port(), 80, "{url}");
        }
        assert!(address("127.0.0.1:80").is_err());
        assert!(address("unix://socket").is_err());
    }

    #[test]
    fn what_it_serves_is_valid_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let origin = SocketAddr::from(([127, 0, 0, 1], 1));
        let cores = Cores { server: 0, load: 1 };
        let launch = Launch::new(folder.path(), origin, cores);
        let strict = Strict {
            whitelisted: 100,
            rules: 10,
        };
        let launch = launch
            .strict(strict)
            .short_lived()
            .uploads()
            .stacked(4)
            .per_address(9);
        let path = folder.path().join("policies.yaml");
        fs::write(&path, launch.declare().unwrap()).unwrap();
        let source = cheesecloth::testing::config::PoliciesPath::Named(path);
        let loaded =
            cheesecloth::testing::config::load(&source, &Default::default(), &|_| None).unwrap();
        let policies =
            cheesecloth::testing::policy::Policies::compile(&loaded.documents, &[]).unwrap();
        // The mirror, the stage, two between it and the top, which is one more; strict and loose.
        assert_eq!(policies.indexes().count(), 7);
        let names = fs::read_to_string(folder.path().join("requirements.txt")).unwrap();
        assert_eq!(names.lines().count(), 100);
        assert!(names.lines().any(|name| name == "small"));
    }
}
