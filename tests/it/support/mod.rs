//! What tests stand on: a fake index over real HTTP, and wheels made to order.
//!
//! A test starts its own [`FakeIndex`], says what it holds and how it misbehaves, and asks its journal
//! afterwards what was requested. Nothing sleeps: a body is held at a [`Gate`] until the test lets it
//! go on, and the journal can be awaited.

mod answer;
mod behaviour;
mod content;
mod fake_index;
mod fault;
mod journal;
mod pages;
mod project;
mod wheel;

pub(crate) use content::Content;
pub(crate) use fake_index::{Canned, FakeIndex, Setup};
pub(crate) use fault::{Fault, Gate};
pub(crate) use project::{Listed, Project};
pub(crate) use wheel::{Wheel, sdist};
