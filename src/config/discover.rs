//! Where PyPI is: the index that pip on this machine already uses.
//!
//! No host name of a public registry stands in this program. Asked in this order: the two variables,
//! pip's configuration, pip's own default. pip states that default only in its help text; what it said is
//! remembered in the data directory, in case pip is gone later or the server runs offline. A URL with a
//! login is not remembered.

use std::path::Path;

use url::Url;

use crate::config::environment::{Environment, variable};
use crate::config::files::read_text;
use crate::config::found::{FoundIndex, Origin};
use crate::config::ourselves::is_ourselves;
use crate::config::pip::{configured_in, configured_index, default_index, pip};
use crate::config::settings::Config;
use crate::language::{HttpUrl, Word};
use crate::model::{Fault, Login};

/// The file in the data directory that remembers what pip said.
const REMEMBERED: &str = "upstream-url";

/// Finds the index for the mirror that has no `mirror_url`. Runs pip unless a variable answers, so call
/// it once at start, and only if there is such a mirror.
///
/// # Errors
/// When no index is known, or the index is this gateway.
pub fn discover(config: &Config, env: Environment<'_>) -> Result<FoundIndex, Fault> {
    discover_with(config, env, &pip)
}

/// Asks pip; tests have their own.
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
    let mut url = url.0;
    let login = Login::take_from(&mut url);
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
    let recall = || said(read_text(remembered).ok(), Origin::Remembered);
    let configured = || pip(&["config", "list"]).and_then(|text| configured_index(&text));
    // Not the help of `install`, which has the same option: pyenv rebuilds its shims after any command
    // with that word in it, which fails if they belong to another user.
    let built_in = || pip(&["help", "download"]).and_then(|text| default_index(&text));
    said(variable(env, "CHEESECLOTH_MIRROR_URL"), Origin::OurVariable)
        .or_else(|| said(variable(env, "PIP_INDEX_URL"), Origin::PipVariable))
        .or_else(|| recall().filter(|_| config.offline))
        .or_else(|| said(configured(), Origin::PipConfiguration))
        .or_else(|| said(built_in(), Origin::PipDefault))
        .or_else(recall)
}

/// Remembering is a convenience for a later start; an unwritable folder fails more loudly soon after.
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::config::load::load;
    use crate::config::pip::tests::HELP;
    use crate::config::settings::Overrides;
    use crate::config::source::PoliciesPath;

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
            ["help", "download"] => help.map(str::to_owned),
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

    /// pyenv's shims look for the word among the arguments and are rebuilt after such a command. That
    /// fails if they belong to another user, and pip's answer is lost.
    #[test]
    fn pip_is_asked_nothing_that_has_a_shim_make_itself_anew() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "off", false);
        let shim = |arguments: &[&str]| {
            let is_rehashing = arguments.contains(&"install") || arguments.contains(&"uninstall");
            (!is_rehashing && arguments[0] == "help").then(|| HELP.to_owned())
        };
        let found = discover_with(&config, &|_| None, &shim).unwrap();
        assert_eq!(found.origin, Origin::PipDefault);
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
}
