//! Asks another index for a page or a file, politely and within limits.
//!
//! One [`Upstream`] is one mirror. It takes URLs and returns bytes: what a page says is parsed in
//! `page`, where a file is kept is decided in `store`. Polite means that nothing already answered is
//! asked again, that a failing upstream is left alone for a while ([`Breaker`]), and that its wish to
//! be asked later is respected (`retry`). Within limits means that no answer, however long, slow or
//! compressed, costs more than [`UpstreamLimits`](crate::model::UpstreamLimits) allows.

mod body;
mod breaker;
mod client;
mod decoding;
mod error;
mod exchange;
mod feed;
mod file;
mod fleet;
mod hosts;
mod metadata;
mod page;
mod publish;
mod retry;
mod sparse;
mod state;
mod wheel;
mod words;

pub use body::BodyPart;
pub use breaker::{Breaker, Outcome, Permit};
pub use client::{Proxies, Upstream, UpstreamSettings, install_crypto_provider};
pub use decoding::{Decoding, Share};
pub use error::UpstreamError;
pub use feed::{FeedAnswer, FeedBound, FeedError};
pub use file::{ByteRange, FileAnswer, FilePart, UpstreamFile};
pub use fleet::{Fleet, FleetAnswer, FleetBody, FleetWrite};
pub use hosts::{Bounds, OwnDoors, Trust};
pub use metadata::WheelAnswer;
pub use page::{Page, PageAnswer, Validators};
pub use publish::{Outgoing, PublishAnswer, Publisher};
pub use state::UpstreamState;
pub use wheel::{InvalidWheel, core_metadata_of_file, metadata_of_file, startup_files_of_file};
