//! Everything that reads: simple pages, files, devpi's JSON, pages for people, search, explanations.

mod api;
mod documentation;
mod explain;
mod found;
mod look;
mod looked_at;
mod osv;
mod prose;
mod replay;
mod routes;
mod web;

pub use api::{Asker, FAULT_CONTENT_TYPE, api_reply, search_fault, too_large_fault};
pub use explain::{Explanation, Question, explain_verdicts};
pub use looked_at::sign;
pub use osv::{OsvError, OsvQuestion};
pub use replay::{
    AskedProject, Foreseen, ReplayedFile, ReplayedProject, Turn, Why, foresee, replay,
};
pub use routes::Reader;
pub use web::{denied_page, static_file};
