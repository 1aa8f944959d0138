//! What operators are told: in numbers, in headers and in lines.

mod lookups;
mod stale;
