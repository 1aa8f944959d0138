//! How many files the program may have open: raised at start, and logged when it is too few.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::super::support::Program;

/// Lets this process open as many connections as its attacks need.
pub(super) fn raise_our_own() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_goes() {
    let shop = Program::with_policies("limits: { connections: 400 }")
        .mirroring("http://127.0.0.1:9/simple/")
        .open_files(256, 1024)
        .start();
    assert_eq!(shop.open_files_max(), 1024);
    assert!(!shop.stderr().contains("too few"), "{}", shop.stderr());
}

#[test]
fn a_limit_of_open_files_that_is_too_low_is_told() {
    let shop = Program::without_policies()
        .mirroring("http://127.0.0.1:9/simple/")
        .open_files(256, 1024)
        .start();
    let said = shop.wait_until_it_says("too few");
    assert!(said.contains("limits.connections = 10000"), "{said}");
    assert!(said.contains("at least 10512"), "{said}");
}
