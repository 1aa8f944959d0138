//! What the pip on this machine says: which index it is configured for and where, and its own default.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longest run of pip: it takes half a second, and much longer on a machine that has just started.
const PIP_TIMEOUT: Duration = Duration::from_secs(30);

/// Most output of pip that is read, in bytes: its help is 20 KiB.
const PIP_OUTPUT_MAX: u64 = 1 << 20;

/// How often, and how far apart, a program that has closed its output is asked whether it ended.
const EXIT_POLLS: u32 = 100;
const EXIT_POLL: Duration = Duration::from_millis(10);

/// How pip may be called.
const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip"], &["pip3"]];

/// Runs pip and returns its output; `None` if there is no pip, or it fails.
pub(super) fn pip(arguments: &[&str]) -> Option<String> {
    run_pip(&PIPS, PIP_TIMEOUT, arguments)
}

/// The index in `pip config list`: the install command's wins over the global one, as in pip.
pub(super) fn configured_index(listing: &str) -> Option<String> {
    let value = |name: &str| {
        let of_name = |line: &str| {
            Some(
                line.trim()
                    .strip_prefix(name)?
                    .strip_prefix('=')?
                    .to_owned(),
            )
        };
        let value = listing.lines().find_map(of_name)?;
        let value = value.trim_matches(['\'', '"']);
        (!value.is_empty()).then(|| value.to_owned())
    };
    value("install.index-url").or_else(|| value("global.index-url"))
}

/// The file in which `pip config debug` finds the index: it lists the contents of each file, indented,
/// below its path. A later file wins, and so does the install command's key over the global one.
pub(super) fn configured_in(debug: &str) -> Option<PathBuf> {
    let (mut file, mut found) = (None, [None, None]);
    for line in debug.lines().map(str::trim) {
        if let Some((path, _)) = line.rsplit_once(", exists: ") {
            file = Some(PathBuf::from(path));
        }
        for (key, found) in ["install.index-url:", "global.index-url:"]
            .iter()
            .zip(&mut found)
        {
            if line.starts_with(key) {
                found.clone_from(&file);
            }
        }
    }
    let [install, global] = found;
    install.or(global)
}

/// The default that pip's help states for `--index-url`. The text is wrapped to some width, in the
/// middle of a URL if that has dashes, so all white space inside the parentheses goes.
pub(super) fn default_index(help: &str) -> Option<String> {
    let mut options = help.split("--index-url <url>").skip(1);
    options.find_map(|rest| {
        // Up to the next option, so that another one's default is not taken for it.
        let end = rest.find("\n  -").unwrap_or(rest.len());
        let (_, default) = rest[..end].split_once("(default")?;
        let (default, _) = default.split_once(')')?;
        let url: String = default.split_whitespace().collect();
        let url = url.trim_start_matches(':');
        url.starts_with("http").then(|| url.to_owned())
    })
}

/// Runs the first of these programs that answers.
fn run_pip(pips: &[&[&str]], timeout: Duration, arguments: &[&str]) -> Option<String> {
    pips.iter().find_map(|pip| {
        let (program, first) = pip.split_first()?;
        let arguments: Vec<&str> = first.iter().chain(arguments).copied().collect();
        run(program, &arguments, timeout)
    })
}

fn run(program: &str, arguments: &[&str], timeout: Duration) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        // Wide enough that nothing is wrapped where the help respects it.
        .env("COLUMNS", "2000")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_NO_INPUT", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let output = child.stdout.take()?;
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = output.take(PIP_OUTPUT_MAX).read_to_string(&mut text);
        // Nobody listens any more once the time is up.
        let _ = send.send(read.map(|_| text));
    });
    let text = receive.recv_timeout(timeout);
    let status = text.is_ok().then(|| status_of(&mut child)).flatten();
    // Whether it ended or was too slow, nothing more is expected of it.
    let _ = child.kill().and_then(|()| child.wait());
    text.ok()?
        .ok()
        .filter(|_| status.is_some_and(|status| status.success()))
}

/// The exit status of a program that has closed its output, which it does last.
fn status_of(child: &mut Child) -> Option<ExitStatus> {
    (0..EXIT_POLLS).find_map(|_| {
        let status = child.try_wait().ok().flatten();
        if status.is_none() {
            std::thread::sleep(EXIT_POLL);
        }
        status
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::config) const HELP: &str = "
Package Index Options:
  -i, --index-url <url>       Base URL of the Python Package Index (default
                              https://upstream-
                              one.example/simple). This should point to a
                              repository compliant with PEP 503 (the simple
                              repository API).
  --extra-index-url <url>     Extra URLs of package indexes to use in addition
                              to --index-url. Should follow the same rules as
                              --index-url.
";

    #[test]
    fn the_default_is_read_however_the_help_is_wrapped() {
        let one_line =
            "  -i, --index-url <url>  Base URL (default https://upstream.example/simple). This";
        let renamed = "--index-url <url>  Base (default: https://upstream.example/simple)";
        let table = [
            (HELP, Some("https://upstream-one.example/simple")),
            (one_line, Some("https://upstream.example/simple")),
            (renamed, Some("https://upstream.example/simple")),
            (
                "--index-url <url>  Base URL.\n  --timeout <sec>  (default 15)",
                None,
            ),
            ("--index-url <url>  Base URL (default none)", None),
            ("--index-url <url>  Base URL (default https://", None),
            ("", None),
        ];
        for (help, wanted) in table {
            assert_eq!(default_index(help).as_deref(), wanted, "{help:?}");
        }
    }

    #[test]
    fn a_configured_index_is_the_install_commands_then_the_global_one() {
        let table = [
            ("global.index-url='a'\ninstall.index-url='b'\n", Some("b")),
            (
                "global.index-url='a'\nglobal.extra-index-url='c'",
                Some("a"),
            ),
            ("download.index-url='d'\nglobal.index-url=''", None),
        ];
        for (listing, wanted) in table {
            assert_eq!(configured_index(listing).as_deref(), wanted, "{listing:?}");
        }
    }

    #[test]
    fn the_install_commands_file_wins_and_then_the_last() {
        let listed = |lines: &[&str]| configured_in(&lines.join("\n"));
        let (one, two) = ("  /one, exists: True", "  /two, exists: True");
        let (install, global) = ("    install.index-url: x", "    global.index-url: x");
        assert_eq!(listed(&[one, global, two, global]), Some("/two".into()));
        assert_eq!(listed(&[one, install, two, global]), Some("/one".into()));
        assert_eq!(listed(&[one, two]), None);
    }

    #[test]
    fn a_program_that_hangs_or_fails_or_is_not_there_has_no_answer() {
        let short = Duration::from_millis(50);
        let shell: &[&str] = &["sh", "-c"];
        let ask = |pips: &[&[&str]], script: &str| run_pip(pips, short, &[script]);
        assert_eq!(ask(&[shell], "exec sleep 60"), None);
        assert_eq!(ask(&[shell], "echo no; exit 1"), None);
        assert_eq!(ask(&[&["/no/such/pip"]], ""), None);
        let said = run_pip(&[&["/no/such/pip"], shell], PIP_TIMEOUT, &["echo yes"]);
        assert_eq!(said.as_deref(), Some("yes\n"));
    }
}
