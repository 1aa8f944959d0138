//! uv's configuration: variables, `uv.toml` or `[tool.uv]` of the project, then the user's and the system's
//! `uv.toml`. Lists of all levels are asked one after another; of the one that takes the place of the built-in
//! index the first has its say.

use std::path::PathBuf;

use toml::{Table, Value};

use crate::config::environment::{Environment, variable};
use crate::config::installers::found::{Installer, Setting, SettingKind};
use crate::config::installers::{Machine, nearest, toml_file};

/// The variables that name indexes.
const VARIABLES: [(&str, SettingKind); 6] = [
    ("UV_DEFAULT_INDEX", SettingKind::Index),
    ("UV_INDEX_URL", SettingKind::Index),
    ("UV_INDEX", SettingKind::Extra),
    ("UV_EXTRA_INDEX_URL", SettingKind::Extra),
    ("UV_FIND_LINKS", SettingKind::Links),
    ("UV_INDEX_STRATEGY", SettingKind::Strategy),
];

/// The keys that do, below `[tool.uv]` and `[tool.uv.pip]`.
const KEYS: [(&str, SettingKind); 4] = [
    ("index-url", SettingKind::Index),
    ("extra-index-url", SettingKind::Extra),
    ("find-links", SettingKind::Links),
    ("index-strategy", SettingKind::Strategy),
];

pub(super) fn settings(machine: &Machine<'_>) -> Vec<Setting> {
    let mut found = of_environment(machine.env);
    for (path, table) in files(machine) {
        let at = path.display().to_string();
        found.extend(of_table(&at, "", &table));
        if let Some(Value::Table(pip)) = table.get("pip") {
            found.extend(of_table(&at, "pip.", pip));
        }
    }
    for kind in [SettingKind::Index, SettingKind::Strategy] {
        let later = found.iter_mut().filter(|setting| setting.kind == kind);
        later
            .skip(1)
            .for_each(|setting| setting.is_overridden = true);
    }
    found
}

fn of_environment(env: Environment<'_>) -> Vec<Setting> {
    let read = |(name, kind): (&str, SettingKind)| {
        let text = variable(env, name).unwrap_or_default();
        Setting::several(Installer::Uv, ("environment", name), &text, kind)
    };
    VARIABLES.into_iter().flat_map(read).collect()
}

/// The tables that uv reads, the nearest first.
fn files(machine: &Machine<'_>) -> Vec<(PathBuf, Table)> {
    let env = machine.env;
    if let Some(named) = variable(env, "UV_CONFIG_FILE") {
        let path = PathBuf::from(named);
        return toml_file(&path)
            .map(|table| (path, table))
            .into_iter()
            .collect();
    }
    if variable(env, "UV_NO_CONFIG").is_some() {
        return Vec::new();
    }
    let user = variable(env, "XDG_CONFIG_HOME").map(PathBuf::from);
    let user = user.or_else(|| Some(PathBuf::from(variable(env, "HOME")?).join(".config")));
    let user = user.map(|folder| folder.join("uv/uv.toml"));
    let wide = variable(env, "XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".to_owned());
    let wide = wide
        .split(':')
        .map(|folder| PathBuf::from(folder).join("uv/uv.toml"));
    let wide = wide
        .chain([PathBuf::from("/etc/uv/uv.toml")])
        .find(|path| path.is_file());
    let read = |path: PathBuf| Some((path.clone(), toml_file(&path)?));
    let of_project = project(machine);
    let others = [user, wide].into_iter().flatten().filter_map(read);
    of_project.into_iter().chain(others).collect()
}

/// `uv.toml`, or else `[tool.uv]` of `pyproject.toml`, of the nearest folder that has one of them.
fn project(machine: &Machine<'_>) -> Option<(PathBuf, Table)> {
    let of_pyproject = || {
        let path = nearest(&machine.folder, "pyproject.toml")?;
        let mut table = toml_file(&path)?;
        let Value::Table(mut tool) = table.remove("tool")? else {
            return None;
        };
        match tool.remove("uv")? {
            Value::Table(uv) => Some((path, uv)),
            _ => None,
        }
    };
    let of_uv = || {
        let path = nearest(&machine.folder, "uv.toml")?;
        Some((path.clone(), toml_file(&path)?))
    };
    of_uv().or_else(of_pyproject)
}

fn of_table(at: &str, section: &str, table: &Table) -> Vec<Setting> {
    let mut found = Vec::new();
    for entry in table
        .get("index")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let Some(url) = entry.get("url").and_then(Value::as_str) else {
            continue;
        };
        let is = |key: &str| entry.get(key).and_then(Value::as_bool).unwrap_or(false);
        let kind = match is("default") {
            true => SettingKind::Index,
            false => SettingKind::Extra,
        };
        let name = entry
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let key = format!("[[{section}index]] {name}");
        found.extend(Setting::several(
            Installer::Uv,
            (at, key.trim_end()),
            url,
            kind,
        ));
    }
    for (name, kind) in KEYS {
        let key = format!("{section}{name}");
        let of = |text: &str| Setting::several(Installer::Uv, (at, &key), text, kind);
        match table.get(name) {
            Some(Value::String(text)) => found.extend(of(text)),
            Some(Value::Array(all)) => {
                found.extend(all.iter().filter_map(Value::as_str).flat_map(of));
            }
            Some(_) | None => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_project_and_user_are_read_in_this_order() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project/src");
        std::fs::create_dir_all(&project).unwrap();
        let pyproject = "[[tool.uv.index]]\nname = \"corp\"\nurl = \"https://u:s3cret@corp.example/\"\n\
                         [[tool.uv.index]]\nurl = \"https://ours.example/\"\ndefault = true\n\
                         [tool.uv]\nindex-strategy = \"unsafe-best-match\"\n\
                         [tool.uv.pip]\nextra-index-url = [\"https://extra.example/\"]\n";
        std::fs::write(folder.path().join("project/pyproject.toml"), pyproject).unwrap();
        std::fs::create_dir(folder.path().join("uv")).unwrap();
        let user = "index-url = \"https://old.example/\"\n";
        std::fs::write(folder.path().join("uv/uv.toml"), user).unwrap();
        let home = folder.path().display().to_string();
        let env = |name: &str| match name {
            "UV_INDEX" => Some("a=https://a.example/ https://b.example/".to_owned()),
            "XDG_CONFIG_HOME" => Some(home.clone()),
            "XDG_CONFIG_DIRS" => Some("/nowhere".to_owned()),
            _ => None,
        };
        let machine = Machine {
            env: &env,
            folder: project,
        };
        let told = settings(&machine);
        let told: Vec<_> = told
            .iter()
            .map(|one| {
                let mark = if one.is_overridden {
                    " (overridden)"
                } else {
                    ""
                };
                format!("{} {}{mark}", one.key, one.value)
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        UV_INDEX a=https://a.example/
        UV_INDEX https://b.example/
        [[index]] corp https://***@corp.example/
        [[index]] https://ours.example/
        index-strategy unsafe-best-match
        pip.extra-index-url https://extra.example/
        index-url https://old.example/ (overridden)
        ");
    }
}
