//! The built program, started as an operator starts it: a process with flags, ports and signals.
//!
//! Every door is on a port that the system chooses and the program prints. It runs in its own
//! folder, so no `cheesecloth.yaml` of the checkout is read, and without the `CHEESECLOTH_*`
//! variables of the user who runs the tests. What it writes to stderr is shown when the test fails.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::process::{LOOK_AGAIN, command_under, keep};
use super::{Disk, ask, command, wait};

/// Until every door is open; generous, for a debug build on a busy machine.
const START: Duration = Duration::from_secs(60);

/// Until it has ended after SIGTERM.
const STOP: Duration = Duration::from_secs(60);

/// The file with its policies, in its own folder.
const POLICIES: &str = "policies.yaml";

/// The doors, by the first word of the line that names each.
const DOORS: [&str; 3] = ["public", "management", "metrics"];

/// A program not yet started.
pub(crate) struct Launch {
    folder: TempDir,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
    data: Option<PathBuf>,
    public: String,
    manage: String,
    open_files: Option<(u64, u64)>,
}

impl Launch {
    /// Sets the soft and hard limits on open files.
    pub(crate) fn open_files(mut self, soft: u64, hard: u64) -> Self {
        self.open_files = Some((soft, hard));
        self
    }

    /// Sets an environment variable.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Keeps its data in `folder`, which outlives the program.
    pub(crate) fn data(mut self, folder: &Path) -> Self {
        self.data = Some(folder.to_owned());
        self
    }

    /// The folder that it will run in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Opens the public door at the address of `earlier`, so that URLs in lock files stay valid.
    pub(crate) fn in_place_of(mut self, earlier: &Program) -> Self {
        earlier
            .public_url()
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .clone_into(&mut self.public);
        self
    }

    /// Opens the management door elsewhere than on a port that the system chooses.
    pub(crate) fn manage(mut self, address: &str) -> Self {
        address.clone_into(&mut self.manage);
        self
    }

    /// Runs it on this disk, which may get into trouble.
    pub(crate) fn on(mut self, disk: &Disk) -> Self {
        self.environment.extend(disk.environment());
        self
    }

    /// Mirrors this index wherever the policies name none.
    pub(crate) fn mirroring(mut self, url: &str) -> Self {
        self.environment
            .push(("CHEESECLOTH_MIRROR_URL", url.to_owned()));
        self
    }

    /// Serves only what is already there.
    pub(crate) fn offline(mut self) -> Self {
        self.arguments.push("--offline".into());
        self
    }

    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// When it does not, with its output.
    #[track_caller]
    pub(crate) fn start(self) -> Program {
        let data = self.data.unwrap_or_else(|| self.folder.path().join("data"));
        let mut command = match self.open_files {
            None => command(),
            Some((soft, hard)) => command_under(soft, hard),
        };
        command
            .arg("serve")
            .args(&self.arguments)
            .arg("--data")
            .arg(data);
        command.args(["--public", &self.public]);
        command.args(["--manage", &self.manage, "--metrics", "127.0.0.1:0"]);
        command
            .current_dir(self.folder.path())
            .envs(self.environment);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("start the program");
        let stderr = Arc::new(Mutex::new(String::new()));
        keep(
            child.stderr.take().expect("stderr is piped"),
            Arc::clone(&stderr),
        );
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut program = Program {
            child,
            doors: Default::default(),
            stderr,
            folder: self.folder,
        };
        program.doors = program.read_doors(stdout);
        program.wait_until_ready();
        program
    }
}

/// A running program; dropping it kills it.
pub(crate) struct Program {
    child: Child,
    doors: [String; 3],
    stderr: Arc<Mutex<String>>,
    folder: TempDir,
}

impl Program {
    /// A program that will serve these policies.
    pub(crate) fn with_policies(yaml: &str) -> Launch {
        let mut launch = Self::without_policies();
        let path = launch.folder.path().join(POLICIES);
        fs::write(&path, yaml).unwrap();
        launch
            .arguments
            .extend([OsStr::new("--policies").to_owned(), path.into_os_string()]);
        launch
    }

    /// A program that will serve as on a machine where nobody has configured anything.
    pub(crate) fn without_policies() -> Launch {
        Launch {
            folder: tempfile::tempdir().unwrap(),
            arguments: Vec::new(),
            environment: Vec::new(),
            data: None,
            public: "127.0.0.1:0".to_owned(),
            manage: "127.0.0.1:0".to_owned(),
            open_files: None,
        }
    }

    /// `http://127.0.0.1:PORT/`
    pub(crate) fn public_url(&self) -> &str {
        &self.doors[0]
    }

    /// `http://127.0.0.1:PORT/`
    pub(crate) fn manage_url(&self) -> &str {
        &self.doors[1]
    }

    /// `http://127.0.0.1:PORT/`
    pub(crate) fn metrics_url(&self) -> &str {
        &self.doors[2]
    }

    /// The URL that installers are given for `index`, such as `root/pypi`.
    pub(crate) fn index_url(&self, index: &str) -> String {
        format!("{}{index}/+simple/", self.public_url())
    }

