//! Who may do what, and what is kept of those who tried: over the built program.

mod accounting;
mod folder;
mod guessing;
mod names;
mod reach;
mod reading;
