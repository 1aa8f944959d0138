//! The signals that a server heeds.
//!
//! From [`Signals::hear`] on none of them ends the process by itself, and each is kept until somebody
//! asks for it. So whoever starts a server hears them first: a signal that comes before the server runs
//! is heeded when it does.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals from one moment on.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
}

/// How the server is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Immediately (SIGINT).
    Immediate,
    /// Once what is under way is finished (SIGTERM).
    InOrder,
}

impl Signals {
    /// Hears them from now on; within a runtime.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn hear() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal that ends the server.
    pub async fn end(&mut self) -> End {
        ending(&mut self.terminate, &mut self.interrupt).await
    }

    /// Waits for SIGHUP.
    pub async fn hangup(&mut self) {
        self.hangup.recv().await;
    }

    /// Waits for a signal that ends the server, or for SIGQUIT (`None`).
    pub(super) async fn end_or_quit(&mut self) -> Option<End> {
        let Self {
            terminate,
            interrupt,
            quit,
            ..
        } = self;
        tokio::select! {
            end = ending(terminate, interrupt) => Some(end),
            _ = quit.recv() => None,
        }
    }
}

async fn ending(terminate: &mut Signal, interrupt: &mut Signal) -> End {
    tokio::select! {
        _ = terminate.recv() => End::InOrder,
        _ = interrupt.recv() => End::Immediate,
    }
}
