//! `policies:` and their rules.
//!
//! A rule without any matcher would decide about everything below it, and is most often one whose matcher
//! was forgotten; it is a fault, even as `deny: {}`. `default: deny` says the same clearly, and
//! `project: "*"` deliberately means every project. An empty list in a matcher is a fault for the same
//! reason: to the engine it means "not asked for", to a reader "nothing".

use std::time::Duration;

use crate::language::document::{
    Effect, Exemption, Matchers, NamePattern, OnBlock, Placed, PolicyDocument, PolicyMode,
    ProvenanceAsked, RuleDocument, SimilarTo,
};
use crate::language::read::fields::{Fields, Notes};
use crate::language::read::keys::{Choice, Shape, Table, Word, YamlKey, key, many, one};
use crate::language::read::patterns::{Advisory, Glob, LicenseWord};
use crate::language::read::tree::{Entry, Node, Value};
use crate::language::read::words::{Bytes, RuleKey, Until};
use crate::model::{Fault, IndexName, Kind, ProjectState, Sha256, VersionSpecifiers};

/// The keys of one policy.
#[rustfmt::skip] // a table reads by rows
pub const POLICY: &[YamlKey] = &[
    key("mode", one::<PolicyMode>(), "enforce", "enforce, or audit: decide and record, let through"),
    key("on_block", one::<OnBlock>(), "hide",
        "whether a page leaves a denied file out or lists it as yanked"),
    key("default", one::<Default>(), "allow", "what holds for files that no rule matches"),
    key("rules", Shape::List(&Shape::OneOf(&[RULE])), "",
        "the first rule that matches a file decides"),
];

#[rustfmt::skip] // a table reads by rows
const RULE: &[YamlKey] = &[
    key("allow", Shape::Table(MATCHES), "", "files that match pass"),
    key("deny", Shape::Table(MATCHES), "", "files that match are refused"),
];

/// The keys of `allow` and `deny`.
pub const MATCHES: Table = &[MATCHERS, REMARKS];

#[rustfmt::skip] // a table reads by rows
const MATCHERS: &[YamlKey] = &[
    key("project", many::<NamePattern>(), "", "project names, globs or /regular expressions/"),
    key("new_name", Shape::Table(&[NEW_NAME]), "",
        "projects of mirrors whose names could be taken for others"),
    key("versions", one::<VersionSpecifiers>(), "", "a PEP 440 specifier, or \"===\" and the spelling of an old version; quote it"),
    key("kind", many::<Kind>(), "", "kinds of file"),
    key("python", many::<Glob>(), "", "globs for a wheel's python tags, such as \"cp27*\""),
    key("platform", many::<Glob>(), "", "globs for a wheel's platform tags, such as \"win*\""),
    key("size_over", one::<Bytes>(), "", "files larger than this"),
    key("younger_than", one::<Duration>(), "", "files uploaded less than this ago"),
    key("older_than", one::<Duration>(), "", "files uploaded more than this ago"),
    key("late", one::<Duration>(), "",
        "files that were added to their release more than this after its first file"),
    key("yanked", one::<bool>(), "", "files that are yanked, or that are not"),
    key("upstream", many::<IndexName>(), "", "files that come from these mirrors"),
    key("advisory", many::<Advisory>(), "",
        "releases that an advisory names: malware, vulnerability, or ids"),
    key("status", many::<ProjectState>(), "", "projects in these states (PEP 792)"),
    key("provenance", one::<ProvenanceAsked>(), "",
        "files without provenance (PEP 740), or those whose predecessor had it: the newest allowed version before"),
    key("unless", one::<Exemption>(), "",
        "of a deny: not what is free of an advisory that the newest allowed version has"),
    key("license", many::<LicenseWord>(), "",
        "files under these licences: ids of SPDX, globs, or unknown"),
    key("startup_files", one::<bool>(), "",
        "wheels that have files which every start of Python runs (.pth, .start), or that have none"),
    key("sha256", many::<Sha256>(), "", "files with one of these digests"),
];

#[rustfmt::skip] // a table reads by rows
const NEW_NAME: &[YamlKey] = &[
    key("similar_to", many::<SimilarTo>(), "",
        "the others: projects, or owned, which is every name that some index owns"),
];

