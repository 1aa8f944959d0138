//! The words used as labels: closed sets, never what a client sent.

use crate::model::DoorName;
use crate::telemetry::labels::labels;

/// One of a closed set of words.
pub trait Label: Copy {
    /// The word as metrics and log lines write it.
    fn label(self) -> &'static str;
}

/// A set whose words can be enumerated, so that each has a counter from the start.
pub trait LabelSet: Label + 'static {
    /// Every word.
    const ALL: &'static [Self];
}

impl LabelSet for DoorName {
    const ALL: &'static [Self] = &Self::ALL;
}

impl Label for DoorName {
    fn label(self) -> &'static str {
        self.as_str()
    }
}

labels! {
    /// Where something is kept.
    Tier {
        /// In memory.
        Memory = "memory",
        /// On disk or in a bucket.
        Store = "store",
    }

    /// What is kept.
    CacheKind {
        /// A rendered simple page or project list.
        Page = "page",
        /// What an upstream said about a project.
        Source = "source",
        /// A file.
        File = "file",
        /// A metadata sidecar.
        Sidecar = "sidecar",
    }

    /// Whose bytes the disk has changed or cannot read.
    Damage {
        /// A mirror's, which are fetched again.
        Mirror = "mirror",
        /// Uploaded ones.
        Private = "private",
        /// A page copy, a list or a sidecar, which is made again.
        Copy = "copy",
    }

    /// The result of a look-up in a cache.
    LookUp {
        /// It was there.
        Hit = "hit",
        /// It was not.
        Miss = "miss",
        /// It was not, and was already being fetched.
        Collapsed = "collapsed",
        /// It was, and had expired a moment ago: answered while it is renewed.
        Updating = "updating",
    }

    /// Why an answer differs from what its sources would say now.
    Staleness {
        /// It expired a moment ago and is being renewed behind the answer.
        Updating = "updating",
        /// Its upstream has not answered within `cache.patience`, and is being asked still.
        Late = "late",
        /// An upstream could not be asked.
        Error = "error",
        /// Nobody is asked: the gateway is offline.
        Offline = "offline",
        /// Upstream has dropped it, and its last good files are kept for a time.
        Vanished = "vanished",
        /// An optional mirror could not be asked and is left out.
        Partial = "partial",
    }

    /// The outcome of asking an upstream.
    UpstreamResult {
        /// 200 and understood.
        Fetched = "fetched",
        /// 304: what is held still holds.
        Unchanged = "unchanged",
        /// 404 or 410.
        Absent = "absent",
        /// Any other 4xx.
        Refused = "refused",
        /// 5xx.
        Failed = "failed",
        /// Too slow.
        Timeout = "timeout",
        /// Answered with something that is no page, or a file with the wrong digest or length.
        Invalid = "invalid",
    }

    /// What is asked of the depot.
    DepotRequest {
        /// To keep an object.
        Put = "put",
        /// To send an object.
        Get = "get",
        /// Whether there is an object, and how long it is.
        Head = "head",
        /// To remove an object.
        Remove = "remove",
        /// To list objects.
        List = "list",
        /// To show that it is fit to hold anything.
        Trial = "trial",
    }

    /// The outcome of asking the depot.
    DepotResult {
        /// It did what was asked.
        Done = "done",
        /// There is no such object.
        Absent = "absent",
        /// It could not be reached, or refused.
        Failed = "failed",
        /// What it sent, or holds, is not what its key says.
        Wrong = "wrong",
    }

    /// The outcome of a request to a devpi-server behind the gateway.
    ServerResult {
        /// It answered, whatever the answer.
        Answered = "answered",
        /// It reported trouble: 502, 503 or 504.
        Troubled = "troubled",
        /// No answer in time.
        Timeout = "timeout",
        /// No connection, or one that broke before an answer.
        Unreachable = "unreachable",
        /// Not sent: it already has as many requests as it may.
        Busy = "busy",
        /// Not sent: it failed repeatedly and is being left alone.
        Skipped = "skipped",
        /// The client aborted its request.
        Abandoned = "abandoned",
    }

    /// Whether a policy's decisions take effect.
    Mode {
        /// They do.
        Enforce = "enforce",
        /// They are recorded only.
        Audit = "audit",
    }

    /// Why a connection was turned away or cut.
    TurnedAway {
        /// Its address has too many connections.
        Address = "address",
        /// The TLS handshake failed or took too long.
        Handshake = "handshake",
        /// The request head took too long.
        HeadTime = "head_time",
        /// The request head is too large.
        HeadSize = "head_size",
        /// It takes its answer too slowly.
        Slow = "slow",
        /// It did not come from a proxy, at a door for proxies.
        Untrusted = "untrusted",
        /// A proxy did not say in time, or not correctly, for whom it speaks.
        Proxy = "proxy",
        /// No request was ever sent on it.
        Silent = "silent",
        /// It continued after being told that it had sent enough requests.
        Requests = "requests",
    }

    /// What is waited for.
    WaitFor {
        /// A place for an upload (`limits.uploads`).
        Uploads = "uploads",
        /// A place for a fetch from an upstream (`limits.fills`).
        Fills = "fills",
        /// A place for a fetch from the depot.
        Depot = "depot",
        /// Room to unpack and read an answer or an archive (`limits.decoding`).
        Decoding = "decoding",
        /// A place for a connection (`limits.connections`).
        Connections = "connections",
        /// A place at a devpi-server (`limits.devpi_requests`).
        DevpiRequests = "devpi_requests",
        /// An answer about the serial of the devpi-servers, which one request asks for all.
        DevpiSerial = "devpi_serial",
        /// A processor to hash a password on.
        Passwords = "passwords",
        /// The outcome of other attempts by the same user or address to log in.
        Logins = "logins",
        /// A turn to ask the directory of users.
        Directory = "directory",
        /// A turn to read a kept file and compare it with its digest.
        Checks = "checks",
        /// The turn to note what a file says about itself.
        Facts = "facts",
        /// The turn to write, or read, the copy of a page.
        PageCopies = "page_copies",
        /// A turn to render the description of a project.
        Descriptions = "descriptions",
        /// The turn to change indexes or policies.
        Indexes = "indexes",
        /// The turn to keep an anonymous test result.
        ToxResults = "tox_results",
        /// A connection that reads records.
        RecordsRead = "records_read",
        /// The connection that writes records.
        RecordsWrite = "records_write",
        /// The turn to change what the store holds, or to make room in it.
        Store = "store",
    }

    /// What an audit event is about.
    FeedResult {
        /// There was something new, and it is in force.
        New = "new",
        /// What is held is still the feed.
        Unchanged = "unchanged",
        /// It did not come, or could not be kept.
        Failed = "failed",
        /// It came and is of no use.
        Refused = "refused",
    }

    /// How a post to a webhook went.
    PostResult {
        /// It was taken.
        Delivered = "delivered",
        /// It may be taken later.
        Failed = "failed",
        /// It will never be.
        Refused = "refused",
    }

    /// What an audit event is about.
    AuditKind {
        /// A policy refused something, or an upload, push or deletion was refused.
        Denied = "denied",
        /// A policy in audit mode would have.
        WouldDeny = "would_deny",
        /// Somebody logged in.
        Login = "login",
        /// Somebody could not.
        LoginFailed = "login_failed",
        /// A file was uploaded.
        Upload = "upload",
        /// A release was pushed from one index to another.
        Push = "push",
        /// A file, release or project was removed.
        Delete = "delete",
        /// A user was created, changed or removed.
        User = "user",
        /// An index was created, changed or removed.
        Index = "index",
        /// A CI token was created or withdrawn.
        Token = "token",
        /// An export was imported.
        Import = "import",
        /// The policies were read again.
        Reload = "reload",
        /// A feed of advisories was exchanged.
        Feed = "feed",
        /// A feed of advisories did not come, was of no use, or is too old to be relied on.
        FeedTrouble = "feed_trouble",
        /// Something was recalled, or a recall was withdrawn.
        Recall = "recall",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distinct<L: Label>(all: &[L]) -> bool {
        let words: std::collections::HashSet<_> = all.iter().map(|one| one.label()).collect();
        words.len() == all.len()
    }

    #[test]
    fn no_two_variants_share_a_word() {
        assert!(distinct(LookUp::ALL) && distinct(Staleness::ALL) && distinct(WaitFor::ALL));
        assert!(distinct(Tier::ALL) && distinct(CacheKind::ALL));
        assert!(distinct(UpstreamResult::ALL) && distinct(Mode::ALL));
        assert!(
            distinct(TurnedAway::ALL) && distinct(AuditKind::ALL) && distinct(ServerResult::ALL)
        );
    }
}
