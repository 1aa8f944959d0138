//! The cheesecloth program.

fn main() {}
