//! What operators are told: in numbers, in headers and in lines.

mod at_start;
mod checked;
mod lookups;
mod stale;
