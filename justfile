# One line a recipe; .ci/run runs the first two.

check:
    cargo fmt --check && cargo clippy --locked --all-targets -- -D warnings

test:
    cargo test --locked

it filter="":
    cargo test --locked --test it -- {{filter}}

deny:
    cargo deny check

run:
    cargo run --release -- serve

bench name:
    cargo bench --bench {{name}}
