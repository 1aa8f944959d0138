//! Reads everything that was written and decides whether a server can be made of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::built_in::{built_in, is_pip_mirror, mirrors_mut};
use crate::config::environment::Environment;
use crate::config::files::{NamedFiles, configuration_files, read_text};
use crate::config::groups::KnownGroups;
use crate::config::loaded::Loaded;
use crate::config::logins::take_login;
use crate::config::named::{Named, Reach};
use crate::config::server::{SERVER, Server};
use crate::config::settings::Overrides;
use crate::config::slots::put;
use crate::config::source::PoliciesPath;
use crate::config::{devpi_file, settings};
use crate::language::{Document, IndexKindDocument, KEYS, Node, Notes, Table, read};
use crate::model::{DoorName, Fault, Faults};

/// Every top-level key.
pub(super) const TOP: Table = &[SERVER, KEYS];

/// Reads all files, flags and variables.
///
/// # Errors
/// Everything that is wrong in any of them.
pub fn load(
    source: &PoliciesPath,
    overrides: &Overrides,
    env: Environment<'_>,
) -> Result<Loaded, Faults> {
    load_noting(source, overrides, env, &mut Named::default())
}

/// Reads all files, flags and variables, and notes which files these are, including those that are at
/// fault or missing, since they may be repaired.
///
/// # Errors
/// Everything that is wrong in any of them.
pub fn load_noting(
    source: &PoliciesPath,
    overrides: &Overrides,
    env: Environment<'_>,
    noted: &mut Named,
) -> Result<Loaded, Faults> {
    let (loaded, faults) = load_what_can_be(source, overrides, env, noted);
    faults.or(loaded)
}

/// The same, but keeps what could be read despite the faults: to be inspected, never served.
pub fn load_what_can_be(
    source: &PoliciesPath,
    overrides: &Overrides,
    env: Environment<'_>,
    noted: &mut Named,
) -> (Loaded, Faults) {
    let mut notes = Notes::default();
    noted.note(&source.asked(env), Reach::Yaml);
    let path = source.resolve(env);
    let files = match path.as_deref().map(configuration_files).transpose() {
        Ok(files) => files.unwrap_or_default(),
        Err(fault) => {
            notes.note(fault);
            Vec::new()
        }
    };
    let mut server = Server::default();
    let mut documents = Vec::new();
    let mut named = NamedFiles::new(noted);
    let mut blank = Vec::new();
    for file in &files {
        let mut into = Into {
            instead: overrides.instead.as_ref(),
            server: &mut server,
            named: &mut named,
            blank: &mut blank,
            notes: &mut notes,
        };
        documents.extend(into.read_file(file));
    }
    if let Some(path) = &overrides.devpi_file {
        devpi_file::add(path, &mut server, &mut notes);
    }
    let is_whole = documents.len() == files.len();
    let is_proxy = server.devpi.is_some();
    let mut config = settings::resolve(server, overrides, env, path.is_some(), &mut notes);
    note_second_default(&documents, &mut notes);
    let known = KnownGroups {
        declared: &config.groups,
        has_directory: config.manage.ldap.is_some(),
    };
    known.note_unknown(&documents, &mut notes);
    let is_bare = is_proxy || overrides.bare;
    if !is_bare && documents.iter().all(|document| document.indexes.is_empty()) {
        documents.push(built_in(&documents));
    }
    for mirror in mirrors_mut(&mut documents) {
        take_login(mirror, &mut config, env, &mut named, &mut notes);
    }
    note_second_pip_mirror(&documents, &mut notes);
    if !is_proxy {
        note_devpi_without_servers(&documents, &mut notes);
    }
    for tls in DoorName::ALL
        .into_iter()
        .filter_map(|door| config.listen.at(door).place.tls())
    {
        noted.note(&tls.cert, Reach::File);
        noted.note(&tls.key, Reach::File);
    }
    let loaded = Loaded {
        config,
        documents,
        found: None,
        files,
        blank,
        is_whole,
        warnings: notes.warnings,
    };
    (loaded, notes.faults)
}

/// Where the content of a file goes.
struct Into<'a, 'n> {
    instead: Option<&'a (PathBuf, Arc<str>)>,
    server: &'a mut Server,
    named: &'a mut NamedFiles<'n>,
    blank: &'a mut Vec<PathBuf>,
    notes: &'a mut Notes,
}

