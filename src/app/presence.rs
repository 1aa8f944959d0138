//! Which configuration files have gone, appeared, or come back: logged, each by name.
//!
//! A reload reports what is wrong without a file, which is a different matter, and says nothing when one
//! of many advisories has gone.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::Named;

/// Most files named at one time; the rest are counted.
const TOLD_MAX: usize = 20;

/// Most files remembered as gone. Beyond that all are forgotten, and one that comes back counts as new.
const GONE_MAX: usize = 10_000;

/// What is there, and what was.
#[derive(Debug, Default)]
pub(super) struct Presence {
    there: BTreeSet<PathBuf>,
    gone: BTreeSet<PathBuf>,
}

/// When the files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Something has changed, and is about to be read.
    Change,
    /// It has been read. A good reading decides which files are named from now on; a faulty one may have
    /// missed what earlier files named.
    Read { is_good: bool },
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Gone,
    Back,
    Come,
}

impl Presence {
    /// What is there now; nothing has gone yet.
    pub(super) fn of(named: &Named) -> Self {
        Self {
            there: named.there(),
            gone: BTreeSet::new(),
        }
    }

    /// Logs what has happened to the files since the last look.
    pub(super) fn tell(&mut self, named: &Named, occasion: Occasion) {
        let turns = self.turns(named, occasion);
        for turn in [Turn::Gone, Turn::Back, Turn::Come] {
            let files: Vec<_> = turns.iter().filter(|one| one.0 == turn).collect();
            for (_, file) in files.iter().take(TOLD_MAX) {
                let (file, what) = (file.display(), turn.words());
                match turn {
                    Turn::Gone => tracing::warn!(%file, "{what}: {file}"),
                    Turn::Back | Turn::Come => tracing::info!(%file, "{what}: {file}"),
                }
            }
            let more = files.len().saturating_sub(TOLD_MAX);
            if more > 0 {
                tracing::info!(more, "{}: {more} more", turn.words());
            }
        }
    }

    fn turns(&mut self, named: &Named, occasion: Occasion) -> Vec<(Turn, PathBuf)> {
        let now = named.there();
        let is_settled = occasion == Occasion::Read { is_good: true };
        let mut turns = Vec::new();
        // A file that is there but no longer named has not gone.
        self.there.retain(|file| {
            if now.contains(file) {
                return true;
            }
            let is_there = file.is_file();
            if !is_there {
                turns.push((Turn::Gone, file.clone()));
            }
            is_there && !is_settled
        });
        for file in now {
            let was_gone = self.gone.remove(&file);
            // A file that a reading has just begun to name need not be new.
            let is_told = was_gone || occasion == Occasion::Change;
            if self.there.insert(file.clone()) && is_told {
                let turn = if was_gone { Turn::Back } else { Turn::Come };
                turns.push((turn, file));
            }
        }
        if self.gone.len() > GONE_MAX {
            self.gone.clear();
        }
        let gone = turns.iter().filter(|(turn, _)| *turn == Turn::Gone);
        self.gone.extend(gone.map(|(_, file)| file.clone()));
        turns
    }
}

impl Turn {
    fn words(self) -> &'static str {
        match self {
            Self::Gone => "a file of the configuration is gone",
            Self::Back => "a file of the configuration is back",
            Self::Come => "a file of the configuration is new",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{Overrides, PoliciesPath, load_noting};

    const YAML: &str = "\
advisories: [osv, lone.json]
indexes: { a/stage: { whitelist_files: [uv.lock] } }
listen: { manage: { tls: { cert: cert.pem, key: key.pem } } }
";

    #[test]
    fn a_file_of_each_kind_is_told_as_gone_and_as_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("osv")).unwrap();
        let texts = [
            ("c.yaml", YAML),
            ("osv/1.json", "[]"),
            ("lone.json", "[]"),
            ("uv.lock", "version = 1\n"),
            ("cert.pem", ""),
            ("key.pem", ""),
        ];
        for (name, text) in texts {
            fs::write(path.join(name), text).unwrap();
        }
        for whole in [path.to_owned(), path.join("c.yaml")] {
            let mut named = Named::default();
            let source = PoliciesPath::Named(whole);
            let none: fn(&str) -> Option<String> = |_| None;
            load_noting(&source, &Overrides::default(), &none, &mut named).unwrap();
            let mut presence = Presence::of(&named);
            let mut turns = |occasion| presence.turns(&named, occasion);
            assert_eq!(turns(Occasion::Change), []);
            for (name, text) in texts {
                let file = path.join(name);
                fs::remove_file(&file).unwrap();
                assert_eq!(turns(Occasion::Change), [(Turn::Gone, file.clone())]);
                for is_good in [false, true] {
                    assert_eq!(turns(Occasion::Read { is_good }), [], "once");
                }
                fs::write(&file, text).unwrap();
                assert_eq!(turns(Occasion::Change), [(Turn::Back, file.clone())]);
            }
            let new = path.join("osv/2.json");
            fs::write(&new, "[]").unwrap();
            assert_eq!(turns(Occasion::Change), [(Turn::Come, new.clone())]);
            fs::remove_file(new).unwrap();
        }
    }

    #[test]
    fn what_goes_while_a_reading_is_faulty_or_under_way_is_told_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        let (osv, lock) = (
            folder.path().join("osv.json"),
            folder.path().join("uv.lock"),
        );
        let named = |yaml: &str| {
            fs::write(&path, yaml).unwrap();
            let (mut named, none) = (Named::default(), Overrides::default());
            let source = PoliciesPath::Named(path.clone());
            let _ = load_noting(&source, &none, &|_| None, &mut named);
            named
        };
        for file in [&osv, &lock] {
            fs::write(file, "[]").unwrap();
        }
        let (both, one) = ("advisories: [osv.json, uv.lock]", "advisories: [osv.json]");
        let mut presence = Presence::of(&named(both));
        let faulty = Occasion::Read { is_good: false };
        assert_eq!(presence.turns(&named("a: ["), faulty), []);
        fs::remove_file(&osv).unwrap();
        let good = Occasion::Read { is_good: true };
        assert_eq!(
            presence.turns(&named(both), good),
            [(Turn::Gone, osv.clone())]
        );
        fs::write(&osv, "[]").unwrap();
        assert_eq!(presence.turns(&named(one), good), [(Turn::Back, osv)]);
        // No longer named.
        fs::remove_file(&lock).unwrap();
        assert_eq!(presence.turns(&named(one), Occasion::Change), []);
    }
}
