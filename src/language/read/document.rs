//! The keys of a file that concern indexes and policies.

use std::sync::Arc;

use crate::language::ask_link::{AskLink, REFUSALS};
use crate::language::documents::Document;
use crate::language::read::fields::{Fields, Notes};
use crate::language::read::files::Files;
use crate::language::read::keys::{Shape, YamlKey, key, one};
use crate::language::read::tree::Node;
use crate::language::read::{feed, index, rule};
use crate::model::{Fault, Faults, IndexName};

/// The top-level keys that [`read`] reads.
#[rustfmt::skip] // a table reads by rows
pub const KEYS: &[YamlKey] = &[
    key("indexes", Shape::Named("user/index", &index::INDEX), "",
        "stages and mirrors, by their names"),
    key("policies", Shape::Named("policy", &Shape::Table(&[rule::POLICY])), "",
        "rules about what may pass, by their names"),
    key("default_index", one::<IndexName>(), "", "the index that is also served as /simple/"),
    key("advisories", feed::ADVISORIES, "", "OSV files, folders of them, and feeds that are fetched"),
    key("refusals", Shape::Table(&[REFUSALS]), "", "what people are told beside the reason of a refusal"),
];

/// Reads the keys of [`KEYS`].
pub fn read(fields: &Fields<'_>, files: &mut dyn Files, notes: &mut Notes) -> Document {
    let mut document = Document::default();
    if let Some(node) = fields.node("indexes") {
        for entry in notes.entries(node, "a mapping of indexes") {
            document.indexes.extend(index::read(entry, files, notes));
        }
    }
    if let Some(node) = fields.node("policies") {
        for entry in notes.entries(node, "a mapping of policies") {
            document.policies.push(rule::read(entry, notes));
        }
    }
    document.default_index = fields.placed("default_index", notes);
    if let Some(node) = fields.node("advisories") {
        feed::read(node, &mut document, files, notes);
    }
    if let Some(node) = fields.node("refusals") {
        let ask = notes.fields(node, &[REFUSALS]);
        let ask = ask.placed::<AskLink>("ask", notes);
        document.ask = ask.map(|ask| ask.map(Arc::new));
    }
    document
}

