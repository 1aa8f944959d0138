//! `explain`: what a stack makes of a project, judging by the data directory.

use anyhow::Context as _;

use crate::app::house::House;
use crate::app::setup::Setup;
use crate::app::streams::metrics;
use crate::app::work::runtime;
use crate::model::IndexName;
use crate::reader::{Explanation, Question, explain_verdicts};

/// Explains a project or file.
///
/// # Errors
/// Faults in the configuration, or a data directory that cannot be read.
pub fn explain(
    setup: &Setup,
    index: &IndexName,
    question: &Question,
) -> anyhow::Result<Explanation> {
    let mut loaded = setup.load()?;
    let nowhere = tempfile::tempdir().context("make a temporary directory")?;
    if !loaded.config.data.exists() {
        if let Some(named) = &setup.overrides.data {
            anyhow::bail!("{}: not found", named.display());
        }
        // Nothing is held yet. Rules on names alone are explained all the same, and nothing is created.
        nowhere.path().clone_into(&mut loaded.config.data);
    }
    // No upstream is asked either way; the original value only decides the wording.
    let is_offline = std::mem::replace(&mut loaded.config.offline, true);
    let mut find = |loaded: &mut _, stored: &_| Ok(setup.give_upstream(loaded, stored, None)?);
    let house = House::build(runtime()?, metrics()?, &mut loaded, !is_offline, &mut find)?;
    let cx = house.flows.core.context();
    let explained = house
        .work
        .block_on(explain_verdicts(&house.flows, &cx, index, question));
    explained.map_err(|error| anyhow::anyhow!("{error}"))
}
