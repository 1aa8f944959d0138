//! cheesecloth: a caching policy gateway between Python installers and PyPI.
//!
//! Four flows, each a file in `gateway`:
//!
//! * a **page** request: the asked index's stack is resolved, the policies say who may speak for the
//!   project, each source page comes from memory, disk or upstream, and `page` merges, filters and
//!   renders them once for everybody who asks the same;
//! * a **file** request: looked up in the same merged page, decided by the same function, answered
//!   from disk or streamed to everyone while it is fetched once;
//! * an **upload**: authenticated, streamed to a draft, checked against what it says it is, then made
//!   visible by one transaction;
//! * a **reload**: the files are read, compiled with all faults reported together, and swapped in whole.
//!
//! `docs/ARCHITECTURE.md` walks through them; `tests/it/tidy.rs` keeps the rooms apart.

mod account;
mod advisory;
mod app;
mod cache;
mod catalog;
mod cli;
mod clock;
mod config;
mod db;
mod depot;
mod devpi;
mod exchange;
mod feed;
mod front;
mod gateway;
mod identity;
mod journal;
mod language;
mod listen;
mod model;
mod moving;
mod notify;
mod page;
mod policy;
mod protocol;
mod reader;
mod search;
mod store;
mod telemetry;
mod trial;
mod upstream;
mod writer;

pub mod testing;

pub use cli::main;
