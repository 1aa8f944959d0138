//! What operators are told: in metrics, in headers and in log lines.

mod at_start;
mod checked;
mod lookups;
mod stale;
