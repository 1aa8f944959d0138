//! A reply as devpi's clients expect it: exactly `application/json`, which devpi-client compares before
//! it shows a message.

use http::StatusCode;

use crate::devpi::ApiAnswer;
use crate::exchange::{Ask, Core, Record, Reply, Trouble};
use crate::protocol::devpi_message;
use crate::reader::looked_at::{LookedAt, NoAnswer};

/// Makes the reply to a route of the API.
pub async fn api_reply(
    core: &Core,
    ask: &Ask<'_>,
    outcome: Result<ApiAnswer, Trouble>,
    mut record: Record,
) -> Reply {
    let looked_at = |status: StatusCode, body| LookedAt {
        status,
        content_type: "application/json",
        body,
        retry_after: None,
    };
    let looked_at = match outcome {
        Ok(answer) => looked_at(answer.status, answer.to_text().into()),
        Err(trouble) => {
            let none = NoAnswer::because(core, trouble, ask.path, &mut record);
            LookedAt {
                retry_after: none.retry_after,
                ..looked_at(none.status, devpi_message(&none.words))
            }
        }
    };
    looked_at.reply(core, ask, record).await
}
