//! The flows; the only room on its floor that combines others.

mod archives;
mod ask;
mod attachment;
mod begun;
mod content;
mod context;
mod core;
mod decide;
mod encode;
mod error;
mod external;
mod file;
mod fill;
mod flows;
mod garbage;
mod generations;
mod held;
mod hidden;
mod learn;
mod list;
mod names;
mod needless;
mod orders;
mod outcome;
mod outside;
mod page;
mod page_copies;
mod page_text;
mod patience;
mod places;
mod quarantine;
mod refresh;
mod refusal;
mod reply;
mod resolve;
mod room;
#[cfg(test)]
mod sample;
mod shown;
mod sidecar;
mod small;
mod source;
mod stage;
mod stretches;
mod tickets;
mod trouble;
mod vanish;
mod verify;

pub use self::core::Core;
pub use crate::store::{Failure, Growing, Readable, StoredFile};
pub use crate::upstream::FleetBody;
pub use archives::Archives;
pub use ask::{Answers, Arrival, Ask};
pub use attachment::{DOC_ZIP, TOX_RESULT, leading, stands_at};
pub use content::Content;
pub use context::{Context, Generation, Settings};
pub use decide::decide_entry;
pub use encode::etag;
pub use error::{Error, ErrorKind, Withheld};
pub use flows::{Flows, Swept};
pub use generations::{Configuration, Generations, NotInstalled};
pub use held::About;
pub use hidden::asked_index;
pub use outside::{Outside, inside_path};
pub use page::{candidate, decide};
pub use patience::Patience;
pub use refusal::{count_denial, failed_reply, reply_head};
pub use reply::{Attempt, Body, CacheResult, Decision, Record, Reply, Route, Ruled};
pub use resolve::{
    MemberAnswer, Resolution, Resolved, Statements, silent_members, unknown_index, worst,
};
#[cfg(test)]
pub use sample::core as sample_core;
pub use tickets::{Grant, mirror_metadata_key};
pub use trouble::{Trouble, records_failed};
pub use verify::VerifiedRound;
