//! `cargo bench --bench side_by_side`; the program is in `main.rs`, its tests run with those in `tests/it`.

#![expect(
    dead_code,
    unused_imports,
    reason = "cargo compiles a bench's tests, but gives them no harness that would call them"
)]

#[path = "../rig/mod.rs"]
mod rig;
#[path = "main.rs"]
mod side_by_side;

fn main() -> std::process::ExitCode {
    side_by_side::main()
}
