# Needed by nobody: every recipe is a line or two that can be typed. The first is what the pipeline runs.

ci:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    cargo doc --locked --no-deps --document-private-items
    cargo test --locked
    cargo test --locked --test machine

it filter="":
    cargo test --locked --test it -- {{filter}}

deny:
    cargo deny check

run:
    cargo run --release -- serve

bench name:
    cargo bench --bench {{name}}

# maturin is a tool to install (`pip install maturin`). The wheel is for the libc of this machine and newer ones.
wheel:
    cd deploy/wheel && maturin build --profile artefact --out ../../target/wheels

# The files of a release, from the commit that is checked out.
release folder="target/release-files":
    deploy/release {{folder}}

# mdBook is a tool to install; no test needs it.
book:
    mdbook build docs
