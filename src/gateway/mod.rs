//! The flows; the only room that combines others.

pub mod account;
mod api;
mod ask;
mod attachment;
mod changes;
mod context;
pub mod devpi;
mod error;
mod explain;
mod file;
mod fill;
mod front;
mod garbage;
mod generations;
mod labels;
mod list;
mod manage;
pub mod moving;
mod names;
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
mod trouble;
mod vanish;
mod web;

// The doors send files without knowing the store.
pub use crate::store::{Growing, Readable, StoredFile};
pub use crate::upstream::FleetBody;
pub use api::{Asker, FAULT_CONTENT_TYPE, inside_path, search_fault};
pub use ask::{Answer, Arrival, Ask};
pub use context::{Context, Generation, Parts, Settings, Shared};
pub use error::{Error, ErrorKind};
pub use explain::{ExplainedFile, Explanation, Question};
pub use front::{Errand, Front, FrontOptions};
pub use garbage::Collected;
pub use generations::{Configuration, Declared, Generations, NotInstalled};
pub use manage::{Caller, HouseLimits, Refusal, Subject, Upload, Writer, WriterParts};
pub use reader::Reader;
pub use reply::{Attempt, Body, CacheResult, Decision, Record, Reply, Route};
