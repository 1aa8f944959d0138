//! What the journal promises, shown on files.

mod kept;
mod rows;
mod running;

mod support;
