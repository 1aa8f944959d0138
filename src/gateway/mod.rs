//! The flows; the only room that combines others.

pub mod account;
mod ask;
mod context;
pub mod devpi;
mod error;
mod explain;
mod file;
mod fill;
mod front;
mod labels;
mod list;
mod page;
mod reader;
mod refresh;
mod refusal;
mod reply;
mod resolve;
mod sidecar;
mod source;
mod stage;
mod tickets;

// The doors send files without knowing the store.
pub use crate::store::{Growing, Readable, StoredFile};
pub use ask::{Answer, Ask};
pub use context::{Context, Generation, Parts, Settings, Shared};
pub use error::{Error, ErrorKind};
pub use explain::{ExplainedFile, Explanation, Question};
pub use front::{Front, FrontOptions};
pub use reader::Reader;
pub use reply::{Body, CacheResult, Decision, Record, Reply, Route};
