//! Known malware and vulnerabilities: read from OSV documents (the Open Source Vulnerability schema), kept
//! by project, and matched against versions.
//!
//! `osv` is the form on the wire, `affected` decides which versions are concerned, `known` keeps what was
//! read.

mod affected;
mod known;
mod osv;

pub use known::{Advisories, Advisory};
pub use osv::written;
