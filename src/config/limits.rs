//! Every limit, its default and its reason: one table.
//!
//! The table makes the fields, the keys that `limits:` accepts, and their descriptions in the schema.
//! A limit of zero would mean "nothing works" or "no limit" depending on who reads it, so each has a
//! least value instead.

use std::time::Duration;

use crate::model::{Fault, format_bytes};
use crate::policy::{Bytes, Fields, Notes, Placed, Word, YamlKey, key, one};

/// What a limit is to the code that keeps it.
trait Limit: Word + Copy + PartialOrd {
    type Plain;
    fn plain(self) -> Self::Plain;
}

impl Limit for Bytes {
    type Plain = u64;
    fn plain(self) -> u64 {
        self.0
    }
}

impl Limit for Duration {
    type Plain = Self;
    fn plain(self) -> Self {
        self
    }
}

impl Limit for u64 {
    type Plain = usize;
    fn plain(self) -> usize {
        usize::try_from(self).unwrap_or(usize::MAX)
    }
}

/// The same as `Limit::Plain`, in words that may be public.
macro_rules! plain {
    (Bytes) => {
        u64
    };
    (Duration) => {
        Duration
    };
    (u64) => {
        usize
    };
}

macro_rules! limits {
    ($($name:ident: $kind:ident, $default:literal, at least $least:literal, $reason:literal;)*) => {
        /// The limits in force.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Limits { $($name: $kind,)* }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: literal($default),)* }
            }
        }

        impl Limits {
            $(
                #[doc = $reason]
                #[must_use]
                pub fn $name(&self) -> plain!($kind) {
                    self.$name.plain()
                }
            )*

            /// Takes over what `limits:` says; what it does not name stays as it is. Returns the
            /// keys that it named.
            pub(super) fn read(&mut self, fields: &Fields<'_>, notes: &mut Notes) -> Vec<Placed<&'static str>> {
                let mut named = Vec::new();
                $(
                    if let Some(placed) = fields.placed::<$kind>(stringify!($name), notes) {
                        let least: $kind = literal($least);
                        if placed.value < least {
                            let what = concat!("limits.", stringify!($name), " must be at least ", $least);
                            notes.note(Fault::at(&placed.location, what));
                        }
                        self.$name = placed.value;
                        named.push(Placed { value: stringify!($name), location: placed.location });
                    }
                )*
                self.agree(&named, notes);
                named
            }
        }

        /// The keys of `limits:`.
        #[rustfmt::skip]
        pub(super) const LIMITS: &[YamlKey] = &[
            $(key(stringify!($name), one::<$kind>(), $default, $reason),)*
        ];

        #[cfg(test)]
        const LEAST: &[(&str, &str)] = &[$((stringify!($name), $least),)*];
    };
}

impl Limits {
    /// Whether nothing differs but what an upstream takes over with a reload. Devpi-servers, for which
    /// `upstream_read_timeout` holds too, are asked as the start said.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let like = Self {
            upstream_connections: self.upstream_connections,
            upstream_connect_timeout: self.upstream_connect_timeout,
            upstream_total_timeout: self.upstream_total_timeout,
            upstream_list_timeout: self.upstream_list_timeout,
            upstream_min_rate: self.upstream_min_rate,
            upstream_idle_timeout: self.upstream_idle_timeout,
            upstream_retries: self.upstream_retries,
            upstream_retry_time: self.upstream_retry_time,
            upstream_failures: self.upstream_failures,
            upstream_cool_off: self.upstream_cool_off,
            upstream_cool_off_max: self.upstream_cool_off_max,
            redirects: self.redirects,
            ..other.clone()
        };
        like == *self
    }

    /// Half of `decoding` is one reader's at a time, and no single answer may need more: it would wait
    /// for room that never comes.
    fn agree(&self, named: &[Placed<&'static str>], notes: &mut Notes) {
        for (name, bytes) in [
            ("page", self.page()),
            ("project_list", self.project_list()),
            ("metadata", self.metadata()),
        ] {
            let mut about = named.iter();
            let about = about.rfind(|named| named.value == name || named.value == "decoding");
            if let Some(about) = about.filter(|_| bytes > self.decoding() / 2) {
                let bytes = format_bytes(bytes);
                let what = format!(
                    "limits.{name} is {bytes}, and limits.decoding has to be at least twice as much"
                );
                notes.note(Fault::at(&about.location, what));
            }
        }
    }
}

/// A value of the table below.
fn literal<T: Word>(text: &str) -> T {
    T::read(text).expect("the table's own values read, as a test shows")
}

