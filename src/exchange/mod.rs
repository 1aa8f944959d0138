//! What every flow stands on: a question, the generation by which it is answered, and the answer, refusal or error.
//!
//! Doors and flows share these words. [`Core`] is what each flow is given: clock, settings, store, records, metrics.

mod archives;
mod ask;
mod context;
mod core;
mod error;
mod hidden;
mod outcome;
mod outside;
mod overview;
mod patience;
mod refusal;
mod reply;
mod trouble;
pub use self::core::{Core, depot_failed};
pub use crate::store::{Failure, Growing, Readable, StoredFile};
pub use crate::upstream::FleetBody;
pub use archives::Archives;
pub use ask::{Answers, Arrival, Ask};
pub use context::{Context, Generation, Settings};
pub use error::{Error, ErrorKind, Flow, Withheld, blocking};
pub use hidden::asked_index;
pub use outcome::{page_counts_as, upstream_error};
pub use outside::{Outside, inside_path};
pub use overview::{Overview, RefusedLately, RefusedOften};
pub use patience::{CLOCK_SLACK, Patience, RETRY_AFTER, later};
pub use refusal::{count_denial, failed_reply, file_refused, project_refused, reply_head};
pub use reply::{Attempt, Body, CacheResult, Decision, Record, Reply, Route, Ruled};
pub use trouble::{Trouble, records_failed};
