//! A directory: which of its servers is asked, for how long, and how many questions at a time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::time::timeout;

use crate::identity::connection::Server;
use crate::identity::error::{DirectoryError, InvalidDirectory};
use crate::identity::health::Health;
use crate::identity::question::{Answer, Question, ask};
use crate::identity::tls::client_config;
use crate::model::{DirectoryServer, DirectorySettings, Secret};
use crate::telemetry::{DirectoryMetrics, HeldPermits, Permits, WaitMeter};

/// Questions asked at the same time, each on a connection of its own; a directory serves more than us.
const AT_ONCE: usize = 8;

/// Questions that may wait for their turn; each holds a request, and more than this is a flood.
const WAITING_MAX: usize = 64;

/// A directory of people.
pub struct UserDirectory {
    settings: DirectorySettings,
    servers: Vec<Server>,
    /// The server that answered last is asked first.
    answered: AtomicUsize,
    asking: Permits,
    waiting: Permits,
    health: Health,
    is_hiding_told: AtomicBool,
}

impl UserDirectory {
    /// Reads the certificates that the settings name. No server is asked yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn open(
        settings: DirectorySettings,
        metrics: DirectoryMetrics,
    ) -> Result<Self, InvalidDirectory> {
        let servers = settings.servers.iter().map(server_of);
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() {
            return Err(InvalidDirectory("a directory without a server".to_owned()));
        }
        Ok(Self {
            settings,
            servers,
            answered: AtomicUsize::new(0),
            asking: Permits::new(AT_ONCE, metrics.waits()),
            waiting: Permits::new(WAITING_MAX, WaitMeter::default()),
            health: Health::new(metrics),
            is_hiding_told: AtomicBool::new(false),
        })
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &DirectorySettings {
        &self.settings
    }

    /// The groups of a user who gives this password; `None` if it is not theirs, or nobody is called that.
    ///
    /// # Errors
    /// When no server answers: nothing is known about the password then.
    pub async fn sign_in(
        self: &Arc<Self>,
        user: &str,
        password: &str,
    ) -> Result<Answer, DirectoryError> {
        // No server is asked: many take a bind without a password for one that succeeds (RFC 4513 §5.1.2).
        if password.is_empty() || password.contains('\0') {
            return Ok(None);
        }
        let question = Question::SignIn {
            user: user.to_owned(),
            password: Secret::new(password),
        };
        self.ask(question).await
    }

    /// The groups of a user as they are now; `None` if nobody is called that (any more).
    ///
    /// # Errors
    /// When no server answers.
    pub async fn standing(self: &Arc<Self>, user: &str) -> Result<Answer, DirectoryError> {
        let user = user.to_owned();
        self.ask(Question::Standing { user }).await
    }

    async fn ask(self: &Arc<Self>, question: Question) -> Result<Answer, DirectoryError> {
        let answer = self.ask_any(question).await;
        self.health.went(&answer);
        answer
    }

    async fn ask_any(self: &Arc<Self>, question: Question) -> Result<Answer, DirectoryError> {
        let _turn = self.turn().await?;
        let (first, question) = (self.answered.load(Ordering::Relaxed), Arc::new(question));
        let mut failed = DirectoryError::Busy;
        for step in 0..self.servers.len() {
            let at = (first + step) % self.servers.len();
            match self.ask_one(at, &question).await {
                Err(error @ DirectoryError::Unreachable { .. }) => failed = error,
                settled => {
                    self.answered.store(at, Ordering::Relaxed);
                    return settled;
                }
            }
        }
        Err(failed)
    }

    /// In a task of its own: an answer that the library cannot read ends that, and nothing else.
    async fn ask_one(
        self: &Arc<Self>,
        at: usize,
        question: &Arc<Question>,
    ) -> Result<Answer, DirectoryError> {
        let (directory, question) = (Arc::clone(self), Arc::clone(question));
        let asked = tokio::spawn(async move {
            let (settings, server) = (&directory.settings, &directory.servers[at]);
            let asking = ask(settings, server, &question, &directory.is_hiding_told);
            timeout(settings.timeout, asking).await
        });
        let unreachable = |why: String| DirectoryError::Unreachable {
            server: self.servers[at].name(),
            why,
        };
        match asked.await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => {
                let seconds = self.settings.timeout.as_secs_f32();
                Err(unreachable(format!("no answer within {seconds} s")))
            }
            Err(_) => Err(unreachable("an answer that is not LDAP".to_owned())),
        }
    }

    async fn turn(&self) -> Result<(HeldPermits, HeldPermits), DirectoryError> {
        let place = self.waiting.try_take().ok_or(DirectoryError::Busy)?;
        Ok((place, self.asking.take().await))
    }
}

fn server_of(server: &DirectoryServer) -> Result<Server, InvalidDirectory> {
    let (url, tls) = (server.url.clone(), &server.tls);
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    if !has_host || !matches!(url.scheme(), "ldap" | "ldaps" | "ldapi") {
        return Err(InvalidDirectory(format!(
            "{url} is not the URL of a directory"
        )));
    }
    let is_encrypted = tls.start_tls || url.scheme() == "ldaps";
    let config = match is_encrypted && tls.is_verified {
        true => Some(client_config(tls)?),
        false => None,
    };
    Ok(Server {
        start_tls: tls.start_tls,
        is_verified: tls.is_verified,
        config,
        url,
    })
}

impl fmt::Debug for UserDirectory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("UserDirectory")
            .field(&self.settings)
            .finish()
    }
}
