//! Tells the service manager how the start, reloads and the stop go: sd_notify(3), without a library.
//!
//! One datagram for each change of state goes to the socket that `NOTIFY_SOCKET` names; without it
//! nothing is sent. A message that is lost never stops the server: the manager has time-outs of its own.
//!
//! While it serves, it reports every few seconds that it is alive, from the runtime that does the work:
//! a runtime that hangs falls silent, and a manager with a watchdog starts another process.
//!
//! After an upgrade the new process announces itself as the main one. The old one leaves without a word,
//! since the service continues: only SIGTERM and SIGINT are announced as the end.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::listen::Signals;

/// How often the program reports that it is alive, unless the manager wants it more often. It does so
/// unasked: a process that took over was not started by the manager and is not told what it wants.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// The line to the service manager, if there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Notify(Option<Arc<Line>>);

#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    manager: SocketAddr,
}

impl Notify {
    /// Opens the line to the socket of this name: a path, or `@` and an abstract name.
    ///
    /// Logs it and sends nothing if the socket cannot be opened.
    pub(super) fn to(name: Option<&str>) -> Self {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        match Line::open(name) {
            Ok(line) => Self(Some(Arc::new(line))),
            Err(error) => {
                tracing::warn!(socket = name, %error, "cannot tell the service manager anything");
                Self::default()
            }
        }
    }

    /// The doors are open. After an upgrade this process is the one to watch.
    pub(super) fn ready(&self, is_upgrade: bool) {
        if is_upgrade {
            self.send(&format!("MAINPID={}\nREADY=1", std::process::id()));
        } else {
            self.send("READY=1");
        }
    }

    /// The files are being read again; [`Notify::reloaded`] follows, whatever the outcome.
    pub(super) fn reloading(&self) {
        self.send("RELOADING=1\nSTATUS=reading the configuration again");
    }

    /// The files have been read: which generation serves, and whether it is new.
    pub(super) fn reloaded(&self, generation: u64, is_new: bool) {
        let status = if is_new {
            format!("generation {generation} serves")
        } else {
            format!("not reloaded, the log says why; generation {generation} still serves")
        };
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// Reports that the program is alive, for as long as it is. `watchdog` is the manager's
    /// `WATCHDOG_USEC`: the time in microseconds after which silence is taken for death.
    pub(super) async fn live(self, watchdog: Option<String>) {
        let asked = watchdog.and_then(|text| text.parse().ok());
        let asked = asked.map(|microseconds| Duration::from_micros(microseconds) / 2);
        let every = asked.map_or(SIGN_OF_LIFE, |asked| asked.min(SIGN_OF_LIFE));
        // A watchdog of zero would be a busy loop.
        let mut turns = tokio::time::interval(every.max(Duration::from_millis(10)));
        while self.0.is_some() {
            turns.tick().await;
            self.send("WATCHDOG=1");
        }
    }

    /// Waits for the signal that ends the server and announces the stop.
    pub(super) async fn announce_stop(self, mut signals: Signals) {
        signals.end().await;
        self.send("STOPPING=1\nSTATUS=finishing what is under way");
    }

    fn send(&self, message: &str) {
        let Some(line) = &self.0 else { return };
        // A manager that does not read must not hold the server up: the socket does not block.
        if let Err(error) = line.socket.send_to_addr(message.as_bytes(), &line.manager) {
            tracing::warn!(message, %error, "the service manager was not told");
        }
    }
}

impl Line {
    fn open(name: &str) -> io::Result<Self> {
        let manager = match name.strip_prefix('@') {
            Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, manager })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(manager: &UnixDatagram) -> String {
        let mut part = [0; 256];
        manager.set_nonblocking(true).unwrap();
        let length = manager.recv(&mut part).unwrap();
        String::from_utf8_lossy(&part[..length]).into_owned()
    }

    #[test]
    fn a_manager_hears_each_change_of_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::to(path.to_str());
        let upgraded = format!("MAINPID={}\nREADY=1", std::process::id());
        let told: [(&dyn Fn(), &str); 5] = [
            (&|| notify.ready(false), "READY=1"),
            (&|| notify.ready(true), &upgraded),
            (
                &|| notify.reloading(),
                "RELOADING=1\nSTATUS=reading the configuration again",
            ),
            (
                &|| notify.reloaded(7, true),
                "READY=1\nSTATUS=generation 7 serves",
            ),
            (
                &|| notify.reloaded(7, false),
                "READY=1\nSTATUS=not reloaded, the log says why; generation 7 still serves",
            ),
        ];
        for (tell, expected) in told {
            tell();
            assert_eq!(heard(&manager), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_manager_hears_that_the_program_lives_twice_as_often_as_it_asks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        for (asked, expected) in [(Some("4000000"), 2), (Some("nonsense"), 10), (None, 10)] {
            let living = tokio::spawn(Notify::to(path.to_str()).live(asked.map(str::to_owned)));
            let started = tokio::time::Instant::now();
            for turn in 0..3 {
                while manager_is_silent(&manager) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                let passed = started.elapsed().as_secs_f64();
                let due = f64::from(turn * expected);
                assert!((due..due + 0.2).contains(&passed), "{asked:?}: {passed}");
            }
            living.abort();
        }
        // Without a manager it returns immediately.
        Notify::default().live(None).await;
    }

    fn manager_is_silent(manager: &UnixDatagram) -> bool {
        manager.set_nonblocking(true).unwrap();
        let mut part = [0; 256];
        match manager.recv(&mut part) {
            Ok(length) => {
                assert_eq!(&part[..length], b"WATCHDOG=1");
                false
            }
            Err(_) => true,
        }
    }

    #[test]
    fn an_abstract_name_is_a_manager_too() {
        let name = format!("cheesecloth-notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        Notify::to(Some(&format!("@{name}"))).ready(false);
        assert_eq!(heard(&manager), "READY=1");
    }

    #[test]
    fn without_a_manager_nothing_is_sent_and_nothing_fails() {
        for name in [None, Some("")] {
            assert!(Notify::to(name).0.is_none(), "{name:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        Notify::to(gone.to_str()).ready(false);
        let too_long = "x".repeat(200);
        assert!(Notify::to(Some(&too_long)).0.is_none());
    }
}
