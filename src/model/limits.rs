//! Every limit, its default and its reason: one table, in the parts that rooms take.
//!
//! The table makes the parts, and the keys of `limits:` that `config` reads and describes. A limit without
//! a least value is not a key, since nobody has a reason to set it. A limit of zero would mean "nothing
//! works" or "no limit" depending on the reader, so each key has a least value instead.

use std::time::Duration;

use crate::model::units::{parse_bytes, parse_duration};

/// A limit that operators may set.
#[derive(Debug)]
pub struct LimitRow {
    /// Its key.
    pub key: &'static str,
    /// How it is written.
    pub unit: LimitUnit,
    /// The value when none is set, as it would be written.
    pub default: &'static str,
    /// A smaller value is a fault.
    pub least: &'static str,
    /// One sentence, without a full stop.
    pub reason: &'static str,
}

/// How a limit is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitUnit {
    /// As a size.
    Bytes,
    /// As a duration.
    Time,
    /// As a number.
    Count,
}

impl LimitUnit {
    /// A value from the table: bytes, milliseconds, or a count.
    #[must_use]
    pub fn number(self, text: &str) -> u64 {
        let number = match self {
            Self::Bytes => parse_bytes(text).ok(),
            Self::Time => parse_duration(text).ok().map(milliseconds),
            Self::Count => text.parse().ok(),
        };
        number.expect("the table's own values read, as a test shows")
    }
}

/// A duration in the unit of limits.
#[must_use]
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How a limit is represented in the code that enforces it.
trait Limit {
    fn of(number: u64) -> Self;
}

impl Limit for u64 {
    fn of(number: u64) -> Self {
        number
    }
}

