//! `cargo bench --bench limit`; the program is in `main.rs`, what it shares in `rig` and `side_by_side`.

#![expect(
    dead_code,
    unused_imports,
    reason = "it takes the stage of side_by_side, not its scenarios; a bench's tests have no harness"
)]

#[path = "main.rs"]
mod limit;
#[path = "../rig/mod.rs"]
mod rig;
#[path = "../side_by_side/main.rs"]
mod side_by_side;

fn main() -> std::process::ExitCode {
    limit::main()
}
