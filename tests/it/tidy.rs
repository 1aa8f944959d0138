//! The rules of the house, checked in the sources: which room imports which and through which door,
//! what a comment may cite, how long files and how large rooms are. Change the tables here together with
//! `docs/ARCHITECTURE.md`; a new edge is a decision and needs an ADR.

mod circles;
mod citations;
mod commands;
mod doors;
mod imports;
mod names;
mod operations;
mod shape;
mod size;
mod source;
mod waits;
