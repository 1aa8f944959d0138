//! Keeps feeds of advisories while the server runs, and puts what is new of them in force.

use std::sync::Arc;

use crate::app::house::House;
use crate::gateway::Generations;
use crate::listen::Stop;
use crate::telemetry::AuditLog;

/// Starts asking for feeds, until the server stops.
pub(super) fn start(
    house: &House,
    generations: &Arc<Generations>,
    audit: &Arc<AuditLog>,
    stop: Stop,
) {
    let (feeds, audit) = (Arc::clone(&house.feeds), Arc::clone(audit));
    let generations = Arc::clone(generations);
    house.work.spawn(async move {
        let follow = || follow(&generations);
        tokio::select! {
            () = stop.requested() => {}
            () = feeds.run(&audit, follow) => {}
        }
    });
}

/// Puts what is held in force; says whether that went well.
async fn follow(generations: &Generations) -> bool {
    let _turn = generations.turn().await;
    match generations.follow().await {
        Ok(generation) => {
            tracing::info!(generation, "advisories in force");
            true
        }
        Err(error) => {
            tracing::error!(%error, "advisories are not in force yet");
            false
        }
    }
}
