//! YAML text in, a `Document` out, with every fault found on the way.
//!
//! `tree` makes text a tree that knows its places; `keys` says what a table of keys is, `fields`
//! walks a tree by such tables, `words` and `patterns` read single words; `index` and `rule` hold
//! the tables of indexes and policies, `document` puts them together, and `schema` describes any table to
//! editors. `config` adds the server's tables and walks the same way.

mod document;
mod feed;
mod fields;
mod files;
mod index;
mod keys;
mod patterns;
mod rule;
mod schema;
mod tree;
mod words;

pub use document::{KEYS, read, read_text};
pub use fields::{Fields, Notes};
pub use files::{Files, NamedKind, open_all, read_osv};
pub use keys::{Choice, Misread, Shape, Table, Word, YamlKey, commas, key, keys, kind, many, one};
#[cfg(test)]
pub use rule::{MATCHES, POLICY};
pub use schema::schema_of;
pub use tree::{Node, Value};
pub use words::{AbsentStatus, Bytes, Grantee, HttpUrl, Moment, meant_for_everybody};
