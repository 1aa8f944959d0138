//! Where PyPI is: the index that pip on this machine already uses.
//!
//! No host name of a public registry stands in this program. Asked in this order: the two variables,
//! pip's configuration, pip's own default. Its help text is the one place where pip tells that
//! default; what it said is remembered in the data directory, for the day when pip is gone or the
//! server runs offline. A URL with a login is not remembered.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use url::Url;

use crate::config::ourselves::is_ourselves;
use crate::config::secret::{Login, split_login};
use crate::config::settings::{Config, Environment, variable};
use crate::model::Fault;
use crate::policy::{HttpUrl, Word};

/// Longest run of pip: it takes half a second, and many on a machine that has just started.
const PIP_TIMEOUT: Duration = Duration::from_secs(30);

/// Most output of pip that is read, in bytes: its help is 20 KiB.
const PIP_OUTPUT_MAX: u64 = 1 << 20;

/// How often, and how far apart, a program that has closed its output is asked whether it ended.
const EXIT_POLLS: u32 = 100;
const EXIT_POLL: Duration = Duration::from_millis(10);

/// The file in the data directory that remembers what pip said.
const REMEMBERED: &str = "upstream-url";

/// How pip may be called.
const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip"], &["pip3"]];

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundIndex {
    /// The index.
    pub url: Url,
    /// How to log in to it, if its URL said so.
    pub login: Option<Login>,
    /// Who said it.
    pub origin: Origin,
    /// In which file, where pip says that of its configuration.
    pub file: Option<PathBuf>,
}

impl fmt::Display for FoundIndex {
    /// Which index, and who said so: never its login.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (by {}", self.url, self.origin.as_str())?;
        if let Some(file) = &self.file {
            write!(formatter, ", {}", file.display())?;
        }
        if self.login.is_some() {
            formatter.write_str("; with a login")?;
        }
        formatter.write_str(")")
    }
}

/// Who said where the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `CHEESECLOTH_MIRROR_URL`.
    OurVariable,
    /// `PIP_INDEX_URL`.
    PipVariable,
    /// One of pip's configuration files.
    PipConfiguration,
    /// pip itself.
    PipDefault,
    /// pip, at an earlier start.
    Remembered,
}

impl Origin {
    /// Its name in the words of a fault or a log line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OurVariable => "CHEESECLOTH_MIRROR_URL",
            Self::PipVariable => "PIP_INDEX_URL",
            Self::PipConfiguration => "pip's configuration",
            Self::PipDefault => "pip's own default",
            Self::Remembered => "what pip said at an earlier start",
        }
    }
}

/// Finds the index for the mirror that has no `mirror_url`. Runs pip unless a variable answers, so
/// call it once at start, and only where such a mirror exists.
///
/// # Errors
/// When nobody knows an index, or the index is this gateway.
pub fn discover(config: &Config, env: Environment<'_>) -> Result<FoundIndex, Fault> {
    discover_with(config, env, &|arguments| {
        run_pip(&PIPS, PIP_TIMEOUT, arguments)
    })
}

/// Asks a pip for its output; nothing when there is no pip, or it fails.
type Pip<'a> = &'a dyn Fn(&[&str]) -> Option<String>;

fn discover_with(config: &Config, env: Environment<'_>, pip: Pip<'_>) -> Result<FoundIndex, Fault> {
    let remembered = config.data.join(REMEMBERED);
    let Some((text, origin)) = ask(config, env, pip, &remembered) else {
        let what = "no mirror_url, and no pip here that knows an index";
        return Err(Fault::nowhere(what).hint("set CHEESECLOTH_MIRROR_URL to the index to mirror"));
    };
    let url = HttpUrl::read(text.trim()).map_err(|misread| {
        let what = format!(
            "the index that {} names is {}",
            origin.as_str(),
            misread.what
        );
        Fault::nowhere(what).hint("set CHEESECLOTH_MIRROR_URL to the index to mirror")
    })?;
    let (url, login) = split_login(url.0);
    if is_ourselves(&url, config) {
        let what = format!("{} leads back to this gateway ({url})", origin.as_str());
        let hint = "set CHEESECLOTH_MIRROR_URL to the index behind it";
        return Err(Fault::nowhere(what).hint(hint));
    }
    let is_pips = matches!(origin, Origin::PipConfiguration | Origin::PipDefault);
    if is_pips && login.is_none() {
        remember(&remembered, &url);
    }
    let file = match origin {
        Origin::PipConfiguration => pip(&["config", "debug"]).and_then(|text| configured_in(&text)),
        Origin::OurVariable | Origin::PipVariable | Origin::PipDefault | Origin::Remembered => None,
    };
    Ok(FoundIndex {
        url,
        login,
        origin,
        file,
    })
}