impl Into<'_, '_> {
    fn read_file(&mut self, path: &Path) -> Option<Document> {
        let file: Arc<str> = path.display().to_string().into();
        let instead = self.instead.filter(|(instead, _)| instead == path);
        let text = match instead {
            Some((_, text)) => Ok(text.to_string()),
            None => read_text(path),
        };
        let parsed = text
            .map_err(|why| Fault::nowhere(format!("cannot read {file}: {why}")))
            .and_then(|text| {
                if text.trim().is_empty() {
                    self.blank.push(path.to_owned());
                }
                Node::parse(&file, &text)
            });
        match parsed {
            Ok(root) => {
                let fields = self.notes.fields(&root, TOP);
                self.server.add(&fields, self.notes);
                Some(read(&fields, self.named, self.notes))
            }
            Err(fault) => {
                self.notes.note(fault);
                None
            }
        }
    }
}

fn note_second_default(documents: &[Document], notes: &mut Notes) {
    let mut first = None;
    for document in documents {
        put(
            &mut first,
            "default_index",
            document.default_index.clone(),
            notes,
        );
    }
}

/// Notes an index of type `devpi` when no devpi-server is named: it would have no upstream.
fn note_devpi_without_servers(documents: &[Document], notes: &mut Notes) {
    for index in documents.iter().flat_map(|document| &document.indexes) {
        if matches!(&index.kind, IndexKindDocument::Mirror(mirror) if mirror.is_devpi()) {
            let what = format!(
                "{} is of type devpi, and there are no servers",
                index.name.value
            );
            let hint = "name them: devpi: {servers: [\"http://127.0.0.1:3142\"]}";
            notes.note(Fault::at(&index.name.location, what).hint(hint));
        }
    }
}

