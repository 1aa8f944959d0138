//! `cargo bench --bench growth`; the program is in `main.rs`, its tests run with those in `tests/it`.

#![expect(
    dead_code,
    unused_imports,
    reason = "it takes what it needs of the rig; a bench's tests have no harness"
)]

#[path = "main.rs"]
mod growth;
#[path = "../rig/mod.rs"]
mod rig;

fn main() -> std::process::ExitCode {
    growth::main()
}
