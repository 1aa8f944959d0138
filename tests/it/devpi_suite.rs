//! devpi's own functional suite, unmodified and installed from the package index, run against the
//! program.
//!
//! The suite is a module of the server's wheel and is driven through a fixture, which can be
//! pointed at a host and port (docs/protocol/devpi.md §21). That is all this module does.

use std::fs;
use std::process::Command;

use super::support::{DevpiServer, Tool};

/// The five classes have this many tests.
const TESTS: &str = "41 passed";

/// Points the fixtures at our server. Two properties that the suite reads from a response exist
/// only for its own application, so they are added to responses of another server.
const AIM: &str = r#"
import pytest
from test_devpi_server import plugin

pytest_plugins = ["test_devpi_server.plugin"]
Answer = plugin.FunctionalResponseWrapper
Answer.headers = property(lambda self: self.res.headers)
Answer.text = property(lambda self: self.res.text)

@pytest.fixture
def testapp(makefunctionaltestapp):
    return makefunctionaltestapp(("localhost", PORT))

@pytest.fixture
def mapp(makemapp, testapp):
    return makemapp(testapp)
"#;

const SUITE: &str = r"
from test_devpi_server.functional import TestIndexPushThings
from test_devpi_server.functional import TestIndexThings
from test_devpi_server.functional import TestMirrorIndexThings
from test_devpi_server.functional import TestProjectThings
from test_devpi_server.functional import TestUserThings
";

#[test]
fn all_of_devpis_functional_tests_pass() {
    let server = DevpiServer::start();
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("conftest.py"),
        AIM.replace("PORT", server.port()),
    )
    .unwrap();
    fs::write(folder.path().join("test_functional.py"), SUITE).unwrap();
    let mut suite = Command::new(Tool::DevpiSuite.program());
    suite.args([
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "test_functional.py",
    ]);
    suite.current_dir(folder.path());
    for name in ["NO_PROXY", "no_proxy"] {
        suite.env(name, "127.0.0.1,localhost");
    }
    let output = suite.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(TESTS), "{said}");
}
