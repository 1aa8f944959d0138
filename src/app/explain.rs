//! `explain`: what a stack makes of a project, judging by the data directory, and by an upstream's page where
//! nobody asked for the project yet.

use std::time::Duration;

use anyhow::Context as _;

use crate::app::house::House;
use crate::app::owner::unless_served;
use crate::app::setup::Setup;
use crate::app::streams::metrics;
use crate::app::work::runtime;
use crate::config::Loaded;
use crate::model::IndexName;
use crate::reader::{Explanation, Question, explain_verdicts};

/// How often, and how far apart, it is looked whether a server has put down the page that it was asked for:
/// it does so behind its answer.
const LOOKS: u32 = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Asks the server that runs on the data directory for a project's page; why it was not had.
pub type AskServer<'a> = &'a dyn Fn(&Loaded, &IndexName, &Question) -> anyhow::Result<()>;

/// Explains a project or file. Of a project that nobody asked for yet, the page is fetched, by the running
/// server or else from here, unless the configuration or `--offline` says that no upstream is asked.
///
/// # Errors
/// Faults in the configuration, or a data directory that cannot be read.
pub fn explain(
    setup: &Setup,
    index: &IndexName,
    question: &Question,
    ask: AskServer<'_>,
) -> anyhow::Result<Explanation> {
    let mut loaded = setup.load()?;
    let nowhere = tempfile::tempdir().context("make a temporary directory")?;
    let has_data = loaded.config.data.exists();
    if !has_data {
        if let Some(named) = &setup.overrides.data {
            anyhow::bail!("{}: not found", named.display());
        }
        // Nothing is held yet. Rules on names alone are explained all the same, and nothing is created.
        nowhere.path().clone_into(&mut loaded.config.data);
    }
    let is_offline = loaded.config.offline;
    let mut explaining = Explaining {
        setup,
        loaded,
        index,
        question,
    };
    let explanation = explaining.by_what_is_held(is_offline)?;
    if !explanation.is_unasked || is_offline {
        return Ok(explanation);
    }
    // The server asks under its own limits, and keeps what it hears.
    let is_served = has_data && unless_served(&explaining.loaded.config)?.is_none();
    let mut why = None;
    if is_served {
        match ask(&explaining.loaded, index, question) {
            Ok(()) => {
                if let Some(explained) = explaining.once_it_is_held()? {
                    return Ok(explained);
                }
            }
            Err(error) => why = Some(format!("of the running server: {error:#}")),
        }
    }
    let asked = explaining.by_asking()?;
    match asked.is_unasked {
        false => Ok(asked),
        true => Ok(explanation.noting(why.or(asked.note))),
    }
}

/// What is explained, and from what.
struct Explaining<'a> {
    setup: &'a Setup,
    loaded: Loaded,
    index: &'a IndexName,
    question: &'a Question,
}

impl Explaining<'_> {
    /// No upstream is asked; the original value only decides the wording.
    fn by_what_is_held(&mut self, is_offline: bool) -> anyhow::Result<Explanation> {
        self.explained(true, !is_offline)
    }

    /// After a server was asked for the page.
    fn once_it_is_held(&mut self) -> anyhow::Result<Option<Explanation>> {
        for _ in 0..LOOKS {
            let explanation = self.by_what_is_held(false)?;
            if !explanation.is_unasked {
                return Ok(Some(explanation));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(None)
    }

    /// Asks the upstreams from here, and keeps what they say as a server would.
    fn by_asking(&mut self) -> anyhow::Result<Explanation> {
        self.explained(false, false)
    }

    fn explained(&mut self, is_offline: bool, is_explaining: bool) -> anyhow::Result<Explanation> {
        self.loaded.config.offline = is_offline;
        let setup = self.setup;
        let mut find = |loaded: &mut _, stored: &_| Ok(setup.give_upstream(loaded, stored, None)?);
        let (work, metrics) = (runtime()?, metrics()?);
        let house = House::build(work, metrics, &mut self.loaded, is_explaining, &mut find)?;
        let cx = house.flows.core.context();
        let explained = explain_verdicts(&house.flows, &cx, self.index, self.question);
        let explained = house.work.block_on(explained);
        explained.map_err(|error| anyhow::anyhow!("{error}"))
    }
}