/// Reads a text that holds only the keys of [`KEYS`]; also returns warnings.
///
/// # Errors
/// Every fault of the text.
pub fn read_text(
    file: &str,
    text: &str,
    files: &mut dyn Files,
) -> Result<(Document, Vec<Fault>), Faults> {
    let mut notes = Notes::default();
    let file: Arc<str> = file.into();
    let root = Node::parse(&file, text).map_err(|fault| Faults(vec![fault]))?;
    let fields = notes.fields(&root, &[KEYS]);
    let document = read(&fields, files, &mut notes);
    notes.faults.or((document, notes.warnings))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::language::document::{
        Effect, NamePattern, OnBlock, ProvenanceAsked, SecretSource, TextFile, Undated,
        WhitelistName,
    };
    use crate::language::documents::IndexKindDocument;
    use crate::language::read::files::NamedKind;
    use crate::language::read::keys::{Table, keys};
    use crate::language::setting::{KEEP_LAST_GOOD, Mirror};
    use crate::model::{Location, ProjectName, format_duration};

    /// Every path exists and holds its own name, except those that start with `no-`.
    struct FakeFiles;

    impl Files for FakeFiles {
        fn open(
            &mut self,
            named: NamedKind,
            location: &Location,
            path: &Path,
        ) -> Result<Vec<TextFile>, Fault> {
            let mut name = path.display().to_string();
            if name.starts_with("no-") {
                return Err(Fault::at(location, format!("cannot read {name:?}")));
            }
            if named == NamedKind::Advisories {
                name = crate::advisory::written(&name, &ProjectName::parse("six").unwrap(), "1");
            }
            Ok(vec![TextFile {
                location: location.clone(),
                path: path.to_owned(),
                text: name.into(),
            }])
        }
    }

    fn read(text: &str) -> Result<(Document, Vec<Fault>), Faults> {
        read_text("p.yaml", text, &mut FakeFiles)
    }

    fn faults(text: &str) -> String {
        read(text).map(|_| ()).unwrap_err().to_string()
    }

    const STACK: &str = r#"
default_index: packages/stable
advisories: osv
indexes:
  root/pypi:
    type: mirror
    mirror_url: https://upstream.example/simple/
    mirror_cache_expiry: 600
    username: reader
    password_env: UPSTREAM_PASSWORD
  packages/stable:
    bases: "root/pypi, /shared/stable/"
    volatile: No
    acl_upload: [packages, ":authenticated:"]
    mirror_whitelist: "*"
    owns: ["Acme_*", /^internal/]
    whitelist: []
    whitelist_files: uv.lock
    policy: corporate
  empty/stage:
policies:
  corporate:
    on_block: yank
    default: deny
    rules:
      - allow: { project: [numpy, "django-*"], until: 2027-01-31, owner: data, ticket: OPS-17 }
      - deny: { project: requests, versions: "<2.31", reason: "CVE-2023-32681" }
      - deny: { younger_than: 7d, reason: cool-down }
      - deny: { kind: [sdist, egg], size_over: 20MiB, yanked: true, python: cp27, platform: win* }
      - deny: { advisory: malware, status: quarantined, upstream: root/pypi, provenance: missing }
"#;

    #[test]
    fn a_file_reads_as_it_is_written() {
        let (document, warnings) = read(STACK).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(
            document.default_index.unwrap().value.as_str(),
            "packages/stable"
        );
        assert_eq!(document.advisories[0].value.len(), 1);
        let [mirror, stable, empty] = document.indexes.as_slice() else {
            panic!("{:?}", document.indexes);
        };
        let IndexKindDocument::Mirror(mirror) = &mirror.kind else {
            panic!("{mirror:?}");
        };
        assert_eq!(
            mirror.mirror_cache_expiry.map(format_duration).unwrap(),
            "10m"
        );
        assert_eq!(
            mirror.password().unwrap().value,
            SecretSource::Environment("UPSTREAM_PASSWORD".into())
        );
        let IndexKindDocument::Stage(stage) = &stable.kind else {
            panic!("{stable:?}");
        };
        let bases: Vec<_> = stage
            .bases
            .iter()
            .flatten()
            .map(|base| base.value.as_str())
            .collect();
        assert_eq!(bases, ["root/pypi", "shared/stable"]);
        let users = stage.acl_upload.iter().flatten();
        let users: Vec<&str> = users.map(|user| user.value.as_str()).collect();
        assert_eq!(users, ["packages", ":AUTHENTICATED:"]);
        assert_eq!(
            stage.mirror_whitelist.as_deref().unwrap(),
            [WhitelistName::All]
        );
        let stable = &stable.settings;
        assert_eq!(stable.volatile, Some(false));
        assert_eq!(
            stable.whitelist,
            Some(Vec::new()),
            "present, so nothing passes"
        );
        assert_eq!(
            stable.owns.as_ref().unwrap()[0].value,
            NamePattern::Glob("acme-*".into())
        );
        assert_eq!(
            stable.whitelist_files.as_ref().unwrap()[0].text.as_ref(),
            "uv.lock"
        );
        assert_eq!(
            stable.policy.as_ref().unwrap().location.to_string(),
            "p.yaml:19:13"
        );
        assert!(matches!(empty.kind, IndexKindDocument::Stage(_)));
        assert_eq!(empty.settings.whitelist, None);
    }

    #[test]
    fn rules_keep_their_order_their_place_and_their_matchers() {
        let (document, _) = read(STACK).unwrap();
        let policy = &document.policies[0];
        assert_eq!(policy.on_block, OnBlock::Yank);
        assert_eq!(policy.default_deny.as_ref().unwrap().line, 24);
        let [waiver, cve, cool_down, kinds, rest] = policy.rules.as_slice() else {
            panic!("{:?}", policy.rules);
        };
        assert_eq!((waiver.effect, cve.effect), (Effect::Allow, Effect::Deny));
        assert_eq!(cve.location.to_string(), "p.yaml:27:9");
        assert_eq!(
            waiver.until.unwrap().to_string(),
            "2027-01-31T23:59:59.999999999Z"
        );
        let requests = ProjectName::parse("requests").unwrap();
        assert_eq!(cve.matchers.project, [NamePattern::Exact(requests)]);
        assert_eq!(cve.matchers.versions.as_ref().unwrap().to_string(), "<2.31");
        assert_eq!(
            cool_down
                .matchers
                .younger_than
                .map(format_duration)
                .unwrap(),
            "7d"
        );
        assert_eq!(kinds.matchers.kind.len(), 2);
        assert_eq!(kinds.matchers.size_over, Some(20 << 20));
        assert_eq!(kinds.matchers.platform, ["win*"]);
        assert_eq!(rest.matchers.advisory, ["malware"]);
        assert_eq!(rest.matchers.provenance, Some(ProvenanceAsked::Missing));
    }

    #[test]
    fn every_mistake_is_told_in_one_go() {
        let text = r#"
defualt_index: packages/stable
indexes:
  root/pypi:
    type: mirror
    bases: [root/other]
    mirror_url: ftp://upstream.example/
    undated: first-seen
  root/pypi: {}
  packages: {}
  packages/stable:
    volatile: maybe
    volatile: true
    basse: root/pypi
    acl_upload: { packages: yes }
    owns: "acme/*"
    whitelist:
    whitelist_files: no-such.lock
  packages/dev:
    type: stagee
    mirror_url: https://upstream.example/simple/
policies:
  corporate:
    mode: enforced
    rules:
      - allow: { projects: numpy }
      - deny: {}
      - deny: { reason: because }
      - deny: { project: [] }
      - deny: { versions: 2.31 }
      - deny: { younger_than: a week }
      - deny: { size_over: 20 megs, kind: [sdits, egg] }
      - deny: { project: /(/ }
        allow: { project: b }
      - deny: { project: a, until: 31.01.2027 }
      - forbid: { project: a }
      - requests
"#;
        insta::assert_snapshot!(faults(text), @r#"
        p.yaml:2:1: unknown key "defualt_index", did you mean "default_index"?
        p.yaml:6:5: bases belongs to a stage, and this is a mirror
        p.yaml:7:17: mirror_url: not a URL that starts with http:// or https://
        p.yaml:8:14: undated: "first-seen" is not deny, first_seen or old, did you mean "first_seen"?
        p.yaml:9:3: "root/pypi" a second time, first on line 4
        p.yaml:10:3: "packages" is not an index name, write it as "user/index"
        p.yaml:12:15: volatile: "maybe" is not true or false
        p.yaml:13:5: "volatile" a second time, first on line 12
        p.yaml:14:5: unknown key "basse", did you mean "bases"?
        p.yaml:15:17: acl_upload: expected a user, :group, :ANONYMOUS: or :AUTHENTICATED:, or a list of such, found a mapping
        p.yaml:16:11: owns: "acme/*" is not a glob for names, which never hold '/'
        p.yaml:17:14: whitelist has no value, give it a project name, a glob such as "acme-*" or a /regular expression/, or a list of such, or leave the key out
        p.yaml:18:22: cannot read "no-such.lock"
        p.yaml:20:11: type: "stagee" is not stage, mirror or devpi, did you mean "stage"?
        p.yaml:24:11: mode: "enforced" is not enforce or audit, did you mean "enforce"?
        p.yaml:26:18: unknown key "projects", did you mean "project"?
        p.yaml:27:9: deny without a matcher would decide about every file, say which files, or "default: deny" for all others
        p.yaml:28:9: deny without a matcher would decide about every file, say which files, or "default: deny" for all others
        p.yaml:29:26: project: an empty list matches nothing, leave the key out
        p.yaml:30:27: versions: "2.31" is not a version specifier (PEP 440), did you mean "==2.31"?
        p.yaml:31:31: younger_than: "a week" is not a duration such as 7d, 12h, 10m or 30s
        p.yaml:32:28: size_over: "20 megs" is not a size such as 20MiB or 1GiB
        p.yaml:32:44: kind: "sdits" is not wheel, sdist, egg or other, did you mean "sdist"?
        p.yaml:33:26: project: /(/ is not a regular expression (unclosed group)
        p.yaml:34:9: a rule either allows or denies, and this does both, make it two rules
        p.yaml:35:36: until: "31.01.2027" is not a date such as 2027-01-31, or an instant such as 2027-01-31T12:00:00Z
        p.yaml:36:9: unknown key "forbid", known here: allow, deny
        p.yaml:37:9: a rule is a mapping, not a single value, write "deny: { … }" or "allow: { … }"
        "#);
    }

    #[test]
    fn the_old_spelling_is_noted_and_works() {
        let (document, warnings) = read("indexes: {a/b: {pypi_whitelist: 'six, *'}}").unwrap();
        let IndexKindDocument::Stage(stage) = &document.indexes[0].kind else {
            panic!("a stage");
        };
        assert_eq!(stage.mirror_whitelist.as_ref().unwrap().len(), 2);
        assert_eq!(
            Faults(warnings).to_string(),
            "p.yaml:1:17: pypi_whitelist is the old spelling of mirror_whitelist, rename it"
        );
        let both = "indexes: {a/b: {pypi_whitelist: six, mirror_whitelist: six}}";
        assert!(faults(both).contains("both are here"));
    }

    #[test]
    fn an_index_of_devpi_is_a_mirror_whose_upstream_no_file_can_write() {
        let (document, _) = read("indexes: {a/b: {type: devpi, undated: old}}").unwrap();
        let index = &document.indexes[0];
        let IndexKindDocument::Mirror(mirror) = &index.kind else {
            panic!("an index of devpi is no mirror");
        };
        let mirror = Mirror::new(mirror, &index.about());
        assert!(mirror.is_devpi());
        assert_eq!(mirror.undated(), Undated::Old);
        assert!(
            mirror.keep_last_good().period.is_zero(),
            "what is deleted there is gone here"
        );
        assert!(
            faults("indexes: {a/b: {type: mirror, mirror_url: 'devpi:'}}").contains("mirror_url")
        );
        let url = "indexes: {a/b: {type: devpi, mirror_url: 'https://upstream.example/'}}";
        assert!(faults(url).contains("mirror_url"));
    }

    /// Each table, and a text around a mapping by it.
    fn tables() -> [(&'static str, Table); 9] {
        let [(_, stage), (_, mirror), (_, devpi)] = index::VARIANTS.tables else {
            panic!("three kinds of index");
        };
        [
            ("@", &[KEYS]),
            ("advisories: [@]", &[feed::FEED]),
            ("refusals: @", &[REFUSALS]),
            ("policies: {p: @}", &[rule::POLICY]),
            ("policies: {p: {rules: [deny: @]}}", rule::MATCHES),
            ("indexes: {a/b: @}", stage),
            ("indexes: {a/b: {<<: @, type: mirror}}", mirror),
            ("indexes: {a/b: {<<: @, type: devpi}}", devpi),
            (
                "indexes: {a/b: {type: mirror, keep_last_good: @}}",
                &[KEEP_LAST_GOOD],
            ),
        ]
    }

    /// A value of the wrong type at every key of a table: a key that nobody reads would be silent.
    #[test]
    fn no_key_of_a_table_is_left_unread() {
        for (frame, table) in tables() {
            for key in keys(table).filter(|key| key.name != "type") {
                let wrong = match key.shape {
                    Shape::Either(..) | Shape::ManyOr(..) | Shape::Table(..) => "[[]]",
                    _ => "{'': [[]]}",
                };
                let text = frame.replace('@', &format!("{{{}: {wrong}}}", key.name));
                let faults = faults(&text);
                let told = faults.contains(&format!("{}: expected ", key.name));
                assert!(
                    told || matches!(key.shape, Shape::Named(..) | Shape::Table(_)),
                    "{text}: {faults}"
                );
            }
        }
    }

    /// The same at all keys of one line, with an unknown one among them: no fault hides another.
    #[test]
    fn every_fault_of_one_line_is_told() {
        for (frame, table) in tables() {
            let read = keys(table)
                .filter(|key| key.name != "type")
                .filter(|key| !matches!(key.shape, Shape::Named(..) | Shape::Table(_)));
            let names: Vec<_> = read.map(|key| (key.name, key.shape)).collect();
            let wrong = names.iter().map(|(name, shape)| match shape {
                Shape::Either(..) | Shape::ManyOr(..) | Shape::Table(..) => format!("{name}: [[]]"),
                _ => format!("{name}: {{'': [[]]}}"),
            });
            // First, so that a reader that stops there reports nothing else.
            let stranger = std::iter::once("stranger: 1".to_owned());
            let wrong: Vec<_> = stranger.chain(wrong).collect();
            let text = frame.replace('@', &format!("{{{}}}", wrong.join(", ")));
            let told = faults(&text);
            assert!(told.contains("unknown key \"stranger\""), "{text}: {told}");
            for (name, _) in names {
                let wanted = format!("{name}: expected ");
                assert!(told.contains(&wanted), "{name} in {text}: {told}");
            }
        }
    }

    #[test]
    fn what_is_written_twice_or_misspelled_is_looked_at_all_the_same() {
        let text = "indexes: {a/b: {volatile: maybe, volatile: perhaps, owns: 'a/*', owns: ['b/*']}, \
                    c/d: {type: mirorr, mirror_url: 'ftp://upstream.example/', verify: no}}";
        insta::assert_snapshot!(faults(text), @r#"
        p.yaml:1:27: volatile: "maybe" is not true or false
        p.yaml:1:34: "volatile" a second time, first on line 1
        p.yaml:1:44: volatile: "perhaps" is not true or false
        p.yaml:1:59: owns: "a/*" is not a glob for names, which never hold '/'
        p.yaml:1:66: "owns" a second time, first on line 1
        p.yaml:1:73: owns: "b/*" is not a glob for names, which never hold '/'
        p.yaml:1:94: type: "mirorr" is not stage, mirror or devpi, did you mean "mirror"?
        p.yaml:1:114: mirror_url: not a URL that starts with http:// or https://
        p.yaml:1:149: verify: "no" is not while-serving or before-serving
        "#);
    }
}
