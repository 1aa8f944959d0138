//! What the journal promises, shown on files.

mod kept;
mod refused;
mod rows;
mod running;

mod support;
