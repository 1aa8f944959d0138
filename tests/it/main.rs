//! The integration tests, in one binary.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, and says where"
)]

mod absent;
mod access;
mod addresses;
mod approve;
mod asks;
mod attack;
mod attestations;
mod backup;
mod bad_uploads;
mod better;
mod browser;
mod cache_commands;
mod classes;
mod copies;
mod crash;
mod decoding;
mod deploy;
mod deployments;
mod depot;
mod devpi_options;
mod devpi_suite;
mod devpi_words;
mod diff;
mod doctor;
mod doors;
mod explain;
mod external;
mod faults;
mod feeds;
mod files;
mod fills;
mod front;
mod generated;
#[expect(dead_code, reason = "the benchmark's main and what only it calls")]
#[path = "../../benches/growth/main.rs"]
mod growth;
mod hidden;
mod inside;
mod installers;
mod journal;
mod law;
mod ldap;
#[expect(dead_code, reason = "the benchmark's main and what only it calls")]
#[path = "../../benches/limit/main.rs"]
mod limit;
mod lists;
mod long_pages;
mod management;
mod manual;
mod memory;
mod moving;
mod never_wait;
mod notices;
mod odd_content;
mod outside;
mod pages;
mod policy_tests;
mod postgres;
mod readings;
mod recall;
mod refusals;
mod reload;
#[expect(dead_code, reason = "the benchmarks' mains and what only they call")]
#[expect(clippy::duplicate_mod, reason = "it fetches as the tests do")]
#[path = "../../benches/rig/mod.rs"]
mod rig;
mod search;
mod shapes;
mod shipped;
#[expect(dead_code, reason = "the benchmark's main and what only it calls")]
#[path = "../../benches/side_by_side/main.rs"]
mod side_by_side;
mod sidecars;
mod stale;
mod starts;
mod support;
mod tidy;
mod tokens;
mod told;
mod uploads;
mod upstream;
mod vanish;
mod versions;
mod warm;