/// Whether the environment names the index, so that pip need not be asked.
#[must_use]
pub fn names_index(env: Environment<'_>) -> bool {
    let mut variables = [Origin::OurVariable, Origin::PipVariable].into_iter();
    variables.any(|origin| variable(env, origin.as_str()).is_some())
}

fn ask(
    config: &Config,
    env: Environment<'_>,
    pip: Pip<'_>,
    remembered: &Path,
) -> Option<(String, Origin)> {
    let said = |text: Option<String>, origin| text.map(|text| (text, origin));
    let recall = || {
        said(
            crate::config::files::read_text(remembered).ok(),
            Origin::Remembered,
        )
    };
    let configured = || pip(&["config", "list"]).and_then(|text| configured_index(&text));
    let built_in = || pip(&["help", "install"]).and_then(|text| default_index(&text));
    said(variable(env, "CHEESECLOTH_MIRROR_URL"), Origin::OurVariable)
        .or_else(|| said(variable(env, "PIP_INDEX_URL"), Origin::PipVariable))
        .or_else(|| recall().filter(|_| config.offline))
        .or_else(|| said(configured(), Origin::PipConfiguration))
        .or_else(|| said(built_in(), Origin::PipDefault))
        .or_else(recall)
}

/// Keeping it is a convenience for a later start; a folder that cannot be written fails louder soon.
fn remember(path: &Path, url: &Url) {
    let text = format!("{url}\n");
    if std::fs::read_to_string(path).is_ok_and(|known| known == text) {
        return;
    }
    let _ = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(path, text));
}

/// The index of `pip config list`: that of the install command wins over the global one, as in pip.
fn configured_index(listing: &str) -> Option<String> {
    let value = |name: &str| {
        let of_name = |line: &str| {
            Some(
                line.trim()
                    .strip_prefix(name)?
                    .strip_prefix('=')?
                    .to_owned(),
            )
        };
        let value = listing.lines().find_map(of_name)?;
        let value = value.trim_matches(['\'', '"']);
        (!value.is_empty()).then(|| value.to_owned())
    };
    value("install.index-url").or_else(|| value("global.index-url"))
}

/// The file in which `pip config debug` shows the index: below each file, which stands indented, it lists
/// what is in it. A later file wins, and so does the install command over the global key.
fn configured_in(debug: &str) -> Option<PathBuf> {
    let (mut file, mut found) = (None, [None, None]);
    for line in debug.lines().map(str::trim) {
        if let Some((path, _)) = line.rsplit_once(", exists: ") {
            file = Some(PathBuf::from(path));
        }
        for (key, found) in ["install.index-url:", "global.index-url:"]
            .iter()
            .zip(&mut found)
        {
            if line.starts_with(key) {
                found.clone_from(&file);
            }
        }
    }
    let [install, global] = found;
    install.or(global)
}

/// The default that pip's help states for `--index-url`. The text is wrapped to some width, in the
/// middle of a URL if that has dashes, so all white space inside the parentheses goes.
fn default_index(help: &str) -> Option<String> {
    let mut options = help.split("--index-url <url>").skip(1);
    options.find_map(|rest| {
        // Up to the next option, so that another one's default is not taken for it.
        let end = rest.find("\n  -").unwrap_or(rest.len());
        let (_, default) = rest[..end].split_once("(default")?;
        let (default, _) = default.split_once(')')?;
        let url: String = default.split_whitespace().collect();
        let url = url.trim_start_matches(':');
        url.starts_with("http").then(|| url.to_owned())
    })
}

/// Runs the first of these programs that answers.
fn run_pip(pips: &[&[&str]], timeout: Duration, arguments: &[&str]) -> Option<String> {
    pips.iter().find_map(|pip| {
        let (program, first) = pip.split_first()?;
        let arguments: Vec<&str> = first.iter().chain(arguments).copied().collect();
        run(program, &arguments, timeout)
    })
}

fn run(program: &str, arguments: &[&str], timeout: Duration) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        // Wide enough that nothing is wrapped where the help respects it.
        .env("COLUMNS", "2000")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_NO_INPUT", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let output = child.stdout.take()?;
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = output.take(PIP_OUTPUT_MAX).read_to_string(&mut text);
        // Nobody listens any more once the time is over.
        let _ = send.send(read.map(|_| text));
    });
    let text = receive.recv_timeout(timeout);
    let status = text.is_ok().then(|| status_of(&mut child)).flatten();
    // Whether it ended or was too slow, it has nothing more to say.
    let _ = child.kill().and_then(|()| child.wait());
    text.ok()?
        .ok()
        .filter(|_| status.is_some_and(|status| status.success()))
}

