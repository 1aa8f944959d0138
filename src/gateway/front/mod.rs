//! In nginx's place before existing devpi-servers (product.md §8).
//!
//! An index that a file declares is answered by the flows, policy and all. Of an index that none
//! declares, simple pages and files go through the same flows, so that they are cached, verified and
//! served while every server is down; everything else is passed on to the fleet as it was asked. Writes,
//! at doors that allow them, go to its primary. Of an index of the fleet's that has rules, devpi hears no
//! name that they refuse, and its objects lose every link to a file that they refuse.

mod answer;
mod errand;
mod indexes;
mod judgement;
mod object;
mod pass;
mod place;
mod ruled;
mod shown;
mod spool;
mod write;

pub use answer::{Front, FrontOptions};
pub use write::Errand;
