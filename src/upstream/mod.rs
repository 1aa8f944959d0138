//! Asks another index for a page or a file, politely and within limits.
//!
//! One [`Upstream`] is one mirror. It takes URLs and gives back bytes: what a page says is read in
//! `page`, where a file is kept is decided in `store`. Polite means that nothing is asked twice that
//! was answered, that a failing upstream is left alone for a while ([`Breaker`]), and that its wish to
//! be asked later is obeyed ([`Retry`]). Within limits means that no answer, however long, slow or
//! compressed, costs more than [`UpstreamLimits`] allows.

mod body;
mod breaker;
mod client;
mod decoding;
mod error;
mod exchange;
mod file;
mod fleet;
mod hosts;
mod limits;
mod metadata;
mod page;
mod publish;
mod retry;
mod sparse;
mod wheel;
mod words;

pub use breaker::{Breaker, Outcome, Permit};
pub use client::{Proxies, Upstream, UpstreamLogin, UpstreamSettings, install_crypto_provider};
pub use decoding::{Decoding, Share};
pub use error::UpstreamError;
pub use file::{ByteRange, FileAnswer, FilePart, UpstreamFile};
pub use fleet::{Fleet, FleetAnswer, FleetBody, FleetOptions, FleetWrite};
pub use hosts::{Bounds, OwnDoors, Trust};
pub use limits::UpstreamLimits;
pub use metadata::WheelMetadata;
pub use page::{Page, PageAnswer, Validators};
pub use publish::{Outgoing, PublishAnswer, Publisher};
pub use retry::Retry;
pub use wheel::{InvalidWheel, metadata_of_file};
