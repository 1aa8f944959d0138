//! Who may do what, and what is recorded of those who tried, with the built program.

mod accounting;
mod folder;
mod guessing;
mod names;
mod reach;
mod reading;
