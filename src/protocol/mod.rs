//! What a request asks and what a response may claim.
//!
//! A request's way through this room:
//!
//! ```text
//! path, headers ─ PublicRoute::parse ─┬ pages ─ negotiate, Encoding::of ─ is_not_modified
//!                                     └ files ─ is_not_modified ─ select_range
//! ```
//!
//! Everything here is pure: headers in, decisions out. Refusals get their words from [`Problem`].
//! `ManageRoute`, the table of contents of the management door, belongs beside `route` when it comes.

mod accept;
mod audience;
mod conditional;
mod date;
mod encoding;
mod freshness;
mod header_list;
mod problem;
mod range;
mod route;
mod segments;

pub use accept::{Format, NotAcceptable, negotiate};
pub use audience::Audience;
pub use conditional::{ETag, InvalidETag, is_not_modified};
pub use date::{http_date, parse_http_date};
pub use encoding::Encoding;
pub use freshness::fresh_until;
pub use problem::{Problem, devpi_message, reason_phrase};
pub use range::{Selected, content_range, content_range_unsatisfied, select_range};
pub use route::{ApiOf, AskedIndex, PublicRoute};
pub use segments::BadPath;
