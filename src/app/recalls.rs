//! Recalls as a command that decides by itself needs them, and what the journal tells of who received
//! something.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::app::open_records::{OpenRecords, are_there};
use crate::app::work::runtime;
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::{
    JOURNAL_FILE, Journal, JournalDecision, JournalReader, JournalRow, JournalSubject,
};
use crate::model::{RecallSubject, Recalled, Sha256, Timestamp};
use crate::policy::{Policies, Recalls};
use crate::writer::{Delivered, Deliveries, Delivery};

/// Most deliveries that are told one by one: as many as people read, and a table for programs.
const DELIVERIES_MAX: usize = 10_000;

/// Tells from the journal who received what.
#[derive(Debug)]
pub(super) struct JournalTells {
    path: PathBuf,
    journal: Option<Arc<Journal>>,
}

impl JournalTells {
    /// Of a data directory; `journal` is the one that is being written, if it is.
    pub(super) fn of(data: &Path, journal: Option<&Arc<Journal>>) -> Self {
        Self {
            path: data.join(JOURNAL_FILE),
            journal: journal.cloned(),
        }
    }

    async fn read(&self, subject: &RecallSubject, told: &mut Delivered) -> anyhow::Result<()> {
        let Some(mut reader) = JournalReader::open(&self.path).await? else {
            let path = self.path.display();
            told.unknown.push(format!("there is no journal at {path}"));
            return Ok(());
        };
        told.since = reader.oldest().await?;
        let asked = match subject {
            RecallSubject::Sha256(digest) => vec![JournalSubject::Sha256(*digest)],
            RecallSubject::Project(_) | RecallSubject::Releases(..) | RecallSubject::File(_) => {
                let projects = subject.projects().into_iter();
                projects.map(JournalSubject::Project).collect()
            }
        };
        let mut found = Found::default();
        for asked in asked {
            let mut rows = reader.rows(&asked, Timestamp::MIN).await?;
            while let Some(row) = rows.next().await? {
                found.add(subject, &row);
            }
        }
        reader.close().await;
        found.tell(told);
        Ok(())
    }

    /// Journals that were damaged and set aside know more.
    fn set_aside(&self) -> std::io::Result<usize> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let prefix = format!("{JOURNAL_FILE}.damaged-");
        let names = std::fs::read_dir(folder)?.filter_map(Result::ok);
        let aside = names.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        Ok(aside.count())
    }
}

#[async_trait]
impl Deliveries for JournalTells {
    async fn of(&self, subject: &RecallSubject) -> Delivered {
        let mut told = Delivered::default();
        if let Some(journal) = &self.journal
            && !journal.flush().await
        {
            let words = "the journal cannot be written now: what was delivered since it last could is missing";
            told.unknown.push(words.to_owned());
        }
        if let Err(error) = self.read(subject, &mut told).await {
            told.unknown
                .push(format!("the journal cannot be read: {error:#}"));
        }
        match self.set_aside() {
            Ok(0) => {}
            Ok(aside) => told.unknown.push(format!(
                "{aside} damaged journals were set aside, and what they told is missing"
            )),
            Err(error) => told
                .unknown
                .push(format!("the journal's folder cannot be read: {error}")),
        }
        told
    }
}

/// Deliveries that differ in more than their time.
#[derive(Debug, Default)]
struct Found {
    by_client: BTreeMap<DeliveryKey, Delivery>,
    further: u64,
    digests: BTreeSet<[u8; 32]>,
}

/// Client, user, token, index, file and digest.
type DeliveryKey = [Option<Arc<str>>; 6];

impl Found {
    fn add(&mut self, subject: &RecallSubject, row: &JournalRow) {
        let (item, client, ruling) = (&row.item, &row.client, &row.ruling);
        let (Some(file), true) = (&item.file, ruling.decision != JournalDecision::Deny) else {
            return;
        };
        let project = item.project.as_deref().and_then(|name| name.parse().ok());
        let is_meant = match (subject, &project) {
            (RecallSubject::Sha256(digest), _) => item.sha256 == Some(*digest),
            (_, Some(project)) => {
                let version = item.version.as_deref();
                subject.covers_named(project, version, file, item.sha256) == Recalled::Yes
            }
            (_, None) => false,
        };
        if !is_meant {
            return;
        }
        self.digests
            .extend(item.sha256.map(|digest| *digest.as_bytes()));
        let digest = item.sha256.map(|digest| Arc::from(digest.to_hex()));
        let key = [
            client.address.clone(),
            client.user.clone(),
            client.token.clone(),
            Some(ruling.index.clone()),
            Some(file.clone()),
            digest.clone(),
        ];
        if let Some(known) = self.by_client.get_mut(&key) {
            known.last = known.last.max(row.at);
            known.first = known.first.min(row.at);
            known.times += row.times;
        } else if self.by_client.len() >= DELIVERIES_MAX {
            self.further += row.times;
        } else {
            let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
            let delivery = Delivery {
                client: text(&client.address),
                user: text(&client.user),
                token: text(&client.token),
                index: ruling.index.to_string(),
                project: text(&item.project),
                version: text(&item.version),
                file: file.to_string(),
                sha256: text(&digest),
                first: row.at,
                last: row.at,
                times: row.times,
            };
            self.by_client.insert(key, delivery);
        }
    }

    fn tell(self, told: &mut Delivered) {
        told.to = self.by_client.into_values().collect();
        told.to.sort_by_key(|one| one.first);
        told.further = self.further;
        told.digests = self.digests.into_iter().map(Sha256::from_bytes).collect();
    }
}

/// The policies under what is recalled in the data directory, where there is one.
///
/// # Errors
/// When there are records and their recalls cannot be read: nothing passes then.
pub fn under_recalls(policies: Policies, config: &Config) -> anyhow::Result<Policies> {
    if !are_there(config) {
        return Ok(policies);
    }
    let work = runtime()?;
    let open = OpenRecords::open(&work, config, Clock::system().now(), None)?;
    let recalls = Recalls::of(work.block_on(open.records.recalls())?);
    drop(open);
    Ok(policies.under(Arc::new(recalls)))
}
