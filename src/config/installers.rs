//! Which indexes the installers on this machine are configured for: pip, uv and poetry, by file, variable and
//! key. Nothing is asked, and no password is kept: a URL loses its login as it is read.

mod found;
mod pip;
mod poetry;
mod uv;

use std::path::{Path, PathBuf};

use crate::config::environment::{Environment, variable};
use crate::config::pip::pip as ask_pip;

pub use found::{Installer, Setting, SettingKind, redacted};

/// Where an installer's configuration is looked for.
pub struct Machine<'a> {
    /// The environment.
    pub env: Environment<'a>,
    /// The project's folder: its files count, and those of the nearest folder above that has some.
    pub folder: PathBuf,
}

/// Every setting about indexes, in the order in which installers read them; and for each installer that can be
/// run here or is configured, whether something replaces its built-in index.
#[must_use]
pub fn installer_settings(machine: &Machine<'_>) -> Vec<Setting> {
    let mut found = Vec::new();
    match ask_pip(&["config", "debug"]) {
        Some(debug) => found.extend(pip::settings(&debug, machine.env)),
        // Its variables count for the pip of some other environment.
        None => found.extend(pip::of_environment(machine.env)),
    }
    found.extend(uv::settings(machine));
    found.extend(poetry::settings(machine));
    found
}

/// Whether an installer is used here: it can be run or is configured, and for poetry the project is one of its.
#[must_use]
pub fn is_used(machine: &Machine<'_>, installer: Installer, settings: &[Setting]) -> bool {
    let is_configured = settings
        .iter()
        .any(|setting| setting.installer == installer);
    is_configured
        || match installer {
            Installer::Pip => is_installed(machine.env, &["pip", "pip3"]),
            Installer::Uv => is_installed(machine.env, &["uv"]),
            Installer::Poetry => poetry::is_project(machine),
        }
}

/// Whether one of these programs can be run.
fn is_installed(env: Environment<'_>, programs: &[&str]) -> bool {
    let path = variable(env, "PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| {
        programs
            .iter()
            .any(|program| folder.join(program).is_file())
    })
}

/// The nearest file of this name, from the folder upwards.
fn nearest(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut candidates = folder.ancestors().map(|folder| folder.join(name));
    candidates.find(|path| path.is_file())
}

/// A TOML file as a table; one that cannot be read says nothing.
fn toml_file(path: &Path) -> Option<toml::Table> {
    std::fs::read_to_string(path).ok()?.parse().ok()
}