/// Two mirrors of what pip uses would be one index under two names, which is never intended.
fn note_second_pip_mirror(documents: &[Document], notes: &mut Notes) {
    let indexes = documents.iter().flat_map(|document| &document.indexes);
    let mut mirrors = indexes.filter(|index| is_pip_mirror(index));
    let Some(first) = mirrors.next() else {
        return;
    };
    for mirror in mirrors {
        let (name, first) = (&mirror.name.value, &first.name.value);
        let what = format!(
            "{name} has no mirror_url, and {first} already mirrors the index that pip uses"
        );
        notes.note(Fault::at(&mirror.name.location, what).hint("give it a mirror_url"));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use tempfile::TempDir;
    use url::Url;

    use super::*;
    use crate::config::doors::Listen;
    use crate::config::found::{FoundIndex, Origin};
    use crate::config::loaded::AsksPip;
    use crate::config::source::DEFAULT_FILE;

    pub(in crate::config) fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    pub(in crate::config) fn load_folder(
        folder: &TempDir,
        variables: &[(&str, &str)],
    ) -> Result<Loaded, String> {
        let env = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let source = PoliciesPath::Named(folder.path().to_owned());
        load(&source, &Overrides::default(), &env).map_err(|faults| {
            let prefix = format!("{}/", folder.path().display());
            faults.to_string().replace(&prefix, "")
        })
    }

    fn load_text(text: &str) -> Result<Loaded, String> {
        load_folder(&folder(&[("c.yaml", text)]), &[])
    }

    fn public_host(loaded: &Loaded) -> String {
        match &loaded.config.listen.public.place {
            Listen::Tcp { address, .. } => address.ip().to_string(),
            Listen::Off | Listen::Unix { .. } => String::new(),
        }
    }

    #[test]
    fn without_any_file_it_mirrors_what_pip_uses_for_this_machine() {
        let empty = folder(&[]);
        let source = PoliciesPath::Default {
            folder: empty.path().to_owned(),
        };
        let loaded = load(&source, &Overrides::default(), &|_| None).unwrap();
        assert_eq!(public_host(&loaded), "127.0.0.1");
        assert_eq!(loaded.asks_pip(&[]), AsksPip::Must);
        let default = loaded.documents[0].default_index.as_ref().unwrap();
        assert_eq!(default.value.as_str(), "root/pypi");
        assert_eq!(loaded.files, Vec::<PathBuf>::new());
    }

    #[test]
    fn the_default_file_and_the_variable_are_found() {
        let here = folder(&[("cheesecloth.yaml", "data: here")]);
        let there = folder(&[("x.yaml", "data: there")]);
        let source = PoliciesPath::Default {
            folder: here.path().to_owned(),
        };
        let loaded = load(&source, &Overrides::default(), &|_| None).unwrap();
        assert_eq!(loaded.config.data, PathBuf::from("here"));
        assert_eq!(public_host(&loaded), "0.0.0.0");
        let there = there.path().display().to_string();
        let env = |name: &str| (name == "CHEESECLOTH_POLICIES").then(|| there.clone());
        let loaded = load(&source, &Overrides::default(), &env).unwrap();
        assert_eq!(loaded.config.data, PathBuf::from("there"));
    }

    /// What was noted of a configuration that has a fault, or no file.
    #[test]
    fn what_is_at_fault_or_not_there_is_noted_all_the_same() {
        let folder = folder(&[(
            "c.yaml",
            "advisories: osv.json\nindexes: {a/b: {whitelist_files: l}}",
        )]);
        let path = folder.path().join("c.yaml");
        let mut noted = Named::default();
        let named = PoliciesPath::Named(path.clone());
        load_noting(&named, &Overrides::default(), &|_| None, &mut noted).unwrap_err();
        for name in ["osv.json", "l"] {
            fs::write(folder.path().join(name), "[]").unwrap();
        }
        let changed: Vec<_> = noted.changed().into_iter().collect();
        let wanted = ["l", "osv.json"].map(|name| folder.path().join(name));
        assert_eq!(changed, wanted);

        let mut noted = Named::default();
        let source = PoliciesPath::Default {
            folder: folder.path().to_owned(),
        };
        load_noting(&source, &Overrides::default(), &|_| None, &mut noted).unwrap();
        assert!(noted.changed().is_empty());
        fs::rename(path, folder.path().join(DEFAULT_FILE)).unwrap();
        assert_eq!(noted.changed().len(), 1);
    }

    #[test]
    fn the_files_of_a_folder_are_one_configuration() {
        let folder = folder(&[
            (
                "a.yaml",
                "listen: {public: ':8080'}\nlimits: {head: 32KiB}\nindexes: {root/pypi: {type: mirror}}",
            ),
            (
                "b.yml",
                "listen: {metrics: off}\nlimits: {uri: 4KiB}\nindexes: {a/b: {bases: root/pypi, whitelist_files: uv.lock}}",
            ),
            ("uv.lock", "version = 1"),
        ]);
        let loaded = load_folder(&folder, &[]).unwrap();
        assert_eq!(loaded.documents.len(), 2);
        assert_eq!(loaded.config.listen.metrics.place, Listen::Off);
        assert_eq!(
            (
                loaded.config.limits.door.head,
                loaded.config.limits.door.uri
            ),
            (32 << 10, 4 << 10)
        );
        let stage = &loaded.documents[1].indexes[0];
        assert_eq!(
            stage.settings.whitelist_files.as_ref().unwrap()[0]
                .text
                .as_ref(),
            "version = 1"
        );
        let names: Vec<_> = loaded
            .files
            .iter()
            .map(|file| file.strip_prefix(folder.path()).unwrap())
            .collect();
        assert_eq!(names, ["a.yaml", "b.yml"].map(Path::new));
    }

    #[test]
    fn faults_of_all_files_come_together() {
        let folder = folder(&[
            (
                "a.yaml",
                "data: x\nlisten: {manage: '0.0.0.0:3141'}\nlimits: {head: 1KiB}\ndefault_index: a/b\n",
            ),
            (
                "b.yaml",
                "data: y\nlisten: {manage: off}\nlimits: {head: 2KiB}\ndefault_index: a/c\nlogs: {}\n",
            ),
            ("c.yaml", "data: [z\n"),
            (
                "d.yaml",
                "log: {format: jsonn}\ncache: {disk: lots}\nadvisories: osv\ndevpi: {servers: []}\n",
            ),
        ]);
        insta::assert_snapshot!(load_folder(&folder, &[("CHEESECLOTH_PUBLIC", "x")]).unwrap_err(), @r#"
        CHEESECLOTH_PUBLIC: "x" is not an address such as "127.0.0.1:4040", ":4040", "unix:/path" or "off"
        a.yaml:2:18: the management door beyond loopback without TLS would carry passwords in the clear, give it tls, a loopback address or a Unix socket
        b.yaml:1:7: data a second time, first at a.yaml:1:7, keep one
        b.yaml:2:18: listen.manage a second time, first at a.yaml:2:18, keep one
        b.yaml:3:16: limits.head a second time, first at a.yaml:3:16, keep one
        b.yaml:4:16: default_index a second time, first at a.yaml:4:16, keep one
        b.yaml:5:1: unknown key "logs", did you mean "log"?
        c.yaml:1:7: not valid YAML: unclosed bracket '['
        d.yaml:1:15: format: "jsonn" is not auto, text or json, did you mean "json"?
        d.yaml:2:15: disk: "lots" is not a size such as 20MiB or 1GiB
        d.yaml:3:13: cannot read osv: not found
        d.yaml:4:8: devpi without servers, name at least one, such as servers: ["http://127.0.0.1:3142"]
        "#);
    }

    /// Everything that is wrong in these files.
    fn all_faults(files: &[(&str, &str)]) -> String {
        let folder = folder(files);
        let source = PoliciesPath::Named(folder.path().to_owned());
        let mut named = Named::default();
        let none = Overrides::default();
        let (loaded, read) = load_what_can_be(&source, &none, &|_| None, &mut named);
        let faults = loaded.all_faults(read, &[]).or(()).unwrap_err();
        let prefix = format!("{}/", folder.path().display());
        faults.to_string().replace(&prefix, "")
    }

    #[test]
    fn what_shows_when_all_is_put_together_is_told_beside_what_reading_finds() {
        let yaml = "\
indexes:
  r/m: { type: mirorr, mirror_url: 'ftp://upstream.example/' }
  a/b: { bases: [r/n], polcy: p, policy: q, volatile: maybe }
  a/b: { bases: [r/m] }
policies: { p: { mode: no, rules: [deny: { advisory: malware, upstream: r/m, kind: whee }] } }
advisories: no.json
default_index: a/c
";
        insta::assert_snapshot!(all_faults(&[("a.yaml", yaml)]), @r#"
        a.yaml:2:16: type: "mirorr" is not stage, mirror or devpi, did you mean "mirror"?
        a.yaml:2:36: mirror_url: not a URL that starts with http:// or https://
        a.yaml:3:18: unknown base "r/n", did you mean "r/m"?
        a.yaml:3:24: unknown key "polcy", did you mean "policy"?
        a.yaml:3:42: unknown policy "q", did you mean "p"?
        a.yaml:3:55: volatile: "maybe" is not true or false
        a.yaml:4:3: "a/b" a second time, first on line 3
        a.yaml:5:24: mode: "no" is not enforce or audit
        a.yaml:5:84: kind: "whee" is not wheel, sdist, egg or other, did you mean "wheel"?
        a.yaml:6:13: cannot read no.json: not found
        a.yaml:7:16: unknown default_index "a/c", did you mean "a/b"?
        "#);
        // An index may be named in a file that cannot be parsed.
        let broken = all_faults(&[("a.yaml", yaml), ("b.yaml", "indexes: {r/n: [")]);
        assert!(broken.contains("b.yaml:1:"), "{broken}");
        assert!(!broken.contains("r/n"), "{broken}");
    }

    #[test]
    fn only_one_mirror_is_what_pip_uses() {
        let two = "indexes:\n  a/b: {type: mirror}\n  c/d: {type: mirror}\n";
        let fault = load_text(two).unwrap_err();
        assert!(
            fault.starts_with("c.yaml:3:3: c/d has no mirror_url, and a/b already"),
            "{fault}"
        );
        let one = two.replace("c/d: {type: mirror}", "c/d: {}");
        let mut loaded = load_text(&one).unwrap();
        let url = Url::parse("https://upstream.example/simple/").unwrap();
        let login = crate::model::Login::new("u", "p");
        let origin = Origin::PipDefault;
        loaded.set_upstream(FoundIndex {
            url,
            login: Some(login),
            origin,
            file: None,
        });
        assert_eq!(loaded.asks_pip(&[]), AsksPip::No);
        assert_eq!(loaded.config.logins.len(), 1);
    }

    #[test]
    fn an_index_of_devpi_needs_servers() {
        let text = "indexes: {a/b: {type: devpi}}\n";
        insta::assert_snapshot!(load_text(text).unwrap_err(), @r#"c.yaml:1:11: a/b is of type devpi, and there are no servers, name them: devpi: {servers: ["http://127.0.0.1:3142"]}"#);
        let servers = "devpi: {servers: 'http://127.0.0.1:3142'}\n";
        assert!(load_text(&format!("{text}{servers}")).is_ok());
    }

    #[test]
    fn in_front_of_devpi_nothing_is_built_in() {
        let loaded =
            load_text("devpi: {servers: 'http://127.0.0.1:3142', undeclared: hide}").unwrap();
        assert_eq!(loaded.config.devpi.as_ref().unwrap().servers.len(), 1);
        assert_eq!(loaded.asks_pip(&[]), AsksPip::No);
    }
}
