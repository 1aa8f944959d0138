//! Standing in front of devpi-servers.

mod answer;
mod errand;
mod indexes;
mod judgement;
mod object;
mod pass;
mod place;
mod ruled;
mod spool;
mod write;

pub use answer::Front;
pub use write::Errand;
