//! The command line: what may be typed, and which exit code it ends with.
//!
//! 0 is success, 1 findings, 2 a usage or configuration fault.

mod approve;
mod arguments;
mod backup;
mod cache;
mod check;
mod check_locks;
mod devpi;
mod devpi_configfile;
mod devpi_moving;
mod devpi_programs;
mod devpi_unused;
mod diff;
mod diff_markdown;
mod dispatch;
mod doctor;
mod doctor_journal;
mod explain;
mod generated;
mod journal;
mod move_records;
mod moving;
mod output;
mod policy_test;
mod progress;
mod recall;
mod reload;
mod running;
mod schema;
mod serve;
mod sources;
mod token;
mod warm;

pub use dispatch::main;
