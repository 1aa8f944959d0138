//! Rendered descriptions, kept by what they were rendered from.

use std::sync::Arc;

use crate::cache::{Budget, Weighed};
use crate::exchange::{Core, Error};
use crate::model::Sha256;
use crate::reader::prose::kind::ProseKind;
use crate::reader::prose::rendering::{Prose, prose};
use crate::telemetry::{Permits, WaitFor};

/// Descriptions rendered at one time. One takes milliseconds; a hostile one, most of a second of a
/// processor that installers need.
const RENDERINGS_MAX: usize = 2;

/// What an entry takes besides its markup, roughly.
const ENTRY_BYTES: usize = 300;

type ProseKey = (ProseKind, Sha256);

/// Descriptions, each rendered once while it is remembered.
#[derive(Debug, Clone)]
pub struct ProseShelf {
    held: Weighed<ProseKey, Arc<Prose>>,
    turns: Permits,
}

impl ProseShelf {
    /// An empty one, with its share of `cache.memory`.
    #[must_use]
    pub fn new(core: &Core) -> Self {
        let share = Budget::split(core.settings.cache.memory).descriptions;
        let meter = core.metrics.waits(WaitFor::Descriptions);
        Self {
            held: Weighed::new(share, weight_bytes),
            turns: Permits::new(RENDERINGS_MAX, meter),
        }
    }

    /// A description, rendered.
    ///
    /// # Errors
    /// When rendering panics, which the log tells.
    pub async fn rendered(&self, kind: ProseKind, text: String) -> Result<Arc<Prose>, Error> {
        let key = (kind, Sha256::of(text.as_bytes()));
        if let Some(held) = self.held.get(&key) {
            return Ok(held);
        }
        let _turn = self.turns.take().await;
        let work = move || Arc::new(prose(kind, &text));
        let made = tokio::task::spawn_blocking(work).await;
        let made = made.map_err(|error| Error::internal("render a description", error))?;
        self.held.insert(key, Arc::clone(&made));
        Ok(made)
    }
}

fn weight_bytes(_: &ProseKey, prose: &Arc<Prose>) -> usize {
    prose.html.len() + ENTRY_BYTES
}
