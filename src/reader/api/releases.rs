//! A project's releases: `/{user}/{index}/{project}` and `…/{version}` (docs/protocol/devpi.md §8.3,
//! §12.1).
//!
//! The same members of the stack speak as on the simple page, and each file meets the same decision. But
//! the answers are not merged: for every version the first index gives the data, and what others say about
//! it stands in `+shadowing`. A file that is listed only as yanked, because it is refused, has no link
//! here: devpi's links lead to the index that holds the file, whose rules may let it pass.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::db::{FileRecord, FileRole, ProjectRecord};
use crate::devpi::{ApiAnswer, DevpiWords};
use crate::exchange::{Error, Outside, Record, Trouble, records_failed};
use crate::gateway::{Flows, decide};
use crate::model::{File, IndexName, ProjectName, Timestamp, Version, Yanked};
use crate::page::{Entry, ProjectPage, Ruling};
use crate::policy::{ListedFiles, Stack};
use crate::reader::api::indexes::has_parameter;
use crate::reader::api::version_data::{DataWriter, VersionData};
use crate::reader::look::Look;

/// The key for what a version shadows, in the order of the stack.
const SHADOWING: &str = "+shadowing";

/// What one member of the stack says.
struct Layer {
    member: usize,
    page: Arc<ProjectPage>,
    /// A stage's own records, which say more than its page.
    record: Option<ProjectRecord>,
    /// Whether the door shows its index; otherwise its files are available through the asked one.
    is_shown: bool,
    /// Since when its upstream cannot be asked.
    silent_since: Option<Timestamp>,
}

/// A file that is not hidden.
#[derive(Clone)]
pub struct Shown<'a> {
    pub file: &'a File,
    pub yanked: Yanked,
    /// Whether it is served; its link depends on who holds it.
    pub is_served: bool,
}

/// `GET /{user}/{index}/{project}`; `?ignore_bases` leaves out what is inherited, and answers an empty
/// object for a project that is only inherited.
pub async fn api_project(
    look: Look<'_>,
    index: &IndexName,
    project: &ProjectName,
    record: &mut Record,
) -> Result<ApiAnswer, Trouble> {
    let data = project_data(look, index, project, record).await?;
    let unknown = || Error::not_found(DevpiWords::NoProjectConfig(project).to_string());
    let data = data.ok_or_else(unknown)?;
    Ok(ApiAnswer::result("projectconfig", data.into()))
}

/// `GET /{user}/{index}/{project}/{version}`, with the version in any of its spellings.
pub async fn api_release(
    look: Look<'_>,
    index: &IndexName,
    (project, version): (&ProjectName, &str),
    record: &mut Record,
) -> Result<ApiAnswer, Trouble> {
    let data = project_data(look, index, project, record).await?;
    let unknown = |words: DevpiWords<'_>| Error::not_found(words.to_string());
    let mut data = data.ok_or_else(|| unknown(DevpiWords::NoProject(project)))?;
    let known = data.keys().find(|known| *known == version);
    let is_same = |known: &&String| Version::is_same_release(known, version);
    let known = known.or_else(|| data.keys().find(is_same)).cloned();
    let release = known.and_then(|known| data.remove(&known));
    let release = release.ok_or_else(|| unknown(DevpiWords::NoVersion(project, version)))?;
    Ok(ApiAnswer::result("versiondata", release))
}

/// Version data by version; `None` if no member knows the project.
async fn project_data(
    look: Look<'_>,
    index: &IndexName,
    project: &ProjectName,
    record: &mut Record,
) -> Result<Option<Map<String, Value>>, Trouble> {
    let (stack, _, answers) = look.said(index, project, record).await?;
    let mut layers = Vec::new();
    for answer in answers {
        let Some(page) = answer.said.page else {
            continue;
        };
        let (member, silent_since) = (answer.member, answer.said.silent_since);
        let record = own_record(look.flows, &stack, member, project).await?;
        let is_shown = look.shows(&stack.members[member].index.name);
        layers.push(Layer {
            member,
            page,
            record,
            is_shown,
            silent_since,
        });
    }
    if layers.is_empty() {
        return Ok(None);
    }
    if has_parameter(look.ask.query, "ignore_bases") {
        let own = stack.position(index);
        layers.retain(|layer| Some(layer.member) == own);
    }
    let (now, outside) = (look.cx.now, look.outside());
    let work = move || lay_over(&stack, &layers, now, &outside);
    let data = tokio::task::spawn_blocking(work).await;
    let data = data.map_err(|error| Error::internal("write the project's data", error))?;
    Ok(Some(data))
}

