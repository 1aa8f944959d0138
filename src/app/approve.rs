//! `approve`: what an index would refuse of a lock file, and the file that lets it pass.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

use anyhow::Context as _;

use crate::app::house::House;
use crate::app::setup::Setup;
use crate::app::streams::metrics;
use crate::app::work::runtime;
use crate::language::Pin;
use crate::model::{IndexName, Location, suggest};
use crate::reader::{AskedProject, Foreseen, Why, foresee};

/// What an index makes of entries of lock files.
#[derive(Debug)]
pub struct Judgement {
    /// The policy of the index and where it stands, if it has one.
    pub policy: Option<(String, Location)>,
    /// For each entry, why it does not pass for certain; `None` if it does.
    pub refused: Vec<Option<Why>>,
}

/// Judges entries by what is held; of what is not held the upstream is asked, unless the configuration is
/// offline. Nothing that it answers is kept.
///
/// # Errors
/// Faults in the configuration, an index that there is not, records that cannot be read.
pub fn judge_pins(setup: &Setup, index: &IndexName, pins: &[Pin]) -> anyhow::Result<Judgement> {
    let nowhere = tempfile::tempdir().context("make a temporary directory")?;
    let mut loaded = setup.load()?;
    let is_offline = std::mem::replace(&mut loaded.config.offline, true);
    if !loaded.config.data.exists() {
        nowhere.path().clone_into(&mut loaded.config.data);
    }
    let house = House::build(
        runtime()?,
        metrics()?,
        &mut loaded,
        true,
        &mut |_, _| Ok(()),
    )?;
    let generation = house.flows.core.generation();
    let Some(known) = generation.policies.index(index) else {
        let known = generation
            .policies
            .indexes()
            .map(|index| index.name.as_str());
        let hint = suggest(index.as_str(), known);
        let hint = hint.map_or(String::new(), |hint| format!(", did you mean {hint}?"));
        anyhow::bail!("there is no index {index}{hint}");
    };
    let policy = known.policy.as_ref();
    let policy = policy.map(|policy| (policy.name.to_string(), policy.location.clone()));
    let mut refused = judged(&house, index, pins)?;
    drop(house);
    let unknown: Vec<usize> = refused
        .iter()
        .enumerate()
        .filter_map(|(at, fate)| matches!(fate, Some((_, false))).then_some(at))
        .collect();
    if !is_offline && !unknown.is_empty() {
        // What is not held may be asked for: the stack let the name pass to a mirror.
        let elsewhere = tempfile::tempdir().context("make a temporary directory")?;
        let mut loaded = setup.load()?;
        elsewhere.path().clone_into(&mut loaded.config.data);
        let mut find = |loaded: &mut _, stored: &_| Ok(setup.give_upstream(loaded, stored, None)?);
        let asking = House::build(runtime()?, metrics()?, &mut loaded, false, &mut find)?;
        let asked: Vec<Pin> = unknown.iter().map(|at| pins[*at].clone()).collect();
        for (at, fate) in unknown.iter().zip(judged(&asking, index, &asked)?) {
            refused[*at] = fate;
        }
    }
    let refused = refused.into_iter().map(|fate| fate.map(|(why, _)| why));
    Ok(Judgement {
        policy,
        refused: refused.collect(),
    })
}

/// Why each entry does not pass, and whether that is certain. It passes if one of its files does: which of
/// them a client needs is for the client to know.
fn judged(
    house: &House,
    index: &IndexName,
    pins: &[Pin],
) -> anyhow::Result<Vec<Option<(Why, bool)>>> {
    let cx = house.flows.core.context();
    let mut all = Vec::new();
    for pin in pins {
        let asked = AskedProject {
            index: index.clone(),
            project: pin.project.clone(),
            pins: vec![pin.clone()],
        };
        let found = house.work.block_on(foresee(&house.flows, &cx, &asked));
        let found = found.map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut fate = None;
        for (_, foreseen) in found.into_iter().flatten() {
            match foreseen {
                Foreseen::Passes => {
                    fate = None;
                    break;
                }
                Foreseen::Refused(why) => match fate {
                    None | Some((_, false)) => fate = Some((why, true)),
                    Some((_, true)) => {}
                },
                Foreseen::Unlisted(why) | Foreseen::Unknown(why) => {
                    fate = fate.or(Some((why, false)));
                }
            }
        }
        all.push(fate);
    }
    Ok(all)
}

/// Replaces the text of a file by another, whole or not at all; its mode and owner stay, and a symbolic link
/// still leads to it.
///
/// # Errors
/// When it is not `before` any more, or cannot be written.
pub fn replace_text(path: &Path, before: &str, after: &str) -> anyhow::Result<()> {
    let path = fs::canonicalize(path).with_context(|| format!("find {}", path.display()))?;
    let shown = path.display();
    let folder = path.parent().unwrap_or(Path::new("/"));
    let now = fs::read_to_string(&path).with_context(|| format!("read {shown}"))?;
    anyhow::ensure!(
        now == before,
        "{shown} was changed meanwhile, and is left as it is; try again"
    );
    let written = || -> std::io::Result<()> {
        let mut temporary = tempfile::Builder::new()
            .prefix(".cheesecloth-")
            .suffix(".part")
            .tempfile_in(folder)?;
        temporary.write_all(after.as_bytes())?;
        let was = fs::metadata(&path)?;
        let is = temporary.as_file().metadata()?;
        if (was.uid(), was.gid()) != (is.uid(), is.gid()) {
            fchown(temporary.as_file(), Some(was.uid()), Some(was.gid()))?;
        }
        temporary.as_file().set_permissions(was.permissions())?;
        temporary.as_file().sync_all()?;
        temporary.persist(&path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    written().with_context(|| format!("write {shown}"))
}