#[rustfmt::skip] // a table reads by rows
const REMARKS: &[YamlKey] = &[
    key("id", one::<RuleKey>(), "",
        "what metrics, logs and refusals call the rule, after its policy's name and a slash; without it, a \
         name made of what the rule asks for"),
    key("until", one::<Until>(), "", "the last day, or instant, on which the rule applies"),
    key("reason", one::<String>(), "", "why; shown to clients"),
    key("owner", one::<String>(), "", "who answers for it"),
    key("ticket", one::<String>(), "", "where it was decided"),
];

/// Reads one entry of `policies:`.
pub fn read(entry: &Entry, notes: &mut Notes) -> PolicyDocument {
    if entry.key.trim().is_empty() {
        notes.note(Fault::at(&entry.location, "a policy without a name"));
    }
    let fields = notes.fields(&entry.value, &[POLICY]);
    let default: Option<Placed<Default>> = fields.placed("default", notes);
    PolicyDocument {
        name: Placed::at(&entry.location, entry.key.clone()),
        mode: fields.one("mode", notes).unwrap_or_default(),
        on_block: fields.one("on_block", notes).unwrap_or_default(),
        default_deny: default
            .filter(|default| default.value == Default::Deny)
            .map(|default| default.location),
        rules: fields
            .node("rules")
            .map(|node| read_rules(node, notes))
            .unwrap_or_default(),
    }
}

fn read_rules(node: &Node, notes: &mut Notes) -> Vec<RuleDocument> {
    match &node.value {
        Value::Sequence(items) => items
            .iter()
            .filter_map(|item| read_rule(item, notes))
            .collect(),
        other @ (Value::Nothing | Value::Scalar(_) | Value::Mapping(_)) => {
            let what = format!("rules: expected a list of rules, found {}", other.article());
            let fault = Fault::at(&node.location, what);
            notes.note(fault.hint("write each as \"- deny: { … }\" or \"- allow: { … }\""));
            Vec::new()
        }
    }
}

fn read_rule(node: &Node, notes: &mut Notes) -> Option<RuleDocument> {
    const HINT: &str = "write \"deny: { … }\" or \"allow: { … }\"";
    let Value::Mapping(written) = &node.value else {
        let what = format!("a rule is a mapping, not {}", node.value.article());
        notes.note(Fault::at(&node.location, what).hint(HINT));
        return None;
    };
    let rule = notes.fields(node, &[RULE]);
    let mut effects = rule.entries();
    let first = effects.next();
    if let Some(second) = effects.next() {
        let what = "a rule either allows or denies, and this does both";
        notes.note(Fault::at(&second.location, what).hint("make it two rules"));
    }
    let Some(entry) = first else {
        if written.is_empty() {
            let what = "a rule that neither allows nor denies";
            notes.note(Fault::at(&node.location, what).hint(HINT));
        }
        return None;
    };
    let effect = if entry.key == "allow" {
        Effect::Allow
    } else {
        Effect::Deny
    };
    let fields = notes.fields(&entry.value, MATCHES);
    note_missing_matchers(entry, &fields, notes);
    note_exempted_allow(effect, &fields, notes);
    Some(RuleDocument {
        location: entry.location.clone(),
        id: fields
            .placed("id", notes)
            .map(|id| id.map(|RuleKey(id)| id)),
        effect,
        matchers: read_matchers(&fields, notes),
        until: fields.one("until", notes).map(|Until(last)| last),
        reason: fields.one("reason", notes),
        owner: fields.one("owner", notes),
        ticket: fields.one("ticket", notes),
    })
}

fn note_missing_matchers(entry: &Entry, fields: &Fields<'_>, notes: &mut Notes) {
    let is_remark =
        |entry: &Entry| entry.key == "unless" || REMARKS.iter().any(|key| key.name == entry.key);
    if fields.entries().any(|entry| !is_remark(entry)) {
        return;
    }
    // A matcher that is there but misspelled causes only that fault.
    let written = match &entry.value.value {
        Value::Mapping(written) => written.as_slice(),
        Value::Nothing => &[],
        Value::Scalar(_) | Value::Sequence(_) => return,
    };
    if written.iter().all(is_remark) {
        let key = &entry.key;
        let what = format!("{key} without a matcher would decide about every file");
        let hint = format!("say which files, or \"default: {key}\" for all others");
        notes.note(Fault::at(&entry.location, what).hint(hint));
    }
}