async fn own_record(
    flows: &Flows,
    stack: &Stack,
    member: usize,
    project: &ProjectName,
) -> Result<Option<ProjectRecord>, Error> {
    let index = &stack.members[member].index;
    if index.is_mirror() {
        return Ok(None);
    }
    let record = flows.core.records.project(&index.name, project).await;
    record.map_err(|error| records_failed("read the project's records", error))
}

/// For every version the first layer's data, with the others' below it, however they spell it.
fn lay_over(
    stack: &Stack,
    layers: &[Layer],
    now: Timestamp,
    outside: &Outside,
) -> Map<String, Value> {
    let mut versions: Map<String, Value> = Map::new();
    let mut spellings: HashMap<String, String> = HashMap::new();
    // Through the asked index a name leads to the first file that has it.
    let mut taken: HashSet<&str> = HashSet::new();
    for layer in layers {
        let data = versions_of(stack, layer, &taken, now, outside);
        let names = layer.page.files.iter().map(|file| file.filename.as_str());
        taken.extend(names);
        for (version, data) in data {
            let normalised = Version::parse(&version).normalised();
            let version = spellings.entry(normalised).or_insert(version).clone();
            let first = versions.get_mut(&version).and_then(Value::as_object_mut);
            let Some(first) = first else {
                versions.insert(version, data.into());
                continue;
            };
            let shadowed = first
                .entry(SHADOWING)
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Some(shadowed) = shadowed.as_array_mut() {
                shadowed.push(data.into());
            }
        }
    }
    versions
}

fn versions_of(
    stack: &Stack,
    layer: &Layer,
    taken: &HashSet<&str>,
    now: Timestamp,
    outside: &Outside,
) -> Vec<(String, VersionData)> {
    let page = &layer.page;
    let silent = layer.silent_since.map(|since| (layer.member, since));
    let view = stack.view(&page.project).while_silent(silent.as_slice());
    let view = view.among([ListedFiles {
        member: layer.member,
        status: page.status.state,
        files: &page.files,
    }]);
    let shown = page.files.iter().filter_map(|file| {
        let entry = Entry {
            member: layer.member,
            state: page.status.state,
            file,
        };
        let (yanked, is_allowed) = match decide(&view, &entry, now).ruling {
            Ruling::List => (file.yanked.clone(), true),
            Ruling::ListAsYanked(words) => (Yanked::Yes(Some(words)), false),
            Ruling::Hide => return None,
        };
        let is_reached = layer.is_shown || !taken.contains(file.filename.as_str());
        Some(Shown {
            file,
            yanked,
            is_served: is_allowed && is_reached,
        })
    });
    let owner = if layer.is_shown {
        &stack.members[layer.member].index.name
    } else {
        &stack.asked.name
    };
    let writer = DataWriter::new(outside, owner);
    match &layer.record {
        Some(record) => {
            let shown: Vec<Shown<'_>> = shown.collect();
            staged_versions(record, &shown, layer.is_shown, &writer)
        }
        None => mirrored_versions(&page.project, shown, &writer),
    }
}

