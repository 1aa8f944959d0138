//! poetry's sources, which stand in the project's `pyproject.toml`.

use toml::Value;

use crate::config::installers::found::{Installer, Setting, SettingKind};
use crate::config::installers::{Machine, nearest, toml_file};

pub(super) fn settings(machine: &Machine<'_>) -> Vec<Setting> {
    let Some(path) = nearest(&machine.folder, "pyproject.toml") else {
        return Vec::new();
    };
    let table = toml_file(&path).unwrap_or_default();
    let poetry = table.get("tool").and_then(|tool| tool.get("poetry"));
    let sources = poetry.and_then(|poetry| poetry.get("source"));
    let at = path.display().to_string();
    let mut found = Vec::new();
    for source in sources.and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| source.get(key).and_then(Value::as_str);
        // Without a priority it is a primary one, and takes the place of the built-in index.
        let priority = text("priority").unwrap_or("primary");
        let kind = match priority {
            "primary" | "default" => SettingKind::Index,
            _ => SettingKind::Extra,
        };
        let name = text("name").unwrap_or_default();
        let key = format!("[[tool.poetry.source]] {name} ({priority})");
        // The built-in index has a name and no URL.
        let url = text("url").unwrap_or("built-in");
        found.extend(Setting::several(Installer::Poetry, (&at, &key), url, kind));
    }
    found
}

/// Whether the project is one of poetry's.
pub(super) fn is_project(machine: &Machine<'_>) -> bool {
    let path = nearest(&machine.folder, "pyproject.toml");
    let table = path.and_then(|path| toml_file(&path)).unwrap_or_default();
    let tool = table.get("tool").and_then(|tool| tool.get("poetry"));
    tool.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_is_told_with_its_priority() {
        let folder = tempfile::tempdir().unwrap();
        let pyproject = "[[tool.poetry.source]]\nname = \"ours\"\nurl = \"https://u:s3cret@ours.example/\"\n\
                         [[tool.poetry.source]]\nname = \"PyPI\"\npriority = \"supplemental\"\n";
        std::fs::write(folder.path().join("pyproject.toml"), pyproject).unwrap();
        let folder = folder.path().to_owned();
        let machine = Machine {
            env: &|_| None,
            folder,
        };
        let told = settings(&machine);
        let told: Vec<_> = told
            .iter()
            .map(|one| (&*one.key, &*one.value, one.kind))
            .collect();
        let (first, second) = (
            "[[tool.poetry.source]] ours (primary)",
            "[[tool.poetry.source]] PyPI (supplemental)",
        );
        let expected = [
            (first, "https://***@ours.example/", SettingKind::Index),
            (second, "built-in", SettingKind::Extra),
        ];
        assert_eq!(told, expected);
        assert!(is_project(&machine));
    }
}
