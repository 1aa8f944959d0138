//! Remembers source pages, rendered pages and small files; runs each miss once.
//!
//! Everything here is bounded by bytes, and all of it together by one budget. Nothing asks what time
//! it is: whether an entry still holds is for the caller, who knows the instant and the generation.

mod budget;
mod flight;
mod rendered;
mod source;
mod weighed;

pub use budget::Budget;
pub use flight::Flights;
pub use rendered::{RenderedKey, RenderedPage, RenderedPages};
pub use source::{SourcePage, SourcePages, Validity};
pub use weighed::{Mark, Weighed};
