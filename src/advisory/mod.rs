//! Known malware and vulnerabilities: read from OSV documents (the Open Source Vulnerability schema), kept
//! by project, and matched against versions.
//!
//! `osv` is the form on the wire, `affected` decides which versions are concerned, `collected` keeps what was
//! read of one source, `zipped` reads the zip of a whole ecosystem, `known` is all sources together and
//! whether they may be relied on.

mod affected;
mod collected;
mod known;
mod osv;
mod read;
mod zipped;

pub use collected::{Advisories, Advisory, Collector, Place};
pub use known::{Freshness, KnownAdvisories};
pub use osv::{ECOSYSTEM, written};
pub use read::read_feed;
pub use zipped::{InvalidFeed, unpack_at};
