//! A browser without a window, driven by Playwright.
//!
//! It is Debian's, from packages that are unpacked into `target/` like other programs: what Playwright
//! would download itself is on no registry.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::Tool;
use super::debian::{libraries, unpacked_with_needs};

/// The package, and the program in it.
const BROWSER: &str = "chromium-headless-shell";

/// Where the package has its program.
const PLACE: &str = "usr/lib/chromium/chromium-headless-shell";

/// Looks at pages by `tests/it/browser/look.py`, and returns what was wrong with each. `pages` have a name, a
/// path and the expected status; pictures of them are left in `pictures`.
///
/// # Panics
/// When there is no browser, with what to do about it.
pub(crate) fn look_at(url: &str, pages: &[Value], pictures: &Path) -> Vec<Value> {
    let python = Tool::Playwright.program();
    let (browser, libraries) = browser();
    let asked = json!({
        "url": url.trim_end_matches('/'), "pages": pages, "pictures": pictures,
        "browser": browser, "libraries": libraries.to_string_lossy(), "axe": axe(&python),
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/browser/look.py");
    let mut looking = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start Playwright's Python");
    let mut stdin = looking.stdin.take().expect("stdin is piped");
    stdin.write_all(asked.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = looking.wait_with_output().unwrap();
    assert!(output.status.success(), "the browser: {}", output.status);
    let told = String::from_utf8(output.stdout).unwrap();
    let lines = told.lines().map(serde_json::from_str);
    lines.map(Result::unwrap).collect()
}

/// The browser, and where the libraries are that only it needs.
fn browser() -> (PathBuf, OsString) {
    let installed = Path::new("/").join(PLACE);
    if installed.exists() {
        return (installed, OsString::new());
    }
    let root = unpacked_with_needs(BROWSER).unwrap_or_else(|error| {
        panic!("this test needs {BROWSER}: install it, or run `apt-get update`; {error:#}")
    });
    let folder = libraries(&root);
    let folders = std::env::join_paths([folder.clone(), folder.join("pulseaudio")]);
    (root.join(PLACE), folders.expect("no path has a colon"))
}

/// The script that looks for barriers, beside Playwright.
fn axe(python: &Path) -> PathBuf {
    let place = "import axe_playwright_python as axe; print(axe.__path__[0])";
    let output = Command::new(python).args(["-c", place]).output().unwrap();
    let folder = String::from_utf8(output.stdout).unwrap();
    Path::new(folder.trim()).join("axe.min.js")
}
