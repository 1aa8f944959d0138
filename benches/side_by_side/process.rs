//! Children with an end, their processor time and memory, and who runs on which core.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The core of whatever server is measured.
const SERVER_CORE: &str = "0";

/// The core of the load, the origin and this program.
const LOAD_CORE: &str = "1";

/// Says that this program runs on its core already.
const ON_CORE: &str = "SIDE_BY_SIDE_ON_CORE";

/// Until a child that was asked to end is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at a child that is ending.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Ticks per second in `/proc`: `USER_HZ`, the same on every Linux of the kinds we run on.
const TICKS: f64 = 100.0;

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
}

/// Whether this program has still to move to the load's core.
pub(crate) fn needs_core() -> anyhow::Result<bool> {
    if std::env::var_os(ON_CORE).is_some() {
        return Ok(false);
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        bail!("two cores are needed, one for the servers and one for the load");
    }
    Ok(true)
}

/// Runs this program again, on the core of the load; returns only when that fails.
pub(crate) fn again_on_core() -> anyhow::Result<()> {
    let program = std::env::current_exe().context("find this program")?;
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE]).arg(program).args(std::env::args_os().skip(1));
    let error = command.env(ON_CORE, "1").exec();
    Err(error).context("run taskset (Debian's util-linux has it)")
}

/// `program`, to be started on the servers' core.
pub(crate) fn on_server_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", SERVER_CORE]).arg(program);
    command
}

/// The process behind this pid, as the kernel shows it: `/proc/PID/NAME`.
fn proc(pid: u32, name: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{name}");
    fs::read_to_string(&path).with_context(|| format!("read {path}"))
}

impl Server {
    /// Takes charge of a child. `taskset` replaces itself, so its pid is the server's.
    pub(crate) fn new(child: Child) -> Self {
        Self { child }
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<std::process::ExitStatus>> {
        self.child.try_wait().context("look after a server")
    }

    /// Its standard output, once.
    pub(crate) fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Processor time so far, in seconds, its children's included: nginx works in a child.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let pid = self.child.id();
        let children = proc(pid, &format!("task/{pid}/children"))?;
        let mut ticks = ticks(&proc(pid, "stat")?)?;
        for child in children.split_whitespace() {
            ticks += self::ticks(&proc(child.parse()?, "stat")?)?;
        }
        Ok(ticks / TICKS)
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<f64> {
        resident(&proc(self.child.id(), "status")?)
    }

    /// Asks it to end and waits for that.
    fn end(&mut self) {
        let ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        if ended(&mut self.child) {
            return;
        }
        // SIGTERM first: nginx's master takes its worker along, SIGKILL would leave it behind.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while !ended(&mut self.child) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// User and system time in a line of `/proc/PID/stat`. The name before them may hold anything.
fn ticks(stat: &str) -> anyhow::Result<f64> {
    let (_, fields) = stat.rsplit_once(')').context("a stat line without a name")?;
    // Counted from the state, which is field 3; utime is 14 and stime 15 (proc(5)).
    let mut times = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    match (times.next(), times.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok(user + system),
        _ => bail!("a stat line without times: {stat:?}"),
    }
}

/// `VmRSS` of `/proc/PID/status`, in bytes.
fn resident(status: &str) -> anyhow::Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes = kilobytes.context("a status without VmRSS")?;
    Ok(kilobytes.trim().parse::<f64>()? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "42 (a) R (b) c) S 1 42 42 0 -1 4194560 900 0 1 0 250 50 7 8 20 0 1 0 100";
        assert!((ticks(stat).unwrap() - 300.0).abs() < 1e-9);
        for broken in ["", "42 (a) S 1 2", "42 a S 1"] {
            assert!(ticks(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        assert!((resident(status).unwrap() - 1_048_576.0).abs() < 1e-9);
        assert!(resident("Name:\tx\n").is_err());
    }

    #[test]
    fn a_server_that_is_dropped_has_ended_and_used_the_processor_before() {
        let busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let pid = busy.id();
        let server = Server::new(busy);
        let deadline = Instant::now() + PATIENCE;
        while server.cpu_seconds().unwrap() < 0.05 {
            assert!(Instant::now() < deadline, "a busy loop that takes no time");
        }
        assert!(server.resident_bytes().unwrap() > 0.0);
        drop(server);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
