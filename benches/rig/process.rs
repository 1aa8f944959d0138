//! Children with an end, their processor time and memory, and who runs on which core.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// Tells this program, once it runs on its core, which two were chosen: `SERVER LOAD`.
const CORES: &str = "BENCH_CORES";

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

/// The two cores of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cores {
    /// Of whatever server is measured.
    pub(crate) server: usize,
    /// Of the load, the origin and this program.
    pub(crate) load: usize,
}

impl Cores {
    /// Those chosen when this program moved to its core; nothing before.
    pub(crate) fn chosen() -> Option<Self> {
        let text = std::env::var_os(CORES)?.into_string().ok()?;
        let (server, load) = text.split_once(' ')?;
        Some(Self {
            server: server.parse().ok()?,
            load: load.parse().ok()?,
        })
    }

    /// Chooses the first two that this process may use.
    pub(crate) fn choose() -> anyhow::Result<Self> {
        let status = fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
        match allowed(&status)[..] {
            [server, load, ..] => Ok(Self { server, load }),
            _ => bail!("two cores are needed, one for the servers and one for the load"),
        }
    }

    /// Runs this program again, on the core of the load; returns only when that fails.
    pub(crate) fn take(self) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("find this program")?;
        let mut command = on_cores(&[self.load], &program);
        command.args(std::env::args_os().skip(1));
        let error = command
            .env(CORES, format!("{} {}", self.server, self.load))
            .exec();
        Err(error).context("run taskset (Debian's util-linux has it)")
    }

    /// `program`, to be started on the servers' core.
    pub(crate) fn server(self, program: &Path) -> Command {
        on_cores(&[self.server], program)
    }

    /// `program`, to be started on both cores, which the servers then share with the load.
    pub(crate) fn both(self, program: &Path) -> Command {
        on_cores(&[self.server, self.load], program)
    }
}

/// Lets this program, and what it starts, have as many connections open as the machine allows.
pub(crate) fn allow_many_connections() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).context("raise the limit of open files")
}

fn on_cores(cores: &[usize], program: &Path) -> Command {
    let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
    let mut command = Command::new("taskset");
    command.arg("-c").arg(cores.join(",")).arg(program);
    command.env_remove(CORES);
    command
}

/// The cores in `/proc/PID/status` that the process may use: `0-2,5`.
fn allowed(status: &str) -> Vec<usize> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let parts = line.unwrap_or_default().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse().ok()?)
    });
    parts.flatten().collect()
}

/// The process behind this pid, as the kernel shows it: `/proc/PID/NAME`.
fn proc(pid: u32, name: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{name}");
    fs::read_to_string(&path).with_context(|| format!("read {path}"))
}

/// Processor time in seconds: of each of the two cores, and of this program with its ended children.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    cores: Cores,
    server_core: f64,
    load_core: f64,
    ourselves: f64,
}

impl Clock {
    /// What it shows now.
    pub(crate) fn read(cores: Cores) -> anyhow::Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        let own = fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
        Ok(Self {
            cores,
            server_core: busy_ticks(&stat, cores.server)? / TICKS,
            load_core: busy_ticks(&stat, cores.load)? / TICKS,
            ourselves: ticks(&own, 4)? / TICKS,
        })
    }

    /// Seconds that others took since, of whichever core lost more; `server` is what the server used.
    pub(crate) fn taken_by_others(&self, server: f64) -> anyhow::Result<f64> {
        let now = Self::read(self.cores)?;
        let from_server = now.server_core - self.server_core - server;
        let from_load = now.load_core - self.load_core - (now.ourselves - self.ourselves);
        Ok(from_server.max(from_load).max(0.0))
    }

    /// The same where the server and the load share both cores: seconds of either.
    pub(crate) fn taken_of_both(&self, server: f64) -> anyhow::Result<f64> {
        let now = Self::read(self.cores)?;
        let busy = now.server_core - self.server_core + now.load_core - self.load_core;
        Ok((busy - server - (now.ourselves - self.ourselves)).max(0.0))
    }
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
        let mut used = ticks(&proc(pid, "stat")?, 2)?;
        for child in children.split_whitespace() {
            used += ticks(&proc(child.parse()?, "stat")?, 2)?;
        }
        Ok(used / TICKS)
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

/// The first `count` of user and system time, and those of ended children, added up, in a line of
/// `/proc/PID/stat`. The name before them may hold anything.
fn ticks(stat: &str, count: usize) -> anyhow::Result<f64> {
    let (_, fields) = stat
        .rsplit_once(')')
        .context("a stat line without a name")?;
    // Counted from the state, which is field 3; utime is 14, then stime, cutime, cstime (proc(5)).
    let times = fields
        .split_whitespace()
        .skip(11)
        .take(count)
        .map(str::parse::<f64>);
    let times: Vec<f64> = times.collect::<Result<_, _>>()?;
    if times.len() < count {
        bail!("a stat line without times: {stat:?}");
    }
    Ok(times.iter().sum())
}

/// What a core did beside waiting, in `/proc/stat`: all but the fourth and fifth time of its line.
fn busy_ticks(stat: &str, core: usize) -> anyhow::Result<f64> {
    let name = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name));
    let line = line.with_context(|| format!("core {core} is not in /proc/stat"))?;
    let times: Vec<f64> = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    // user nice system idle iowait irq softirq steal; guest time is in user's already.
    let busy = times
        .iter()
        .enumerate()
        .take(8)
        .filter(|(at, _)| *at != 3 && *at != 4);
    Ok(busy.map(|(_, time)| time).sum())
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
        assert!((ticks(stat, 2).unwrap() - 300.0).abs() < 1e-9);
        assert!((ticks(stat, 4).unwrap() - 315.0).abs() < 1e-9);
        for broken in ["", "42 (a) S 1 2", "42 a S 1"] {
            assert!(ticks(broken, 2).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_core_is_busy_when_it_neither_idles_nor_waits() {
        let stat =
            "cpu  9 9 9 9 9 9 9 9 9 9\ncpu1 1 2 3 1000 2000 4 5 6 70 80\ncpu11 0 0 0 0 0 0 0 0\n";
        assert!((busy_ticks(stat, 1).unwrap() - 21.0).abs() < 1e-9);
        assert!(busy_ticks(stat, 2).is_err());
    }

    #[test]
    fn what_a_stranger_takes_is_noticed() {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let core = allowed(&status)[0];
        // As on a machine with one core, which tests may run on.
        let cores = Cores {
            server: core,
            load: core,
        };
        let clock = Clock::read(cores).unwrap();
        let mut busy = cores.server(Path::new("sh"));
        let stranger = Server::new(busy.args(["-c", "while :; do :; done"]).spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while clock.taken_by_others(0.0).unwrap() < 0.05 {
            assert!(Instant::now() < deadline, "a busy loop that takes no time");
        }
        drop(stranger);
    }

    #[test]
    fn allowed_cores_are_read_from_ranges() {
        for (line, expected) in [
            ("Name:\tx\nCpus_allowed_list:\t0-2,5\n", &[0, 1, 2, 5][..]),
            ("Cpus_allowed_list:\t3\n", &[3]),
            ("Name:\tx\n", &[]),
        ] {
            assert_eq!(allowed(line), expected, "{line:?}");
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
        let busy = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
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