/// A release none of whose files is shown is not shown either; one that never had a file is. Test results
/// and documentation are linked only if the index itself is shown: they are not available through another.
fn staged_versions(
    record: &ProjectRecord,
    shown: &[Shown<'_>],
    has_attachments: bool,
    writer: &DataWriter,
) -> Vec<(String, VersionData)> {
    let names = |is_wanted: fn(&&Shown<'_>) -> bool| -> HashSet<&str> {
        let wanted = shown.iter().filter(is_wanted);
        wanted.map(|one| one.file.filename.as_str()).collect()
    };
    let (known, served) = (names(|_| true), names(|one| one.is_served));
    let is_linked = |file: &FileRecord| match &file.facts.role {
        FileRole::ReleaseFile => served.contains(&*file.facts.filename),
        FileRole::ToxResult { for_file } => has_attachments && served.contains(&**for_file),
        FileRole::DocZip => has_attachments,
        // devpi's clients know no such link.
        FileRole::Provenance { .. } => false,
    };
    let releases = record.releases.iter().filter_map(|release| {
        let all = record.files.iter();
        let all: Vec<_> = all.filter(|one| one.version == release.version).collect();
        let of_release = all
            .iter()
            .filter(|one| one.facts.role == FileRole::ReleaseFile);
        let names: Vec<&str> = of_release.map(|one| &*one.facts.filename).collect();
        let has = |those: &HashSet<&str>| names.iter().any(|name| those.contains(name));
        if !names.is_empty() && !has(&known) {
            return None;
        }
        let is_refused = !names.is_empty() && !has(&served);
        let linked = all.into_iter().filter(|one| !is_refused && is_linked(one));
        let files: Vec<&FileRecord> = linked.collect();
        Some((
            release.version.clone(),
            writer.of_stage(&record.spelling, release, &files),
        ))
    });
    releases.collect()
}

/// Versions as the file names spell them; two spellings of one version are merged under the first.
fn mirrored_versions<'a>(
    project: &ProjectName,
    shown: impl Iterator<Item = Shown<'a>>,
    writer: &DataWriter,
) -> Vec<(String, VersionData)> {
    let mut grouped: Vec<(&str, Vec<Shown<'_>>)> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    for one in shown {
        let text = one.file.filename.version_text();
        let position = *positions
            .entry(Version::parse(text).normalised())
            .or_insert_with(|| {
                grouped.push((text, Vec::new()));
                grouped.len() - 1
            });
        grouped[position].1.push(one);
    }
    let data = grouped.into_iter().map(|(version, files)| {
        (
            version.to_owned(),
            writer.of_mirror(project, version, &files),
        )
    });
    data.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::exchange::Decision;
    use crate::reader::api::sample::{House, text_of};

    #[tokio::test]
    async fn a_release_shows_its_metadata_its_links_and_what_it_shadows() {
        let house = House::new().await;
        let body = house.json("/packages/develop/hello-pkg").await;
        assert_eq!(body["type"], "projectconfig");
        let versions: Vec<&String> = body["result"].as_object().unwrap().keys().collect();
        assert_eq!(versions, ["1.0", "2.0"]);
        let release = &body["result"]["1.0"];
        assert_eq!(release["name"], "Hello.Pkg");
        assert_eq!(release["summary"], "says hello");
        assert_eq!(release["classifiers"], json!([]));
        let links = format!("{:#}", release["+links"]);
        insta::assert_snapshot!(links, @r#"
        [
          {
            "hash_spec": "sha256=59edc5f4a20c9540296f476d15da04f97e9eff418c51f50dd2aeb0b942807fad",
            "hashes": {
              "sha256": "59edc5f4a20c9540296f476d15da04f97e9eff418c51f50dd2aeb0b942807fad"
            },
            "href": "http://devpi.example:4040/packages/develop/+f/59e/dc5f4a20c9540/Hello.Pkg-1.0.tar.gz",
            "log": [
              {
                "dst": "packages/develop",
                "what": "upload",
                "when": [
                  2026,
                  1,
                  2,
                  3,
                  4,
                  5
                ],
                "who": "packages"
              }
            ],
            "rel": "releasefile"
          }
        ]
        "#);
        let shadowed = &release["+shadowing"];
        let href = shadowed[0]["+links"][0]["href"].as_str().unwrap();
        assert!(href.contains("/packages/stable/+f/"), "{href}");
        assert_eq!(shadowed.as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn ignore_bases_shows_only_what_the_index_holds_itself() {
        let house = House::new().await;
        let own = house
            .json("/packages/develop/hello-pkg?ignore_bases=")
            .await;
        let versions: Vec<&String> = own["result"].as_object().unwrap().keys().collect();
        assert_eq!(versions, ["1.0"]);
        let inherited = house.json("/packages/develop/requests?ignore_bases").await;
        assert_eq!(inherited["result"], json!({}));
    }

    #[tokio::test]
    async fn a_mirrors_version_has_the_small_form() {
        let house = House::new().await;
        let body = house.json("/root/pypi/six/1.16.0").await;
        insta::assert_snapshot!(format!("{body:#}"), @r#"
        {
          "result": {
            "+links": [
              {
                "hash_spec": "sha256=cfeb0022683830dc7506d502d9ee66f32c27b3817d24ea9ca0662377102577ef",
                "hashes": {
                  "sha256": "cfeb0022683830dc7506d502d9ee66f32c27b3817d24ea9ca0662377102577ef"
                },
                "href": "http://devpi.example:4040/root/pypi/+f/cfe/b0022683830dc/six-1.16.0-py2.py3-none-any.whl",
                "rel": "releasefile"
              },
              {
                "hash_spec": "sha256=135e350f19a413031effd323157deca33127accf74d95f3a723e6ed10ee8ef25",
                "hashes": {
                  "sha256": "135e350f19a413031effd323157deca33127accf74d95f3a723e6ed10ee8ef25"
                },
                "href": "http://devpi.example:4040/root/pypi/+f/135/e350f19a41303/six-1.16.0.tar.gz",
                "rel": "releasefile"
              }
            ],
            "name": "six",
            "requires_python": ">=2.7",
            "version": "1.16.0"
          },
          "type": "versiondata"
        }
        "#);
    }

    #[tokio::test]
    async fn what_the_page_hides_is_hidden_here() {
        let house = House::new().await;
        let hidden = house.json("/packages/stable/requests").await;
        let versions: Vec<&String> = hidden["result"].as_object().unwrap().keys().collect();
        assert_eq!(
            versions,
            ["2.31.0"],
            "2.30.0 is refused and hidden by the policy of the stage"
        );
        let free = house.json("/root/pypi/requests").await;
        assert_eq!(
            free["result"].as_object().unwrap().len(),
            3,
            "the mirror's own URL has no such rule"
        );
        let release = house.get("/packages/stable/requests/2.30.0").await;
        assert_eq!(release.status, 404);
        assert!(
            text_of(&release).contains("The version 2.30.0 of project requests does not exist.")
        );
    }

    #[tokio::test]
    async fn a_project_refused_as_a_whole_is_451_with_a_message() {
        let house = House::new().await;
        for path in ["/packages/stable/banned", "/packages/stable/banned/1.0"] {
            let reply = house.get(path).await;
            assert_eq!(reply.status, 451, "{path}");
            assert_eq!(reply.head["content-type"], "application/json");
            assert_eq!(reply.record.decision, Decision::Deny);
            let ruled = reply.record.rule.as_deref().unwrap();
            assert_eq!(
                (&*ruled.policy, &*ruled.rule),
                ("malware", "malware/deny-project-27708274")
            );
            assert_eq!(
                (&*ruled.reason, &ruled.version),
                ("it steals <keys>", &None)
            );
            insta::allow_duplicates! {
                insta::assert_snapshot!(text_of(&reply), @r#"
                {
                  "message": "Project banned is refused by policy malware in index root/pypi: it steals <keys>. The rule is at house.yaml:22."
                }
                "#);
            }
        }
    }

    #[tokio::test]
    async fn a_private_name_is_not_mixed_with_the_mirrors() {
        let house = House::new().await;
        let body = house.json("/packages/develop/hello-pkg/2.0").await;
        let text = body.to_string();
        assert!(text.contains("/packages/stable/+f/"), "{text}");
        assert!(!text.contains("/root/pypi/"), "{text}");
    }

    #[tokio::test]
    async fn a_name_nobody_knows_is_404_in_devpis_words() {
        let house = House::new().await;
        let reply = house.get("/packages/stable/nothing").await;
        assert_eq!(reply.status, 404);
        assert_eq!(
            text_of(&reply),
            "{\n  \"message\": \"no project 'nothing'\"\n}\n"
        );
        let reply = house.get("/packages/stable/nothing/1.0").await;
        assert!(text_of(&reply).contains("The project nothing does not exist."));
    }

    #[tokio::test]
    async fn test_results_and_documentation_are_linked_beside_their_file() {
        let house = House::new().await;
        let body = house.json("/packages/stable/hello-pkg/2.0").await;
        let links = body["result"]["+links"].as_array().unwrap();
        let rels: Vec<&str> = links
            .iter()
            .map(|link| link["rel"].as_str().unwrap())
            .collect();
        assert_eq!(rels, ["doczip", "releasefile", "toxresult"]);
        assert_eq!(links[2]["for_href"], links[1]["href"]);
    }
}
