//! What the members of a stack say of a name: mirrors asked, kept and refreshed, stages read from the records.
//!
//! From the bottom: [`Names`] are the lists of upstreams, [`Mirrors`] their pages with copies on disk, [`StagePages`] those of
//! stages, and [`Stacks`] asks the members of a stack in order. Nothing is judged or rendered here.

mod names;
mod orders;
mod page_copies;
mod refresh;
mod resolve;
mod room;
mod source;
mod stage;
mod vanish;
pub use names::{Listing, Names};
pub use page_copies::{keep_learned, learned};
pub use resolve::{
    MemberAnswer, Resolution, Resolved, Stacks, Statements, candidate, silent_members,
    unknown_index, worst,
};
pub use room::room_to_render;
pub use source::Mirrors;
pub use stage::{StagePages, listed};
