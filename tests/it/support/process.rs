//! Processes of the built program: their environment, their output, their end.

use std::env;
use std::io::Read;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::watchdog;

/// Time between two checks of what gives no event to wait for: another process's end, its
/// readiness.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The program in the machine's environment, for commands that end by themselves.
///
/// Proxies are kept, for mirrors of the real index, but are never used for the servers of the
/// tests.
pub(crate) fn command() -> Command {
    with_environment(Command::new(env!("CARGO_BIN_EXE_cheesecloth")))
}

/// The same with limits on open files.
pub(super) fn command_under(soft: u64, hard: u64) -> Command {
    let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_cheesecloth")]);
    with_environment(command)
}

fn with_environment(mut command: Command) -> Command {
    watchdog::watch();
    for (name, value) in env::vars_os() {
        if name.to_string_lossy().starts_with("CHEESECLOTH_") {
            command.env_remove(name);
        } else if name == "NO_PROXY" || name == "no_proxy" {
            let mut hosts = value;
            hosts.push(",127.0.0.1");
            command.env(name, hosts);
        }
    }
    if env::var_os("NO_PROXY")
        .or(env::var_os("no_proxy"))
        .is_none()
    {
        command
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1");
    }
    command
}

/// Waits for a child's end, but not forever.
pub(crate) fn wait(child: &mut Child, at_most: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + at_most;
    loop {
        let ended = child.try_wait().unwrap();
        if ended.is_some() || Instant::now() >= deadline {
            return ended;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Reads `pipe` into `text` for as long as it is open.
pub(super) fn keep(mut pipe: impl Read + Send + 'static, text: Arc<Mutex<String>>) {
    thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut part) {
            text.lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&part[..length]));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_child_ends_with_it_or_with_patience() {
        let mut quick = Command::new("true").spawn().unwrap();
        assert!(wait(&mut quick, Duration::from_secs(60)).unwrap().success());
        let mut slow = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(wait(&mut slow, Duration::ZERO).is_none());
        slow.kill().unwrap();
        slow.wait().unwrap();
    }
}
