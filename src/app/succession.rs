//! Takes over from the previous process, which may still write while it finishes what is under way.
//!
//! Both work on the same records. A change by the other process shows in the serial of the records, and
//! a new generation then outdates everything this process has remembered.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::app::doors::Opened;
use crate::app::house::House;
use crate::db::{Db, Serial};
use crate::gateway::Generations;
use crate::listen::Predecessor;

/// Time between two looks at the serial while both processes run. A look reads one row; a change by one
/// process is unseen in the other for at most this long.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Tells the previous process, if there is one, that this one serves, and follows it to its end.
pub(super) fn take_over(
    opened: &mut Opened,
    house: &House,
    generations: &Arc<Generations>,
) -> anyhow::Result<()> {
    let Some(mut before) = opened.server.predecessor() else {
        return Ok(());
    };
    // Created before that: what it wrote while this process started was read, or is noticed.
    let follower = Follower {
        records: Arc::clone(&house.records),
        generations: Arc::clone(generations),
        seen: None,
    };
    before
        .take_over()
        .context("take over from the running process, which goes on serving")?;
    house.work.spawn(follower.follow(before));
    Ok(())
}

struct Follower {
    records: Arc<dyn Db>,
    generations: Arc<Generations>,
    /// The serial up to which this process is certainly up to date; `None` at first.
    seen: Option<Serial>,
}

impl Follower {
    async fn follow(mut self, before: Predecessor) {
        let mut ended = std::pin::pin!(before.ended());
        loop {
            tokio::select! {
                () = &mut ended => break,
                () = tokio::time::sleep(LOOK_AGAIN) => self.look().await,
            }
        }
        self.look().await;
        tracing::info!("the process before has ended");
    }

    async fn look(&mut self) {
        match self.records.serial().await {
            Ok(serial) if self.seen != Some(serial) => {
                // Noted before: what is written while the generation is made is noticed next time.
                self.seen = Some(serial);
                if let Err(error) = self.generations.reload().await {
                    tracing::error!(%error, "what the process before has changed may be unseen");
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot ask the records for their serial"),
        }
    }
}