/// An exemption loosens, so on what lets pass it would be read the wrong way round.
fn note_exempted_allow(effect: Effect, fields: &Fields<'_>, notes: &mut Notes) {
    if let Some(entry) = fields.entry("unless").filter(|_| effect == Effect::Allow) {
        let what = "unless: of an allow, which refuses nothing";
        let hint = "write it into the deny that others are held back by";
        notes.note(Fault::at(&entry.location, what).hint(hint));
    }
}

fn read_matchers(fields: &Fields<'_>, notes: &mut Notes) -> Matchers {
    Matchers {
        project: read_any(fields, "project", notes),
        similar_to: read_new_name(fields, notes),
        versions: fields.one("versions", notes),
        kind: read_any(fields, "kind", notes),
        python: read_texts(fields, "python", |Glob(glob)| glob, notes),
        platform: read_texts(fields, "platform", |Glob(glob)| glob, notes),
        size_over: fields.one("size_over", notes).map(|Bytes(bytes)| bytes),
        younger_than: fields.one("younger_than", notes),
        older_than: fields.one("older_than", notes),
        late: fields.one("late", notes),
        yanked: fields.one("yanked", notes),
        upstream: read_any(fields, "upstream", notes),
        advisory: read_texts(fields, "advisory", |Advisory(id)| id, notes),
        status: read_any(fields, "status", notes),
        provenance: fields.one("provenance", notes),
        unless: fields.one("unless", notes),
        license: read_texts(fields, "license", |LicenseWord(word)| word, notes),
        startup_files: fields.one("startup_files", notes),
        sha256: read_any(fields, "sha256", notes),
    }
}

fn read_new_name(fields: &Fields<'_>, notes: &mut Notes) -> Vec<SimilarTo> {
    let Some(node) = fields.node("new_name") else {
        return Vec::new();
    };
    if let found @ (Value::Scalar(_) | Value::Sequence(_)) = &node.value {
        let found = found.article();
        let what = format!("new_name: expected {{ similar_to: … }}, found {found}");
        notes.note(Fault::at(&node.location, what));
        return Vec::new();
    }
    let inner = notes.fields(node, &[NEW_NAME]);
    if inner.node("similar_to").is_none() {
        let what = "new_name: it says of no names which";
        let hint = "write new_name: { similar_to: owned }";
        notes.note(Fault::at(&node.location, what).hint(hint));
    }
    read_any(&inner, "similar_to", notes)
}

fn read_any<T: Word>(fields: &Fields<'_>, name: &str, notes: &mut Notes) -> Vec<T> {
    if let Some(entry) = fields.entry(name)
        && entry.value.value == Value::Sequence(Vec::new())
    {
        let what = format!("{name}: an empty list matches nothing");
        notes.note(Fault::at(&entry.value.location, what).hint("leave the key out"));
    }
    let read = fields.many(name, notes).unwrap_or_default();
    read.into_iter().map(|placed| placed.value).collect()
}

fn read_texts<T: Word>(
    fields: &Fields<'_>,
    name: &str,
    inner: fn(T) -> String,
    notes: &mut Notes,
) -> Vec<String> {
    let read = read_any(fields, name, notes);
    read.into_iter().map(inner).collect()
}

/// The words of `default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Default {
    Allow,
    Deny,
}

impl Choice for Default {
    const WORDS: &'static [(&'static str, Self)] = &[("allow", Self::Allow), ("deny", Self::Deny)];
}

impl Choice for ProvenanceAsked {
    const WORDS: &'static [(&'static str, Self)] =
        &[("missing", Self::Missing), ("lost", Self::Lost)];
}

impl Choice for Exemption {
    const WORDS: &'static [(&'static str, Self)] = &[("fixes_advisory", Self::FixesAdvisory)];
}

impl Choice for PolicyMode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("enforce", Self::Enforce), ("audit", Self::Audit)];
}

impl Choice for OnBlock {
    const WORDS: &'static [(&'static str, Self)] = &[("hide", Self::Hide), ("yank", Self::Yank)];
}
