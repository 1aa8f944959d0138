//! Remembers source pages, rendered pages and small files, and runs each miss once.
//!
//! Everything here is bounded in bytes, and all of it together by one budget. Nothing here asks for the
//! time: whether an entry still holds is decided by the caller, who knows the instant and generation.

mod budget;
mod flight;
mod grouped;
mod in_flight;
mod rendered;
mod source;
mod weighed;

pub use budget::Budget;
pub use flight::{Early, Flight, FlightError, Flights};
pub use grouped::Grouped;
pub use in_flight::InFlight;
pub use rendered::{RenderedKey, RenderedPage, RenderedPages};
pub use source::{SourcePage, SourcePages, Validity};
pub use weighed::{Mark, Weighed};
