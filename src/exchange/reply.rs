//! What a flow answers: status, head, body and what to record, before any door writes it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::model::{AskedPart, IndexName, ProjectName, Sha256};
use crate::policy::Denial;
use crate::protocol::Head;
use crate::store::{Growing, StoredFile};
use crate::telemetry::{Label, Staleness, labels};

/// An answer, ready for a door to write.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The HTTP/1.1 reason phrase if it is not the standard one: short ASCII, a refusal's words.
    pub reason: Option<Arc<str>>,
    /// The headers that belong to the content. `Content-Length` is included where the length is
    /// known; `Date`, `Connection`, `X-Request-Id` and the like are the door's.
    pub head: Arc<Head>,
    /// The content. For HEAD it is `Empty`, with the head of the GET.
    pub body: Body,
    /// For the access line, the metrics and the audit stream.
    pub record: Record,
}

impl Reply {
    /// An answer with the standard reason phrase of its status.
    #[must_use]
    pub fn new(status: StatusCode, head: HeaderMap, body: Body, record: Record) -> Self {
        Self {
            status,
            reason: None,
            head: Arc::new(head.into()),
            body,
            record,
        }
    }
}

/// The content of an answer.
#[derive(Debug)]
pub enum Body {
    /// Nothing (HEAD, 304, 204).
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// `length` bytes of a file on disk, from `start`.
    File {
        /// The open file.
        file: Arc<StoredFile>,
        /// First byte.
        start: u64,
        /// How many.
        length: u64,
    },
    /// A file that is still arriving, from `start`; `length` is `None` while it is unknown.
    Growing {
        /// The file being filled.
        growing: Arc<Growing>,
        /// First byte.
        start: u64,
        /// How many, if the head promises it.
        length: Option<u64>,
    },
}

/// How a request was answered, for operators.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Which kind of route.
    pub route: Route,
    /// The asked index.
    pub index: Option<IndexName>,
    /// The asked project.
    pub project: Option<ProjectName>,
    /// The asked file.
    pub file: Option<Arc<str>>,
    /// The digest of that file, if its page states one.
    pub sha256: Option<Sha256>,
    /// What the caches did.
    pub cache: CacheResult,
    /// What the policies said.
    pub decision: Decision,
    /// The rule that refused, or would have.
    pub rule: Option<Arc<Ruled>>,
    /// By whom, if they logged in or tried to add or remove content; and why that was refused.
    pub attempt: Option<Arc<Attempt>>,
    /// How long the upstream took, if it was asked.
    pub upstream: Option<Duration>,
}

/// A refusal by a rule, or what would be one if its policy did more than audit.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruled {
    /// The policy's name, or the key of an index.
    pub policy: Arc<str>,
    /// What the rule is called.
    pub rule: Arc<str>,
    /// Why it refuses.
    pub reason: Arc<str>,
    /// The version of the file, if it is about one.
    pub version: Option<Arc<str>>,
    /// All of it, for the page that people see.
    pub denial: Denial,
}

impl Route {
    /// That of a file, by what is asked of it.
    #[must_use]
    pub fn of_file(part: AskedPart) -> Self {
        match part {
            AskedPart::Whole => Self::File,
            AskedPart::Metadata => Self::Sidecar,
            AskedPart::Provenance => Self::Provenance,
        }
    }
}

impl Ruled {
    /// What is recorded of a refusal.
    #[must_use]
    pub fn by(denial: &Denial) -> Arc<Self> {
        Arc::new(Self {
            policy: Arc::clone(&denial.rule.policy),
            rule: Arc::clone(&denial.rule.name),
            reason: denial.reason().into(),
            version: denial.subject.version().map(Arc::from),
            denial: denial.clone(),
        })
    }
}

/// Who asked, and why an attempt to add or remove content was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Who, if known.
    pub user: Option<Arc<str>>,
    /// By which token.
    pub token: Option<Arc<str>>,
    /// Why that was refused, in words; `None` if it was not.
    pub why: Option<Arc<str>>,
}

labels! {
    /// Kinds of routes, as the metrics name them.
    #[derive(Default)]
    Route {
        /// The project list.
        ProjectList = "project_list",
        /// A project page.
        ProjectPage = "project_page",
        /// A file.
        File = "file",
        /// A sidecar.
        Sidecar = "sidecar",
        /// The provenance of a file.
        Provenance = "provenance",
        /// Read-only JSON.
        Api = "api",
        /// Pages for people.
        Web = "web",
        /// Questions about advisories.
        Osv = "osv",
        /// Everything that changes something.
        Manage = "manage",
        /// No such route.
        #[default]
        Other = "other",
    }

    /// What the policies said.
    #[derive(Default)]
    Decision {
        /// There was nothing to decide.
        #[default]
        None = "none",
        /// It passes.
        Allow = "allow",
        /// It passes, because the policy only audits.
        Audit = "audit",
        /// Refused.
        Deny = "deny",
    }
}

/// What the caches did (RFC 9211).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CacheResult {
    /// No cache was looked at.
    #[default]
    Bypass,
    /// Answered from what is held.
    Hit,
    /// Held, and upstream confirmed that it is current.
    Revalidated,
    /// Fetched.
    Miss,
    /// Another request was fetching it already.
    Collapsed,
    /// It differs from what its sources would say now.
    Stale(Staleness),
}

impl CacheResult {
    /// The worse of two: `Hit` is the best that can be said about several sources, `Stale` the worst.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |cache: Self| match cache {
            Self::Bypass => 0,
            Self::Hit => 1,
            Self::Collapsed => 2,
            Self::Revalidated => 3,
            Self::Miss => 4,
            Self::Stale(Staleness::Updating) => 5,
            Self::Stale(Staleness::Vanished) => 6,
            Self::Stale(Staleness::Offline) => 7,
            Self::Stale(Staleness::Partial) => 8,
            Self::Stale(Staleness::Late) => 9,
            Self::Stale(Staleness::Error) => 10,
        };
        if rank(other) > rank(self) {
            other
        } else {
            self
        }
    }

    /// Fetched, for the request that led the flight; for all others it was under way already.
    #[must_use]
    pub fn fetched(led: bool) -> Self {
        if led { Self::Miss } else { Self::Collapsed }
    }

    /// Why it is stale, where it is.
    #[must_use]
    pub fn staleness(self) -> Option<Staleness> {
        match self {
            Self::Stale(why) => Some(why),
            Self::Bypass | Self::Hit | Self::Revalidated | Self::Miss | Self::Collapsed => None,
        }
    }
}

impl Label for CacheResult {
    fn label(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Hit => "hit",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Collapsed => "collapsed",
            Self::Stale(Staleness::Updating) => "updating",
            Self::Stale(Staleness::Late) => "stale-late",
            Self::Stale(Staleness::Error) => "stale",
            Self::Stale(Staleness::Offline) => "stale-offline",
            Self::Stale(Staleness::Vanished) => "stale-vanished",
            Self::Stale(Staleness::Partial) => "stale-partial",
        }
    }
}
