//! What the tests build on: a fake index over real HTTP, wheels made to order, the built program as
//! a process, and the real installers.
//!
//! A test starts its own [`FakeIndex`], determines what it holds and how it misbehaves, and asks
//! its journal afterwards what was requested. Nothing sleeps: a body is held at a [`Gate`] until
//! the test releases it, and the journal can be awaited.

mod answer;
pub(crate) mod ask;
mod attestation;
mod behaviour;
mod browser;
mod client;
mod content;
pub(crate) mod debian;
mod devpi;
mod devpi_server;
mod disk_trouble;
mod door;
mod fake_index;
mod fault;
mod feed_source;
mod files;
mod form;
mod house;
mod journal;
mod package;
mod pages;
pub(crate) mod postgres;
mod process;
mod program;
mod project;
mod s3;
mod slapd;
mod soon;
pub(crate) mod tls;
mod tools;
mod watchdog;
mod web;
mod webhook;
mod wheel;

pub(crate) use ask::get;
pub(crate) use attestation::attestation;
pub(crate) use browser::look_at;
pub(crate) use client::{Client, Run, poetry_project};
pub(crate) use content::Content;
pub(crate) use debian::debian;
pub(crate) use devpi::Devpi;
pub(crate) use devpi_server::DevpiServer;
pub(crate) use disk_trouble::{Calls, Disk, DiskError, Rule};
pub(crate) use door::{Door, free_address};
pub(crate) use fake_index::{Canned, FakeIndex, Setup};
pub(crate) use fault::{Fault, Gate};
pub(crate) use feed_source::{FeedSource, Mood};
pub(crate) use files::{gzip, paths_below};
pub(crate) use form::Form;
pub(crate) use house::{Asked, House, Larder};
pub(crate) use package::build_deb;
pub(crate) use postgres::Cluster;
pub(crate) use process::{command, wait};
pub(crate) use program::{Launch, Program};
pub(crate) use project::{Listed, Project};
pub(crate) use s3::S3;
pub(crate) use slapd::{SEARCHER, Slapd, other_certificate};
pub(crate) use soon::soon;
pub(crate) use tools::{Tool, python};
pub(crate) use web::{Got, Web};
pub(crate) use webhook::{Answering, Receiver, Told};
pub(crate) use wheel::{Wheel, sdist};
