//! Long descriptions, as HTML that can only be read.
//!
//! Strangers wrote them, and their pages have the gateway's origin. So every description, whatever it is
//! written in, leaves this room as elements and attributes of one short table (`allowed`), with everything
//! else as text. Why no tree is built and no library does it: docs/adr/0056-descriptions-are-strangers-words.md.

mod allowed;
mod clean;
mod kind;
mod linked;
mod markdown;
mod rendering;
mod shelf;
#[cfg(test)]
mod tests;

pub use kind::ProseKind;
pub use linked::web_url;
pub use rendering::Prose;
pub use shelf::ProseShelf;
