//! What root has done with what is held, without waiting for the schedule.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::account::ROOT;
use crate::devpi::{ApiAnswer, Refusal};
use crate::exchange::Reply;
use crate::gateway::Swept;
use crate::model::Sha256;
use crate::protocol::CacheWork;
use crate::writer::caller::Caller;
use crate::writer::desk::Writer;
use crate::writer::refusal::answered;

/// Most files that one request has read again: a disk with more damage is no disk to serve from.
const INSPECTED_MAX: usize = 10_000;

/// The body of `POST /+cache/inspect`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inspected {
    /// Digests of uploaded files.
    private: Vec<String>,
}

impl Writer {
    /// `POST /+cache/gc` and `POST /+cache/inspect`.
    ///
    /// # Errors
    /// 403 for everyone but root; 400 for a body that names no digests.
    pub async fn keep_house(
        &self,
        caller: Caller,
        work: CacheWork,
        body: &[u8],
    ) -> Result<Reply, Refusal> {
        if !caller.principal.is(ROOT) || caller.principal.scope().is_some() {
            return Err(Refusal::denied());
        }
        let digests = match work {
            CacheWork::Collect => Vec::new(),
            CacheWork::Inspect => digests(body)?,
        };
        let writer = self.clone();
        self.to_the_end(async move {
            let result = match work {
                CacheWork::Collect => swept_as_json(&writer.flows.sweep().await?),
                CacheWork::Inspect => {
                    let verification = &writer.flows.verification;
                    let round = verification.inspect_private(&digests).await?;
                    json!({ "files": round.files, "damaged": round.damaged })
                }
            };
            Ok(answered(&ApiAnswer::result("cache", result)))
        })
        .await
    }
}

/// What a sweep did, as it is told.
#[must_use]
pub fn swept_as_json(swept: &Swept) -> serde_json::Value {
    json!({
        "evicted": { "files": swept.evicted.files, "bytes": swept.evicted.bytes },
        "left": { "files": swept.left.files, "bytes": swept.left.bytes },
        "collected": { "files": swept.collected.files, "bytes": swept.collected.bytes },
        "held_back": swept.collected.held,
    })
}

fn digests(body: &[u8]) -> Result<Vec<Sha256>, Refusal> {
    let said: Result<Inspected, _> = serde_json::from_slice(body);
    let said =
        said.map_err(|error| Refusal::bad_request(format!("no list of digests: {error}")))?;
    if said.private.len() > INSPECTED_MAX {
        let words = format!("more than {INSPECTED_MAX} files at once");
        return Err(Refusal::api(StatusCode::PAYLOAD_TOO_LARGE, words));
    }
    let read = said.private.iter().map(|text| {
        Sha256::parse(text).map_err(|error| Refusal::bad_request(format!("{text:?}: {error}")))
    });
    read.collect()
}