limits! {
    // What a client sends.
    head: Bytes, "64KiB", at least "1KiB",
        "request line and headers: room for any installer and the headers of proxies before us";
    uri: Bytes, "8KiB", at least "256B",
        "path and query of a request: the longest file URL is below 1KiB";
    proxy_header: Bytes, "2KiB", at least "232B",
        "header of the PROXY protocol: two addresses and what load balancers add take a few hundred";
    head_timeout: Duration, "10s", at least "100ms",
        "from a connection's first byte to the end of a request's head, however slowly it drips";
    idle_timeout: Duration, "60s", at least "1s",
        "how long a connection may wait for its next request: longer than an installer thinks";
    request_timeout: Duration, "1h", at least "1s",
        "from a request's head to the last byte of its answer: the largest file over a slow line";
    send_timeout: Duration, "60s", at least "100ms",
        "without a byte taken of an answer: whoever reads at all, however slowly, takes one in this time";
    min_send_rate: Bytes, "1KiB", at least "1B",
        "bytes a second that a client must take while it is answered: slower is gone or hostile";
    min_receive_rate: Bytes, "1KiB", at least "1B",
        "bytes a second that a client must send of a body: an upload that drips holds a place";
    connections: u64, "10000", at least "1",
        "open connections at a door: what memory bears; each is an open file, whose limit is raised at start";
    connections_per_address: u64, "1000", at least "1",
        "open connections of one address: a whole office behind one router, not more";
    requests_per_connection: u64, "10000", at least "1",
        "requests before a connection is closed: lets load balancers move clients";
    upload: Bytes, "1GiB", at least "1KiB",
        "one uploaded file: larger than all but a few wheels";
    uploads: u64, "32", at least "1",
        "uploads taken in at once: each holds a thread and a temporary file while its client sends";
    upload_wait: Duration, "60s", at least "0s",
        "how long one upload more waits for its turn before it is told to come back";
    anonymous_results: u64, "100", at least "0",
        "test results of one release by people who did not log in: as devpi, everybody may add them";
    anonymous_results_size: Bytes, "64MiB", at least "0B",
        "what these results may hold together: one has some hundred kilobytes";
    upload_fields: Bytes, "4MiB", at least "64KiB",
        "the fields beside an uploaded file, held in memory: mostly a long description";
    api_body: Bytes, "1MiB", at least "1KiB",
        "one JSON body on the management door: index configurations are far below";
    // What an upstream sends.
    page: Bytes, "64MiB", at least "64KiB",
        "one project page of an upstream, unpacked: the largest known are below 20MiB";
    project_list: Bytes, "128MiB", at least "64KiB",
        "an upstream's list of projects, unpacked: some 40MiB today, growing";
    metadata: Bytes, "16MiB", at least "64KiB",
        "one core metadata file: a description can be long, not that long";
    decoding: Bytes, "256MiB", at least "1MiB",
        "what is being unpacked and read of all upstreams' answers, and of archives, at once: more waits its turn";
    decoding_wait: Duration, "30s", at least "0s",
        "how long an archive waits for its turn to be read before its client is told to come back";
    file: Bytes, "16GiB", at least "1MiB",
        "one file of an upstream: several times the largest wheel";
    fills: u64, "64", at least "1",
        "files fetched at once, none of one upstream beyond half of what is free: more share the line without being faster";
    fill_wait: Duration, "60s", at least "0s",
        "how long one file more waits for its turn: installers' own retries wait about as long";
    fill_rate: Bytes, "64KiB", at least "1B",
        "bytes a second below which a file that nobody reads any more gives its place to one that waits";
    flights: u64, "4096", at least "1",
        "pages being asked for at once: beyond it a client is told to try later";
    upstream_connections: u64, "128", at least "1",
        "idle connections kept to one upstream: reuse spares handshakes";
    upstream_connect_timeout: Duration, "5s", at least "100ms",
        "to connect to an upstream, TLS included: one lost packet and its repeat";
    upstream_read_timeout: Duration, "30s", at least "100ms",
        "without a byte from an upstream, for pages and files alike: one that thinks longer is down";
    upstream_total_timeout: Duration, "60s", at least "1s",
        "one page of an upstream, retries included: a client waits no longer either";
    upstream_list_timeout: Duration, "2m", at least "1s",
        "an upstream's list of projects, retries included: hundreds of thousands of names over a slow line";
    upstream_min_rate: Bytes, "1KiB", at least "1B",
        "bytes a second of a file that an upstream must send: one that drips for ever would hold a place for ever";
    upstream_idle_timeout: Duration, "50s", at least "1s",
        "how long an idle connection to an upstream is kept: less than servers do, who would close it as it is used";
    upstream_retries: u64, "2", at least "0",
        "further attempts after a failure that may pass: three in all";
    upstream_retry_time: Duration, "6s", at least "0s",
        "no further attempt begins later than this after the first: installers give up after ten";
    upstream_failures: u64, "5", at least "1",
        "failures in a row after which a host is left alone; those of one address count once";
    upstream_cool_off: Duration, "1s", at least "100ms",
        "how long a host is left alone at first: a restart takes a second, and installers wait for few";
    upstream_cool_off_max: Duration, "30s", at least "100ms",
        "to which the time grows, doubling, while each attempt fails: what is back should be seen soon";
    devpi_requests: u64, "40", at least "1",
        "requests under way at one devpi-server: its 50 threads, less some for who asks it directly";
    devpi_connect_timeout: Duration, "2s", at least "100ms",
        "to connect to a devpi-server: these are near, and another one can answer";
    redirects: u64, "5", at least "0",
        "redirects followed for one request: indexes use one or two";
    // Ourselves.
    collect_after: Duration, "10m", at least "100ms",
        "how old bytes without a record are before they go, and how often they are looked for: it reads every name";
    watches: u64, "1024", at least "0",
        "folders of configuration and advisories that the system reports changes in: it has few for all programs; in the others changes are looked for";
    watch_interval: Duration, "10s", at least "100ms",
        "how often changes are looked for that no system reports, as of a file another machine writes";
    checked_first: Bytes, "8MiB", at least "64KiB",
        "held file that is checked before its first byte when it is read for the first time since the start: some ten milliseconds; of larger ones the end waits";
    verify_pace: Bytes, "4MiB", at least "0B",
        "bytes a second at which kept files are read again in the background, once a day at most, to find what the disk has damaged: a terabyte in three days, a few per cent of a slow disk; none at 0B";
    disk_reserve: Bytes, "64MiB", at least "0B",
        "kept free on the disk of the data folder by letting mirror files go: records and audit need room too";
    grace_period: Duration, "30s", at least "0s",
        "for requests in flight when the server stops: below what supervisors wait before a kill";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Node;

    fn read(text: &str) -> (Limits, Notes) {
        let mut notes = Notes::default();
        let node = Node::parse(&"c.yaml".into(), text).unwrap();
        let fields = notes.fields(&node, &[LIMITS]);
        let mut limits = Limits::default();
        limits.read(&fields, &mut notes);
        (limits, notes)
    }

    #[test]
    fn the_table_reads_and_every_default_is_at_least_its_least() {
        let limits = Limits::default();
        assert_eq!((limits.head(), limits.connections()), (64 << 10, 10_000));
        assert_eq!(limits.idle_timeout(), Duration::from_mins(1));
        for (key, (name, least)) in LIMITS.iter().zip(LEAST) {
            assert_eq!(key.name, *name);
            for value in [key.default, least] {
                // The least budget is for the least answers.
                let small = match (*name, value) {
                    ("decoding", value) if value == *least => {
                        "\npage: 64KiB\nproject_list: 64KiB\nmetadata: 64KiB"
                    }
                    _ => "",
                };
                let (_, notes) = read(&format!("{name}: {value}{small}"));
                assert_eq!(notes.faults.to_string(), "", "{name}: {value}");
            }
        }
    }

    #[test]
    fn what_is_named_changes_and_nothing_else() {
        let (limits, notes) = read("upload: 2GiB\nhead_timeout: 3");
        assert_eq!(notes.faults.to_string(), "");
        assert_eq!(limits.upload(), 2 << 30);
        assert_eq!(limits.head_timeout(), Duration::from_secs(3));
        assert_eq!(limits.uri(), Limits::default().uri());
    }

    #[test]
    fn no_answer_may_need_more_than_half_of_what_all_may() {
        let (_, notes) = read("page: 200MiB\nmetadata: 128MiB");
        insta::assert_snapshot!(notes.faults.or(()).unwrap_err(), @"c.yaml:1:7: limits.page is 200MiB, and limits.decoding has to be at least twice as much");
        let (_, notes) = read("decoding: 100MiB");
        insta::assert_snapshot!(notes.faults.or(()).unwrap_err(), @"
        c.yaml:1:11: limits.page is 64MiB, and limits.decoding has to be at least twice as much
        c.yaml:1:11: limits.project_list is 128MiB, and limits.decoding has to be at least twice as much
        ");
        let (_, notes) = read("page: 200MiB\ndecoding: 400MiB");
        assert_eq!(notes.faults.to_string(), "");
    }

    #[test]
    fn a_limit_that_stops_everything_is_a_fault() {
        let (_, notes) = read("connections: 0\nupload: 10GB\nuplaod: 1GiB\npage: lots");
        insta::assert_snapshot!(notes.faults.or(()).unwrap_err(), @r#"
        c.yaml:1:14: limits.connections must be at least 1
        c.yaml:3:1: unknown key "uplaod", did you mean "upload"?
        c.yaml:4:7: page: "lots" is not a size such as 20MiB or 1GiB
        "#);
    }
}