impl Limit for usize {
    fn of(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
}

impl Limit for u32 {
    fn of(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
}

impl Limit for Duration {
    fn of(number: u64) -> Self {
        Self::from_millis(number)
    }
}

macro_rules! limits {
    ($($(#[$doc:meta])* $part:ident: $type:ident {
        $($name:ident: $kind:ident in $unit:ident, $default:literal, $(at least $least:literal,)? $reason:literal;)*
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq)]
            pub struct $type {
                $(#[doc = $reason] pub $name: $kind,)*
            }

            impl Default for $type {
                fn default() -> Self {
                    Self { $($name: Limit::of(LimitUnit::$unit.number($default)),)* }
                }
            }
        )*

        /// The limits in force.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Limits {
            $($(#[$doc])* pub $part: $type,)*
        }

        impl Limits {
            /// Sets one, by its key: bytes, milliseconds, or a count.
            pub fn set(&mut self, key: &str, number: u64) {
                match key {
                    $($(stringify!($name) => self.$part.$name = Limit::of(number),)*)*
                    _ => debug_assert!(false, "{key} is in no row"),
                }
            }
        }

        /// The limits that operators may set, in the order in which they are described.
        pub const LIMITS: &[LimitRow] = &[$($($(LimitRow {
            key: stringify!($name),
            unit: LimitUnit::$unit,
            default: $default,
            least: $least,
            reason: $reason,
        },)?)*)*];
    };
}

limits! {
    /// What a client may take of a door.
    door: DoorLimits {
        head: usize in Bytes, "64KiB", at least "1KiB",
            "request line and headers: room for any installer and the headers of proxies before us";
        uri: usize in Bytes, "8KiB", at least "256B",
            "path and query of a request: the longest file URL is below 1KiB";
        proxy_header: usize in Bytes, "2KiB", at least "232B",
            "header of the PROXY protocol: two addresses and what load balancers add take a few hundred";
        head_timeout: Duration in Time, "10s", at least "100ms",
            "from a connection's first byte to the end of a request's head, however slowly it drips";
        idle_timeout: Duration in Time, "60s", at least "1s",
            "how long a connection may wait for its next request: longer than an installer thinks";
        request_timeout: Duration in Time, "1h", at least "1s",
            "from a request's head to the last byte of its answer: the largest file over a slow line";
        send_timeout: Duration in Time, "60s", at least "100ms",
            "without a byte taken of an answer: whoever reads at all, however slowly, takes one in this time";
        min_send_rate: u64 in Bytes, "1KiB", at least "1B",
            "bytes a second that a client must take while it is answered: slower is gone or hostile";
        min_receive_rate: u64 in Bytes, "1KiB", at least "1B",
            "bytes a second that a client must send of a body: an upload that drips holds a place";
        connections: usize in Count, "10000", at least "1",
            "open connections at a door: what memory bears; each is an open file, whose limit is raised at start";
        connections_per_address: usize in Count, "1000", at least "1",
            "open connections of one address: a whole office behind one router, not more";
        requests_per_connection: u32 in Count, "10000", at least "1",
            "requests before a connection is closed: lets load balancers move clients";
        send_grace: Duration in Time, "10s",
            "what each piece of an answer, and the whole of a body, may take before a rate is looked at: none is judged by its first bytes";
    }
    /// Limits on writes.
    writes: WriteLimits {
        upload: u64 in Bytes, "1GiB", at least "1KiB",
            "one uploaded file: larger than all but a few wheels";
        uploads: usize in Count, "32", at least "1",
            "uploads taken in at once: each holds a thread and a temporary file while its client sends";
        upload_wait: Duration in Time, "60s", at least "0s",
            "how long one upload more waits for its turn before it is told to come back";
        anonymous_results: usize in Count, "100", at least "0",
            "test results of one release by people who did not log in: as devpi, everybody may add them";
        anonymous_results_size: u64 in Bytes, "64MiB", at least "0B",
            "what these results may hold together: one has some hundred kilobytes";
        upload_fields: usize in Bytes, "4MiB", at least "64KiB",
            "the fields beside an uploaded file, held in memory: mostly a long description";
        api_body: usize in Bytes, "1MiB", at least "1KiB",
            "one JSON body on the management door: index configurations are far below";
    }
    /// What one upstream may cost.
    upstream: UpstreamLimits {
        page: u64 in Bytes, "64MiB", at least "64KiB",
            "one project page of an upstream, unpacked: the largest known are below 20MiB";
        project_list: u64 in Bytes, "128MiB", at least "64KiB",
            "an upstream's list of projects, unpacked: some 40MiB today, growing";
        metadata: u64 in Bytes, "16MiB", at least "64KiB",
            "one core metadata file: a description can be long, not that long";
        file: u64 in Bytes, "16GiB", at least "1MiB",
            "one file of an upstream: several times the largest wheel";
        redirects: u32 in Count, "5", at least "0",
            "redirects followed for one request: indexes use one or two";
        upstream_connections: usize in Count, "128", at least "1",
            "idle connections kept to one upstream: reuse spares handshakes";
        upstream_connect_timeout: Duration in Time, "5s", at least "100ms",
            "to connect to an upstream, TLS included: one lost packet and its repeat";
        upstream_read_timeout: Duration in Time, "30s", at least "100ms",
            "without a byte from an upstream, for pages and files alike: one that thinks longer is down";
        upstream_total_timeout: Duration in Time, "60s", at least "1s",
            "one page of an upstream, retries included: a client waits no longer either";
        upstream_list_timeout: Duration in Time, "2m", at least "1s",
            "an upstream's list of projects, retries included: hundreds of thousands of names over a slow line";
        upstream_min_rate: u64 in Bytes, "1KiB", at least "1B",
            "bytes a second of a file that an upstream must send: one that drips for ever would hold a place for ever";
        upstream_idle_timeout: Duration in Time, "50s", at least "1s",
            "how long an idle connection to an upstream is kept: less than servers do, who would close it as it is used";
        upstream_retries: u32 in Count, "2", at least "0",
            "further attempts after a failure that may pass: three in all";
        upstream_retry_time: Duration in Time, "6s", at least "0s",
            "no further attempt begins later than this after the first: installers give up after ten";
        upstream_failures: u32 in Count, "5", at least "1",
            "failures in a row after which a host is left alone; those of one address count once";
        upstream_cool_off: Duration in Time, "1s", at least "100ms",
            "how long a host is left alone at first: a restart takes a second, and installers wait for few";
        upstream_cool_off_max: Duration in Time, "30s", at least "100ms",
            "to which the time grows, doubling, while each attempt fails: what is back should be seen soon";
        retry_pause: Duration in Time, "200ms",
            "the longest first pause before another attempt, each further one twice as long: a connection that was lost is a matter of moments";
        retry_after_max: Duration in Time, "3s",
            "the longest wish of an upstream to be asked later that is granted: clients would not wait for more";
    }
    /// What may be fetched and unpacked at one time, in all.
    work: WorkLimits {
        decoding: u64 in Bytes, "256MiB", at least "1MiB",
            "what is being unpacked and read of all upstreams' answers, and of archives, at once: more waits its turn";
        decoding_wait: Duration in Time, "30s", at least "0s",
            "how long an archive waits for its turn to be read before its client is told to come back";
        fills: usize in Count, "64", at least "1",
            "files fetched at once, none of one upstream beyond half of what is free: more share the line without being faster";
        fill_wait: Duration in Time, "60s", at least "0s",
            "how long one file more waits while none of its upstream comes to its end; a line that moves is waited in as long as the client does";
        fills_waiting: usize in Count, "10000", at least "1",
            "different files that are waited for before they begin to arrive, places and line together: as many as a door has connections";
        fill_rate: u64 in Bytes, "64KiB", at least "1B",
            "bytes a second below which a file that nobody reads any more gives its place to one that waits";
        flights: usize in Count, "4096", at least "1",
            "pages being asked for at once: beyond it a client is told to try later";
        inquiries: usize in Count, "64", at least "1",
            "wheels that one page has looked into for licences or startup files, the newest first: all of a large release; the next request for the page goes on";
        inquiry_wait: Duration in Time, "5s", at least "0s",
            "how long a page waits for that: half of what installers wait for a page";
        checked_first: u64 in Bytes, "8MiB", at least "64KiB",
            "held file that is checked before its first byte when it is read for the first time since the start: some ten milliseconds; of larger ones the end waits";
    }
    /// Limits that protect devpi-servers.
    fleet: FleetLimits {
        devpi_requests: usize in Count, "40", at least "1",
            "requests under way at one devpi-server: its 50 threads, less some for who asks it directly";
        devpi_connect_timeout: Duration in Time, "2s", at least "100ms",
            "to connect to a devpi-server: these are near, and another one can answer";
    }
    /// Limits on the program's own work.
    own: OwnLimits {
        collect_after: Duration in Time, "10m", at least "100ms",
            "how old bytes without a record are before they go, and how often they are looked for: it reads every name";
        watches: usize in Count, "1024", at least "0",
            "folders of configuration and advisories that the system reports changes in: it has few for all programs; in the others changes are looked for";
        watch_interval: Duration in Time, "10s", at least "100ms",
            "how often changes are looked for that no system reports, as of a file another machine writes";
        verify_pace: u64 in Bytes, "4MiB", at least "0B",
            "bytes a second at which kept files are read again in the background, once a day at most, to find what the disk has damaged: a terabyte in three days, a few per cent of a slow disk; none at 0B";
        disk_reserve: u64 in Bytes, "64MiB", at least "0B",
            "kept free on the disk of the data folder by letting mirror files go: records and audit need room too";
        grace_period: Duration in Time, "30s", at least "0s",
            "for requests in flight when the server stops: below what supervisors wait before a kill";
    }
    /// How the journal is written.
    journal: JournalLimits {
        journal_batch: Duration in Time, "500ms",
            "how long entries gather before they are written together: with the writing, less than the second that a crash may cost";
        journal_waiting: usize in Count, "8192",
            "entries of one thread, of sixteen at most, that wait for the disk: what a second brings at most, some megabytes";
        journal_retry: Duration in Time, "1s",
            "time between two attempts while the journal cannot be written";
        journal_round: Duration in Time, "60s",
            "how often what is too old is looked for";
        journal_names: usize in Count, "65536",
            "names in each side table whose number is remembered: what an office installs in a day";
        journal_refusals: u32 in Count, "1000",
            "rows of refusals a minute of one client's network; the rest is counted in one: a flood must not push out what others were delivered";
        journal_removed: u64 in Count, "20000",
            "rows removed, or pages given back, in one transaction: a fraction of a second, in which nothing is written";
        journal_removals: u32 in Count, "5",
            "such transactions between two writes: more than are written meanwhile";
        journal_set_aside: usize in Count, "2",
            "damaged journals that are kept: the first shows what happened, the second that it happened again";
        journal_last_write: Duration in Time, "5s",
            "for the last entries when the server stops: a disk that takes longer does not take them";
    }
    /// What a feed of advisories may cost, and the questions that clients ask about them.
    feed: FeedLimits {
        feed: u64 in Bytes, "512MiB", at least "1KiB",
            "one feed of advisories as it is sent: several times OSV's zip for Python";
        feed_unpacked: u64 in Bytes, "4GiB", at least "1KiB",
            "all documents of a feed's zip, unpacked one after the other: some kilobytes for each of a million";
        feed_entries: usize in Count, "1000000", at least "1",
            "documents in a feed's zip: several times what is known about Python, malware included";
        feed_document: u64 in Bytes, "16MiB", at least "1KiB",
            "one document of a feed's zip: the longest list the versions of hundreds of projects";
        feed_json: u64 in Bytes, "64MiB", at least "1KiB",
            "a feed that is one JSON file: it is read whole";
        feed_ratio: u32 in Count, "200", at least "1",
            "how many times longer an unpacked document of a megabyte may be than its packed bytes: a bomb is packed a thousandfold";
        feed_timeout: Duration in Time, "10m", at least "1s",
            "to fetch one feed: its limit over a slow line";
        feed_retry: Duration in Time, "1m", at least "100ms",
            "pause before a feed that failed is asked again, doubling up to its `every`: what is back should be seen soon";
        feed_shrunk: Duration in Time, "1d", at least "0s",
            "how long a feed has to have less than half of what is held before it is believed: an export that broke is mended within a day";
        feeds: usize in Count, "16",
            "feeds in all: there are few sources, and each is held in memory";
        osv_body: usize in Bytes, "1MiB", at least "1KiB",
            "one question about advisories at /+osv: a thousand of the longest names and versions";
        osv_queries: usize in Count, "1000",
            "releases in one question, as at OSV: clients split what is longer";
        osv_answers: usize in Count, "3000",
            "advisories in one answer, as at OSV: the rest comes with the next page";
    }
    /// What is told to webhooks.
    notify: NotifyLimits {
        notify_gather: Duration in Time, "10s", at least "10ms",
            "how long events gather before they are posted: a build asks for a refused file many times within seconds";
        notify_waiting: usize in Count, "1000", at least "1",
            "different events that wait for one webhook, some hundred kilobytes; what is more is counted and left out: nobody reads a thousand";
        notify_batch: usize in Count, "100", at least "1",
            "events in one post: some tens of kilobytes, which chats and trackers take";
        notify_timeout: Duration in Time, "10s", at least "100ms",
            "for one post and its answer: a webhook has to note it down, not to work on it";
        notify_retry: Duration in Time, "1s", at least "10ms",
            "pause before a post that failed is tried again, doubling";
        notify_retry_max: Duration in Time, "5m", at least "10ms",
            "to which that pause grows: what is back should be told soon";
        notify_keep: Duration in Time, "6h", at least "0s",
            "how long a post is tried again before it is dropped: a chat that is down in the night is back by then";
        notify_stop: Duration in Time, "3s", at least "0s",
            "for what waits when the server stops: a webhook that takes longer is not told of it";
    }
    /// What is searched, and how much of it at one time.
    search: SearchLimits {
        search_memory: u64 in Bytes, "256MiB", at least "1MiB",
            "names and what releases say of themselves, half for what mirrors list and half for the rest: several times what a million names and a hundred thousand projects take";
        searches: usize in Count, "4", at least "1",
            "searches at one time: each takes milliseconds of a processor that installers need";
        search_body: usize in Bytes, "64KiB", at least "1KiB",
            "one question of pip search: it has some hundred bytes";
        search_follow: Duration in Time, "1s",
            "how often what is new is looked for: an upload should be found while who made it still looks";
        search_lists: Duration in Time, "1h",
            "how often mirrors are asked for their lists because somebody searches: some megabytes each";
    }
    /// How much of the audit log is kept.
    audit: AuditLimits {
        changes_file: u64 in Bytes, "64MiB",
            "one file of logins and changes: a quarter of a million of them";
        changes_files: u32 in Count, "15",
            "full files of them: a gibibyte in all";
        refusals_file: u64 in Bytes, "32MiB",
            "one file of what was refused";
        refusals_files: u32 in Count, "7",
            "full files of that: a quarter of the other, since whoever may ask can fill them";
    }
}

impl DoorLimits {
    /// How long sending this many bytes may take.
    #[must_use]
    pub fn send_time(&self, bytes: usize) -> Duration {
        let seconds = bytes as f64 / self.min_send_rate.max(1) as f64;
        self.send_grace + Duration::from_secs_f64(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_has_its_grace_and_its_share() {
        let limits = DoorLimits {
            min_send_rate: 1024,
            send_grace: Duration::from_secs(10),
            ..DoorLimits::default()
        };
        assert_eq!(limits.send_time(0), Duration::from_secs(10));
        assert_eq!(limits.send_time(256 << 10), Duration::from_secs(266));
        let careless = DoorLimits {
            min_send_rate: 0,
            ..limits
        };
        assert_eq!(careless.send_time(5), Duration::from_secs(15));
    }

    /// The limits promised for a door that nobody configured.
    #[test]
    fn a_door_has_the_limits_of_the_table() {
        let limits = DoorLimits::default();
        assert_eq!((limits.head, limits.uri), (64 << 10, 8 << 10));
        assert_eq!(limits.head_timeout, Duration::from_secs(10));
        assert_eq!(limits.idle_timeout, Duration::from_mins(1));
        assert_eq!(limits.request_timeout, Duration::from_hours(1));
        assert_eq!(limits.send_timeout, Duration::from_mins(1));
        assert_eq!(limits.min_send_rate, 1 << 10);
        assert_eq!(limits.connections, 10_000);
        assert_eq!(limits.connections_per_address, 1_000);
        assert_eq!(limits.requests_per_connection, 10_000);
    }

    #[test]
    fn every_key_sets_a_limit_of_its_own() {
        for row in LIMITS {
            let mut limits = Limits::default();
            limits.set(row.key, row.unit.number(row.default));
            assert_eq!(limits, Limits::default(), "{}", row.key);
            limits.set(row.key, 7_777);
            assert_ne!(limits, Limits::default(), "{}", row.key);
        }
    }
}
