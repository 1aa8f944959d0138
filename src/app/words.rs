//! What a start says besides where the doors are.

use std::path::{Path, PathBuf};

use crate::app::open_records::are_there;
use crate::app::setup::Setup;
use crate::config::Loaded;

/// Warns of what a configuration does implicitly.
pub(super) fn warn_of(loaded: &Loaded) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if loaded.config.listen.is_opened_by_a_file {
        tracing::warn!("{OPENED_BY_A_FILE}");
    }
}

/// A first file opens the public door, whatever the file is about.
const OPENED_BY_A_FILE: &str = "the public door is open to other machines (0.0.0.0:4040): there is a \
     configuration file, and it does not say where that door is; write listen: { public: 0.0.0.0:4040 }, \
     or 127.0.0.1:4040 for this machine alone";

/// What the first run on a data folder says: where everything is kept, and which file to write next.
/// Determined before that run creates the records.
#[derive(Debug)]
pub(super) struct FirstRun {
    data: Option<PathBuf>,
    file: Option<PathBuf>,
}

impl FirstRun {
    pub(super) fn of(loaded: &Loaded, setup: &Setup) -> Self {
        let data = &loaded.config.data;
        let is_first = !are_there(&loaded.config);
        // Where indexes are created through the API no file is needed.
        let wants_file = is_first && loaded.files.is_empty() && !setup.overrides.bare;
        Self {
            data: is_first.then(|| absolute(data)),
            file: wants_file.then(|| absolute(&setup.policies.asked(&setup.env))),
        }
    }

    /// The lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let data = self.data.iter();
        let file = self.file.iter();
        let data = data.map(|path| format!("data {}", path.display()));
        let file = file.map(|path| {
            format!(
                "next write {}: indexes and policies (cheesecloth schema has every key)",
                path.display()
            )
        });
        data.chain(file)
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
