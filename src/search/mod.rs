//! What is known of projects, to be searched: their names and what releases say about themselves.
//!
//! Everything is in memory, and made again from what is held: the records, mirrors' lists, and what was read
//! of their releases. A [`CatalogueKeeper`] does that behind the scenes; a search reads one [`Edition`], which never
//! changes, and waits for nothing. What a search may find is up to its caller, who names the indexes.
//! docs/adr/0060-search-in-memory.md says why no search engine does it.

mod about;
mod edition;
mod follow;
mod gather;
#[cfg(test)]
mod laws;
mod lists;
mod names;
mod notices;
mod query;
mod rank;
mod shelf;
mod shelving;
mod typos;
mod words;

pub use about::ReleaseAbout;
pub use edition::{Catalogue, Edition, Holding, SearchScope};
pub use follow::{CatalogueKeeper, CataloguedIndex};
pub use query::{QUERY_CHARS_MAX, SearchQuery, WORDS_MAX};
pub use rank::ProjectOrigin;