/// How a program ended that has closed its output, which it does last.
fn status_of(child: &mut Child) -> Option<ExitStatus> {
    (0..EXIT_POLLS).find_map(|_| {
        let status = child.try_wait().ok().flatten();
        if status.is_none() {
            std::thread::sleep(EXIT_POLL);
        }
        status
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::config::load::{PoliciesPath, load};
    use crate::config::settings::Overrides;

    const HELP: &str = "
Package Index Options:
  -i, --index-url <url>       Base URL of the Python Package Index (default
                              https://upstream-
                              one.example/simple). This should point to a
                              repository compliant with PEP 503 (the simple
                              repository API).
  --extra-index-url <url>     Extra URLs of package indexes to use in addition
                              to --index-url. Should follow the same rules as
                              --index-url.
";

    fn config(data: &Path, public: &str, offline: bool) -> Config {
        let overrides = Overrides {
            data: Some(data.to_owned()),
            public: Some(public.into()),
            offline,
            ..Overrides::default()
        };
        let source = PoliciesPath::Default {
            folder: data.to_owned(),
        };
        load(&source, &overrides, &|_| None).unwrap().config
    }

    /// Discovers with these variables and these answers of pip.
    fn found(
        config: &Config,
        variables: &[(&str, &str)],
        listing: Option<&str>,
        help: Option<&str>,
    ) -> Result<(String, Origin), String> {
        let env = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let pip = |arguments: &[&str]| match arguments {
            ["config", "list"] => listing.map(str::to_owned),
            ["help", "install"] => help.map(str::to_owned),
            ["config", "debug"] => None,
            other => panic!("{other:?}"),
        };
        discover_with(config, &env, &pip)
            .map(|found| (found.url.to_string(), found.origin))
            .map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_first_who_knows_an_index_is_asked_last() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "127.0.0.1:4040", false);
        let ours = ("CHEESECLOTH_MIRROR_URL", "https://ours.example/simple/");
        let pips = ("PIP_INDEX_URL", "https://variable.example/simple/");
        let listing = Some("global.cert='/x'\nglobal.index-url='https://listed.example/simple/'\n");
        let expect = |text: &str, origin| Ok((text.to_owned(), origin));
        assert_eq!(
            found(&config, &[pips, ours], listing, Some(HELP)),
            expect("https://ours.example/simple/", Origin::OurVariable)
        );
        assert_eq!(
            found(&config, &[pips], listing, Some(HELP)),
            expect("https://variable.example/simple/", Origin::PipVariable)
        );
        assert_eq!(
            found(&config, &[], listing, Some(HELP)),
            expect("https://listed.example/simple/", Origin::PipConfiguration)
        );
        assert_eq!(
            found(&config, &[], Some(""), Some(HELP)),
            expect("https://upstream-one.example/simple", Origin::PipDefault)
        );
        assert_eq!(
            found(&config, &[], None, None),
            expect("https://upstream-one.example/simple", Origin::Remembered)
        );
    }

    #[test]
    fn offline_pip_is_not_run_when_its_answer_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "off", true);
        std::fs::write(
            folder.path().join(REMEMBERED),
            "https://upstream.example/simple\n",
        )
        .unwrap();
        let asked = RefCell::new(0);
        let found = discover_with(&config, &|_| None, &|_| {
            *asked.borrow_mut() += 1;
            None
        });
        assert_eq!(found.unwrap().origin, Origin::Remembered);
        assert_eq!(asked.into_inner(), 0);
    }

    #[test]
    fn a_login_is_kept_apart_and_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "127.0.0.1:4040", false);
        let listing =
            |_: &[&str]| Some("global.index-url='https://u:secret@upstream.example/'".into());
        let found = discover_with(&config, &|_| None, &listing).unwrap();
        assert_eq!(found.url.as_str(), "https://upstream.example/");
        assert_eq!(found.login.unwrap().password.expose(), "secret");
        assert!(!folder.path().join(REMEMBERED).exists());
    }

    #[test]
    fn without_an_answer_or_with_ourselves_it_says_what_to_set() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "0.0.0.0:4040", false);
        let nobody = found(&config, &[], None, None).unwrap_err();
        assert!(
            nobody.ends_with("set CHEESECLOTH_MIRROR_URL to the index to mirror"),
            "{nobody}"
        );
        for url in [
            "http://localhost:4040/root/pypi",
            "http://127.0.0.1:3141/simple/",
        ] {
            let fault = found(&config, &[("PIP_INDEX_URL", url)], None, None).unwrap_err();
            assert!(
                fault.starts_with("PIP_INDEX_URL leads back to this gateway"),
                "{fault}"
            );
        }
        let file = found(
            &config,
            &[("PIP_INDEX_URL", "file:///srv/s3cret")],
            None,
            None,
        )
        .unwrap_err();
        assert!(
            !file.contains("s3cret") && file.contains("PIP_INDEX_URL"),
            "{file}"
        );
        assert!(
            found(
                &config,
                &[("PIP_INDEX_URL", "http://10.0.0.1:4040/")],
                None,
                None
            )
            .is_ok()
        );
    }

    #[test]
    fn the_default_is_read_however_the_help_is_wrapped() {
        let one_line =
            "  -i, --index-url <url>  Base URL (default https://upstream.example/simple). This";
        let renamed = "--index-url <url>  Base (default: https://upstream.example/simple)";
        let table = [
            (HELP, Some("https://upstream-one.example/simple")),
            (one_line, Some("https://upstream.example/simple")),
            (renamed, Some("https://upstream.example/simple")),
            (
                "--index-url <url>  Base URL.\n  --timeout <sec>  (default 15)",
                None,
            ),
            ("--index-url <url>  Base URL (default none)", None),
            ("--index-url <url>  Base URL (default https://", None),
            ("", None),
        ];
        for (help, wanted) in table {
            assert_eq!(default_index(help).as_deref(), wanted, "{help:?}");
        }
    }

    #[test]
    fn a_configured_index_is_the_install_commands_then_the_global_one() {
        let table = [
            ("global.index-url='a'\ninstall.index-url='b'\n", Some("b")),
            (
                "global.index-url='a'\nglobal.extra-index-url='c'",
                Some("a"),
            ),
            ("download.index-url='d'\nglobal.index-url=''", None),
        ];
        for (listing, wanted) in table {
            assert_eq!(configured_index(listing).as_deref(), wanted, "{listing:?}");
        }
    }

    #[test]
    fn what_was_found_is_told_with_who_said_it_and_without_its_login() {
        let debug = "env_var:
env:
global:
  /etc/xdg/pip/pip.conf, exists: False
  /etc/pip.conf, exists: True
    global.index-url: https://u:s3cret@upstream.example/simple/
site:
  /usr/pip.conf, exists: True
    global.timeout: 60
user:
  /home/somebody/.config/pip/pip.conf, exists: False
";
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "off", false);
        let pip = |debug: &'static str| {
            move |arguments: &[&str]| match arguments {
                ["config", "list"] => {
                    Some("global.index-url='https://u:s3cret@upstream.example/simple/'".into())
                }
                ["config", "debug"] => (!debug.is_empty()).then(|| debug.to_owned()),
                _ => None,
            }
        };
        let told = |debug| {
            let found = discover_with(&config, &|_| None, &pip(debug)).unwrap();
            found.to_string()
        };
        insta::assert_snapshot!(told(debug), @"https://upstream.example/simple/ (by pip's configuration, /etc/pip.conf; with a login)");
        insta::assert_snapshot!(told(""), @"https://upstream.example/simple/ (by pip's configuration; with a login)");
        let env =
            |name: &str| (name == "PIP_INDEX_URL").then(|| "https://upstream.example/".into());
        let found = discover_with(&config, &env, &|_| None).unwrap();
        insta::assert_snapshot!(found, @"https://upstream.example/ (by PIP_INDEX_URL)");
    }

    #[test]
    fn the_install_commands_file_wins_and_then_the_last() {
        let listed = |lines: &[&str]| configured_in(&lines.join("\n"));
        let (one, two) = ("  /one, exists: True", "  /two, exists: True");
        let (install, global) = ("    install.index-url: x", "    global.index-url: x");
        assert_eq!(listed(&[one, global, two, global]), Some("/two".into()));
        assert_eq!(listed(&[one, install, two, global]), Some("/one".into()));
        assert_eq!(listed(&[one, two]), None);
    }

    #[test]
    fn a_program_that_hangs_or_fails_or_is_not_there_has_no_answer() {
        let short = Duration::from_millis(50);
        let shell: &[&str] = &["sh", "-c"];
        let ask = |pips: &[&[&str]], script: &str| run_pip(pips, short, &[script]);
        assert_eq!(ask(&[shell], "exec sleep 60"), None);
        assert_eq!(ask(&[shell], "echo no; exit 1"), None);
        assert_eq!(ask(&[&["/no/such/pip"]], ""), None);
        let said = run_pip(&[&["/no/such/pip"], shell], PIP_TIMEOUT, &["echo yes"]);
        assert_eq!(said.as_deref(), Some("yes\n"));
    }
}
