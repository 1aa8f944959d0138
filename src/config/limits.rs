//! `limits:`, read and described by the one table of limits.

use std::time::Duration;

use crate::language::{Bytes, Fields, Notes, Placed, Shape, YamlKey, key, one};
use crate::model::{Fault, LIMITS, LimitUnit, Limits, UpstreamLimits, format_bytes, milliseconds};

/// The keys of `limits:`.
pub(super) const LIMIT_KEYS: &[YamlKey] = &KEYS;

const KEYS: [YamlKey; LIMITS.len()] = {
    let mut keys = [const { key("", one::<u64>(), "", "") }; LIMITS.len()];
    let mut at = 0;
    while at < LIMITS.len() {
        let row = &LIMITS[at];
        keys[at] = key(row.key, shape(row.unit), row.default, row.reason);
        at += 1;
    }
    keys
};

const fn shape(unit: LimitUnit) -> Shape {
    match unit {
        LimitUnit::Bytes => one::<Bytes>(),
        LimitUnit::Time => one::<Duration>(),
        LimitUnit::Count => one::<u64>(),
    }
}

/// Applies what `limits:` says; anything it does not name stays. Returns the keys that it named.
pub(super) fn read(
    limits: &mut Limits,
    fields: &Fields<'_>,
    notes: &mut Notes,
) -> Vec<Placed<&'static str>> {
    let mut named = Vec::new();
    for row in LIMITS {
        let said = match row.unit {
            LimitUnit::Bytes => of(fields.placed(row.key, notes), |Bytes(bytes)| bytes),
            LimitUnit::Time => of(fields.placed(row.key, notes), milliseconds),
            LimitUnit::Count => of(fields.placed(row.key, notes), |count| count),
        };
        let Some(Placed { value, location }) = said else {
            continue;
        };
        if value < row.unit.number(row.least) {
            let what = format!("limits.{} must be at least {}", row.key, row.least);
            notes.note(Fault::at(&location, what));
        }
        limits.set(row.key, value);
        named.push(Placed {
            value: row.key,
            location,
        });
    }
    agree(limits, &named, notes);
    named
}

fn of<T>(said: Option<Placed<T>>, number: impl Fn(T) -> u64) -> Option<Placed<u64>> {
    said.map(|Placed { value, location }| Placed {
        value: number(value),
        location,
    })
}

/// At most half of `decoding` goes to one reader, and no single answer may need more: it would wait for
/// room that never comes.
fn agree(limits: &Limits, named: &[Placed<&'static str>], notes: &mut Notes) {
    let UpstreamLimits {
        page,
        project_list,
        metadata,
        ..
    } = limits.upstream;
    for (name, bytes) in [
        ("page", page),
        ("project_list", project_list),
        ("metadata", metadata),
    ] {
        let mut about = named.iter();
        let about = about.rfind(|named| named.value == name || named.value == "decoding");
        if let Some(about) = about.filter(|_| bytes > limits.work.decoding / 2) {
            let bytes = format_bytes(bytes);
            let what = format!(
                "limits.{name} is {bytes}, and limits.decoding has to be at least twice as much"
            );
            notes.note(Fault::at(&about.location, what));
        }
    }
}

/// Whether nothing differs except what an upstream takes over with a reload. Others keep what they were
/// given at the start: the bytes that they hold, and how long devpi-servers may stay silent.
pub(super) fn are_like(before: &Limits, after: &Limits) -> bool {
    let theirs = &after.upstream;
    let like = Limits {
        upstream: UpstreamLimits {
            page: theirs.page,
            project_list: theirs.project_list,
            metadata: theirs.metadata,
            file: theirs.file,
            upstream_read_timeout: theirs.upstream_read_timeout,
            ..before.upstream.clone()
        },
        ..after.clone()
    };
    like == *before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Node;

    fn read(text: &str) -> (Limits, Notes) {
        let mut notes = Notes::default();
        let node = Node::parse(&"c.yaml".into(), text).unwrap();
        let fields = notes.fields(&node, &[LIMIT_KEYS]);
        let mut limits = Limits::default();
        super::read(&mut limits, &fields, &mut notes);
        (limits, notes)
    }

    #[test]
    fn the_table_reads_and_every_default_is_at_least_its_least() {
        let limits = Limits::default();
        let door = &limits.door;
        assert_eq!((door.head, door.connections), (64 << 10, 10_000));
        assert_eq!(door.idle_timeout, Duration::from_mins(1));
        assert_eq!(LIMIT_KEYS.len(), LIMITS.len());
        for row in LIMITS {
            let (name, least) = (row.key, row.least);
            for value in [row.default, least] {
                // The smallest budget goes with the smallest answers.
                let small = match (name, value) {
                    ("decoding", value) if value == least => {
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
        assert_eq!(limits.writes.upload, 2 << 30);
        assert_eq!(limits.door.head_timeout, Duration::from_secs(3));
        assert_eq!(limits.door.uri, Limits::default().door.uri);
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