    /// The sum of a metric over its labels, or `None` if it has never been counted.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let page = ask::get(&format!("{}metrics", self.metrics_url())).unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        sum_of(name, &page.body)
    }

    /// Waits until a metric is as wanted.
    ///
    /// # Panics
    /// When that takes too long.
    #[track_caller]
    pub(crate) fn wait_for_metric(&self, name: &str, wanted: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + START;
        loop {
            let value = self.metric(name);
            if value.is_some_and(&wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{name} stays at {value:?}");
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// The page of all metrics.
    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        ask::get(&format!("{}metrics", self.metrics_url()))
            .unwrap()
            .body
    }

    /// Waits until it has logged this, and returns everything that it has logged by then.
    ///
    /// # Panics
    /// When that takes too long.
    #[track_caller]
    pub(crate) fn wait_until_it_says(&self, words: &str) -> String {
        let deadline = Instant::now() + START;
        loop {
            let said = self.stderr.lock().unwrap().clone();
            if said.contains(words) {
                return said;
            }
            assert!(Instant::now() < deadline, "it has not said {words:?}");
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// The folder that it runs in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The number of folders that it watches through the system.
    pub(crate) fn folders_watched(&self) -> usize {
        let files = fs::read_dir(format!("/proc/{}/fdinfo", self.child.id())).unwrap();
        let text = |file: std::io::Result<fs::DirEntry>| {
            // One that has been closed meanwhile watches nothing.
            fs::read_to_string(file.unwrap().path()).unwrap_or_default()
        };
        files
            .map(|file| text(file).matches("inotify wd:").count())
            .sum()
    }

    /// Replaces its policies atomically, as an editor does.
    pub(crate) fn write_policies(&self, yaml: &str) {
        let draft = self.folder.path().join("draft");
        fs::write(&draft, yaml).unwrap();
        fs::rename(draft, self.folder.path().join(POLICIES)).unwrap();
    }

    pub(crate) fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }

    /// Its peak memory so far, in bytes.
    pub(crate) fn memory_peak_bytes(&self) -> u64 {
        self.memory_bytes("VmHWM:")
    }

    /// Measures the peak memory from now on.
    pub(crate) fn forget_memory_peak(&self) {
        // proc(5): 5 resets the peak.
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// Its current memory, in bytes.
    pub(crate) fn memory_now_bytes(&self) -> u64 {
        self.memory_bytes("VmRSS:")
    }

    fn memory_bytes(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|text| text.strip_prefix(line));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes.unwrap().parse::<u64>().unwrap() * 1024
    }

    /// How many files it may have open.
    pub(crate) fn open_files_max(&self) -> u64 {
        let limits = fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap();
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        line.unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// What it has logged so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Ends it as a power cut would, while others still use it.
    pub(crate) fn cut_power(&self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).unwrap();
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub(crate) fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        wait(&mut self.child, STOP)
            .unwrap_or_else(|| panic!("still running {STOP:?} after SIGTERM"))
    }

    /// Sends SIGTERM, waits for its end, and returns everything that it has logged.
    #[track_caller]
    pub(crate) fn stop_and_tell(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        wait(&mut self.child, STOP)
            .unwrap_or_else(|| panic!("still running {STOP:?} after SIGTERM"));
        // Until the thread that reads the pipe has finished.
        while Arc::strong_count(&self.stderr) > 1 {
            thread::sleep(LOOK_AGAIN);
        }
        self.stderr()
    }

    #[track_caller]
    fn read_doors(&self, stdout: ChildStdout) -> [String; 3] {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens once the doors are known, but the pipe must still be emptied.
                let _ = sender.send(line);
            }
        });
        let deadline = Instant::now() + START;
        let mut doors: [Option<String>; 3] = Default::default();
        // The metrics door is printed last.
        while doors[0].is_none() || doors[2].is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(left).unwrap_or_else(|reason| {
                panic!("the program has not named its doors: {reason}; so far {doors:?}")
            });
            let (door, url) = line.split_once(' ').unwrap_or_default();
            if let Some(at) = DOORS.iter().position(|known| *known == door) {
                doors[at] = Some(url.to_owned());
            }
        }
        doors.map(Option::unwrap_or_default)
    }

    /// Waits until `/readyz` says that it serves without restrictions.
    ///
    /// # Panics
    /// When that takes too long.
    #[track_caller]
    pub(crate) fn wait_until_ready(&self) {
        let url = format!("{}readyz", self.metrics_url());
        let deadline = Instant::now() + START;
        loop {
            let answer = ask::get(&url);
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                return;
            }
            assert!(Instant::now() < deadline, "{url} is not ready: {answer:?}");
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if it has ended already, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let said = self
                .stderr
                .lock()
                .map(|said| said.clone())
                .unwrap_or_default();
            eprintln!("--- the program's stderr ---\n{said}--- end ---");
        }
    }
}

/// Adds up the samples of `name` in a page of the Prometheus text format.
fn sum_of(name: &str, page: &str) -> Option<f64> {
    let samples = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let labelled = rest.starts_with('{') || rest.starts_with(' ');
        labelled.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    samples.reduce(|sum, sample| sum + sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_over_its_labels() {
        let page = "# TYPE asked_total counter\nasked_total{result=\"ok\"} 3\n\
                    asked_total{result=\"not found\"} 2\nasked_total_seconds 9\nup 1\n";
        for (name, expected) in [
            ("asked_total", Some(5.0)),
            ("up", Some(1.0)),
            ("asked", None),
            ("down", None),
        ] {
            assert_eq!(sum_of(name, page), expected, "{name}");
        }
    }
}
