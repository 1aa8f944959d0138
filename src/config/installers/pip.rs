//! pip's configuration of every level, as `pip config debug` lists it, and its variables, which win.

use crate::config::environment::{Environment, variable};
use crate::config::installers::found::{Installer, Setting, SettingKind};

/// The keys that name indexes.
const KEYS: [(&str, SettingKind); 3] = [
    ("index-url", SettingKind::Index),
    ("extra-index-url", SettingKind::Extra),
    ("find-links", SettingKind::Links),
];

/// What `pip config debug` heads its levels with.
const LEVELS: [&str; 5] = ["env_var:", "env:", "global:", "site:", "user:"];

/// The settings of files and variables. A later file wins over an earlier one, a command's section over the
/// global one, and a variable over all of them.
pub(super) fn settings(debug: &str, env: Environment<'_>) -> Vec<Setting> {
    let mut found = of_files(debug);
    let variables = of_environment(env);
    for (_, kind) in KEYS {
        let of_kind = |setting: &&Setting| setting.kind == kind;
        let winner = match variables.iter().find(of_kind) {
            Some(setting) => Some((setting.at.clone(), setting.key.clone())),
            None => {
                let is_command = |setting: &&Setting| setting.key.starts_with("install.");
                let mut of_command = found.iter().filter(of_kind).filter(is_command);
                let last = of_command.next_back();
                let last = last.or_else(|| found.iter().rfind(of_kind));
                last.map(|setting| (setting.at.clone(), setting.key.clone()))
            }
        };
        for setting in found.iter_mut().filter(|setting| setting.kind == kind) {
            let place = (setting.at.clone(), setting.key.clone());
            setting.is_overridden = winner.as_ref() != Some(&place);
        }
    }
    found.extend(variables);
    found
}

/// The settings of the environment.
pub(super) fn of_environment(env: Environment<'_>) -> Vec<Setting> {
    let read = |(key, kind): (&str, SettingKind)| {
        let name = format!("PIP_{}", key.to_uppercase().replace('-', "_"));
        let text = variable(env, &name).unwrap_or_default();
        Setting::several(Installer::Pip, ("environment", &name), &text, kind)
    };
    KEYS.into_iter().flat_map(read).collect()
}

/// What `pip config debug` lists: below each file's path its keys, indented. A value may go on over lines
/// that are no keys.
fn of_files(debug: &str) -> Vec<Setting> {
    let mut found = Vec::new();
    let mut file = None;
    let mut under: Option<(String, SettingKind)> = None;
    for line in debug.lines().map(str::trim) {
        if let Some((path, _)) = line.rsplit_once(", exists: ") {
            (file, under) = (Some(path.to_owned()), None);
            continue;
        }
        // The next level, which lists no key before its first file.
        if LEVELS.contains(&line) {
            (file, under) = (None, None);
        }
        let Some(file) = &file else { continue };
        let (key, text) = match line
            .split_once(": ")
            .or_else(|| Some((line.strip_suffix(':')?, "")))
        {
            // A key has a section before it; a URL has none.
            Some((key, text)) if key.contains('.') && !key.contains(['/', ' ']) => {
                let kind = KEYS.iter().find(|(name, _)| {
                    key.split_once('.').is_some_and(|(section, key)| {
                        key == *name
                            && matches!(section, "global" | "install" | "download" | "wheel")
                    })
                });
                under = kind.map(|(_, kind)| (key.to_owned(), *kind));
                (key.to_owned(), text)
            }
            _ => match &under {
                Some((key, _)) => (key.clone(), line),
                None => continue,
            },
        };
        if let Some((_, kind)) = &under {
            found.extend(Setting::several(Installer::Pip, (file, &key), text, *kind));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBUG: &str = "env_var:
env:
global:
  /etc/pip.conf, exists: True
    global.index-url: https://old.example/simple/
    global.timeout: 60
site:
  /venv/pip.conf, exists: True
    global.index-url: https://ours.example/simple/
    global.extra-index-url: 
https://u:s3cret@one.example/simple
https://two.example/simple
    install.find-links: /srv/wheels
user:
  /home/x/.config/pip/pip.conf, exists: False
";

    fn told(debug: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let env = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let told = |setting: &Setting| {
            let Setting { at, key, value, .. } = setting;
            let mark = if setting.is_overridden {
                " (overridden)"
            } else {
                ""
            };
            format!("{at} {key} {value}{mark}")
        };
        settings(debug, &env).iter().map(told).collect()
    }

    #[test]
    fn every_level_is_read_and_the_last_wins() {
        insta::assert_snapshot!(told(DEBUG, &[]).join("\n"), @r"
        /etc/pip.conf global.index-url https://old.example/simple/ (overridden)
        /venv/pip.conf global.index-url https://ours.example/simple/
        /venv/pip.conf global.extra-index-url https://***@one.example/simple
        /venv/pip.conf global.extra-index-url https://two.example/simple
        /venv/pip.conf install.find-links /srv/wheels
        ");
    }

    #[test]
    fn a_variable_wins_over_files() {
        let told = told(
            DEBUG,
            &[("PIP_EXTRA_INDEX_URL", "https://a.example https://b.example")],
        );
        assert_eq!(
            told[2],
            "/venv/pip.conf global.extra-index-url https://***@one.example/simple (overridden)"
        );
        assert_eq!(
            told[5],
            "environment PIP_EXTRA_INDEX_URL https://a.example/"
        );
        assert_eq!(told.len(), 7);
    }
}
