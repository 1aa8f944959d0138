//! What an index says about a project: read it, merge it, filter it, write it.
//!
//! ```text
//! bytes ─ sniff ─┬ parse_json ┐                                        ┌ render_json ─ bytes
//!                └ parse_html ┴ ProjectPage ─ merge ─ stretch ─ filter ┴ render_html ─ bytes
//! ```
//!
//! [`read_project_page`] does the first half for an upstream's answer as it arrived, and refuses what
//! is not a page. A [`ProjectPage`] is one source's statement. [`carry_over`] keeps what the source said
//! before and forgot since. [`Layers`] are the pages of a stack, on which one file is found by its name;
//! [`merge`](fn@merge) combines them, a [`Stretch`] is some of the files in a row:
//! [`filter`](fn@filter) asks the policies about each, and a [`PageWriter`] writes the result with the
//! links of [`links`](FileLinks). Project lists travel the same way as [`ProjectNames`], without a value
//! per name.

mod anchors;
mod carry;
mod digests;
mod document;
mod filter;
mod inside_word;
mod json_file;
mod json_list;
#[cfg(test)]
mod laws;
mod layers;
mod learned;
mod links;
mod list_reader;
mod merge;
mod parse_html;
mod parse_json;
mod project_list;
mod project_page;
mod read;
mod render_html;
mod render_json;
mod render_list;
#[cfg(test)]
mod samples;
mod sniff;
mod source_url;
mod stored;
mod stretch;
mod upload_time;
mod wire;

pub use carry::{carry_over, seen_by};
pub use filter::{Decided, Ruling, filter, has_sidecar};
pub use layers::{Entry, Layers, NameOrder};
pub use learned::{Learned, LearnedFiles, LearnedMetadata};
pub use links::{
    FileLinks, FilePath, FilePlace, PageForm, digest_path, encode, entry_path, file_path,
    parse_file_path,
};
pub use list_reader::{ListReader, NamesRead};
pub use merge::{Heading, Merged, merge};
pub use parse_json::parse_json;
pub use project_list::ProjectNames;
pub use project_page::{InvalidPage, ProjectPage};
pub use read::read_project_page;
pub use render_list::ListRenderer;
pub use sniff::Markup;
pub use stored::{StoredMeta, from_stored, read_stored, to_stored};
pub use stretch::{Cut, PageWriter, Stretch};

/// The version of the simple API that our pages announce (1.5 does not apply to
/// us: docs/protocol/simple-api.md §1).
const API_VERSION: &str = "1.4";
