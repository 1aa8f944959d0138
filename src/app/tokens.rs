//! CI tokens as the command line sees them: in the records, beside a running server or without one.
//!
//! The server asks the records for every token it is shown and remembers none, so what is created or
//! withdrawn here takes effect there immediately.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::account::MintedToken;
use crate::app::data;
use crate::app::open_records::{OpenRecords, RECORDS, are_there};
use crate::app::setup::Setup;
use crate::app::streams::{audit_log, metrics};
use crate::app::work::runtime;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{ApiToken, Cause, NewApiToken};
use crate::model::Timestamp;
use crate::telemetry::{AuditEvent, AuditKind, AuditLog};

/// The records' tokens.
#[derive(Debug)]
pub struct TokenDrawer {
    /// Dropped before the runtime: fields are dropped in this order.
    open: OpenRecords,
    work: Runtime,
    clock: Clock,
    config: Config,
}

impl TokenDrawer {
    /// Opens the records of the data directory that the configuration names.
    ///
    /// # Errors
    /// Faults in the configuration, or a data directory in which no server was ever started.
    pub fn open(setup: &Setup) -> anyhow::Result<Self> {
        let config = setup.load()?.config;
        let data = &config.data;
        anyhow::ensure!(
            are_there(&config),
            "there are no records at {}; name the data directory of the server with --data",
            data.join(RECORDS).display()
        );
        data::own(data)?;
        let (work, clock) = (runtime()?, Clock::system());
        Ok(Self {
            open: OpenRecords::open(&work, &config, clock.now(), None)?,
            work,
            clock,
            config,
        })
    }

    /// Now, on the records' clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Creates a token; fills in the id and digest of `new`. The token's text is returned and kept nowhere.
    ///
    /// # Errors
    /// When the user does not exist, or the records fail.
    pub fn create(&self, mut new: NewApiToken) -> anyhow::Result<MintedToken> {
        let mut random = [0; 40];
        getrandom::fill(&mut random).context("get random bytes")?;
        let minted = MintedToken::of(&random);
        if self
            .work
            .block_on(self.open.records.user(&new.user))?
            .is_none()
        {
            anyhow::bail!("no user {:?}; make one with `devpi user -c`", new.user);
        }
        (new.id, new.secret_hash) = (minted.id.clone(), minted.secret_hash);
        let audit = self.audit()?;
        let kept = self
            .work
            .block_on(self.open.records.create_api_token(&self.cause(), &new))?;
        kept.context("the new token's id is taken; try again")?;
        let operations = new.operations.iter().map(|one| one.as_str());
        let detail = format!(
            "made for {}: {} on {}",
            new.user,
            operations.collect::<Vec<_>>().join(", "),
            if new.indexes.is_empty() {
                "every index".to_owned()
            } else {
                new.indexes.join(" ")
            }
        );
        self.account_for(&audit, &new.id, detail);
        Ok(minted)
    }

    /// The tokens of one user, or of all.
    ///
    /// # Errors
    /// When the records fail.
    pub fn list(&self, user: Option<&str>) -> anyhow::Result<Vec<ApiToken>> {
        let users = match user {
            Some(user) => vec![user.to_owned()],
            None => {
                let directory = self.work.block_on(self.open.records.directory())?;
                directory.users.into_iter().map(|user| user.name).collect()
            }
        };
        let mut tokens = Vec::new();
        for user in users {
            tokens.extend(self.work.block_on(self.open.records.api_tokens(&user))?);
        }
        Ok(tokens)
    }

    /// Withdraws a token; false if there is none with this id.
    ///
    /// # Errors
    /// When the records fail.
    pub fn revoke(&self, id: &str) -> anyhow::Result<bool> {
        let audit = self.audit()?;
        let gone = self
            .work
            .block_on(self.open.records.delete_api_token(&self.cause(), id))?;
        if gone.is_some() {
            self.account_for(&audit, id, "withdrawn".to_owned());
        }
        Ok(gone.is_some())
    }

    /// The audit log, opened before anything is changed: what cannot be accounted for is not done.
    fn audit(&self) -> anyhow::Result<Arc<AuditLog>> {
        audit_log(&self.config, &metrics()?, None)
    }

    fn account_for(&self, audit: &AuditLog, id: &str, detail: String) {
        let mut event = AuditEvent::new(self.clock.now(), AuditKind::Token);
        event.token = Some(format!("cc-{id}").into());
        event.detail = Some(detail.into());
        audit.record(event);
        audit.stop();
    }

    /// Somebody at the command line; the records do not know who.
    fn cause(&self) -> Cause {
        Cause {
            who: None,
            at: self.clock.now(),
        }
    }
}
