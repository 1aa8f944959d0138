//! Uploaded documentation, read out of its zip file by file: `/{user}/{index}/{project}/{version}/+d/…`.
//!
//! It is foreign HTML with scripts of its own under the gateway's address. So every file of it is sent with a
//! policy that gives it an origin of its own: its scripts run, and can neither read other pages nor act as
//! whoever reads it (docs/adr/0057-documentation-is-read-in-a-sandbox.md). Nothing is unpacked to the disk.

use http::StatusCode;

use crate::catalog::unknown_index;
use crate::db::{FileRecord, FileRole};
use crate::devpi::DevpiWords;
use crate::exchange::{Error, Record, Reply, Trouble, records_failed};
use crate::model::{IndexName, ProjectName, Version};
use crate::protocol::{
    ArchiveBounds, Around, PublicRoute, ZipFault, constant_headers, find_in_zip,
};
use crate::reader::look::Look;
use crate::reader::web::Sent;

/// Largest file of a documentation that is sent, in bytes, unpacked. Pages and pictures are far smaller; it
/// is held in memory while it is sent.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The page of a folder.
const FIRST_PAGE: &str = "index.html";

/// The newest release that has documentation.
const LATEST: &str = "latest";

/// The same without pre-releases.
const STABLE: &str = "stable";

/// `sandbox` without `allow-same-origin` gives every page an origin that equals no other.
const HEADERS: [(&str, &str); 3] = [
    (
        "content-security-policy",
        "sandbox allow-scripts allow-forms; default-src 'self' 'unsafe-inline' data:; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
];

/// Types by ending; anything else is something to save.
const TYPES: [(&str, &str); 16] = [
    ("html", "text/html"),
    ("htm", "text/html"),
    ("css", "text/css"),
    ("js", "text/javascript"),
    ("mjs", "text/javascript"),
    ("json", "application/json"),
    ("txt", "text/plain; charset=utf-8"),
    ("rst", "text/plain; charset=utf-8"),
    ("md", "text/plain; charset=utf-8"),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("svg", "image/svg+xml"),
    ("ico", "image/x-icon"),
    ("woff2", "font/woff2"),
];

/// What a request asks of a documentation.
#[derive(Debug)]
pub struct AskedDocument<'a> {
    index: &'a IndexName,
    project: &'a ProjectName,
    version: &'a str,
    path: &'a str,
    /// Where it is instead, relative to the requested path.
    pub moved: Option<&'a str>,
}

impl<'a> AskedDocument<'a> {
    /// `None` for a route that asks for something else.
    pub fn of(route: &'a PublicRoute) -> Option<Self> {
        match route {
            PublicRoute::Documentation {
                index,
                project,
                version,
                path,
                moved,
            } => Some(Self {
                index,
                project,
                version,
                path,
                moved: moved.as_deref(),
            }),
            _ => None,
        }
    }
}

/// Answers a file of a documentation.
///
/// # Errors
/// When there is none, it is refused, or it cannot be read.
pub async fn documentation(
    look: Look<'_>,
    asked: &AskedDocument<'_>,
    record: &Record,
) -> Result<Reply, Trouble> {
    let policies = &look.cx.generation.policies;
    let stack = policies.stack(asked.index);
    let stack = stack.ok_or_else(|| unknown_index(asked.index))?;
    let found = uploaded(look, asked).await?;
    let attachments = &look.flows.attachments;
    let refused = attachments
        .refusal_of_attached(look.cx, stack, &found)
        .await?;
    if let Some(denial) = refused {
        return Err(Trouble::Refused(Box::new(denial)));
    }
    let name = &found.facts.filename;
    let missing = || look.flows.core.lost_upload(name);
    let stored = attachments.open(&found).await?.ok_or_else(missing)?;
    let wanted = match asked.path {
        "" => FIRST_PAGE.to_owned(),
        folder if folder.ends_with('/') => format!("{folder}{FIRST_PAGE}"),
        file => file.to_owned(),
    };
    let path = wanted.clone();
    let read = move |bounds: ArchiveBounds| {
        let content = std::io::BufReader::new(stored.file());
        find_in_zip(content, |one| one == path, bounds, Around::Anything)
    };
    let archives = look.flows.core.archives_of(FILE_BYTES_MAX);
    let zipped = archives.look(read, is_beyond).await?;
    let zipped = zipped.map_err(|fault| unreadable(name, &wanted, fault))?;
    let words = || format!("{name} has no {wanted}");
    let zipped = zipped.ok_or_else(|| Error::not_found(words()))?;
    let sent = Sent {
        status: StatusCode::OK,
        content_type: content_type(&wanted),
        caching: "no-cache",
        body: zipped.content.into(),
        more: constant_headers(&HEADERS),
    };
    Ok(sent.reply(look.ask, record.clone()).await)
}

/// The documentation of the asked release, or of the newest one that has any.
async fn uploaded(look: Look<'_>, asked: &AskedDocument<'_>) -> Result<FileRecord, Trouble> {
    let AskedDocument {
        index,
        project,
        version,
        ..
    } = *asked;
    let records = &look.flows.core.records;
    let files = if matches!(version, LATEST | STABLE) {
        let held = records.project(index, project).await;
        held.map(|held| held.map(|held| held.files))
    } else {
        let held = records.release(index, project, version).await;
        held.map(|held| held.map(|held| held.files))
    };
    let files = files.map_err(|error| records_failed("look for documentation", error))?;
    let Some(files) = files else {
        let words = match version {
            LATEST | STABLE => DevpiWords::NoProject(project),
            version => DevpiWords::NoVersion(project, version),
        };
        return Err(Error::not_found(words.to_string()).into());
    };
    let mut zips: Vec<FileRecord> = files;
    zips.retain(|one| one.facts.role == FileRole::DocZip);
    zips.retain(|one| version != STABLE || !Version::parse(&one.version).is_prerelease());
    // Of several for one release the last one counts.
    let newest = zips
        .into_iter()
        .max_by_key(|one| Version::parse(&one.version));
    newest.ok_or_else(|| {
        let words = format!("{index} has no documentation of {project} {version}");
        Error::not_found(words).into()
    })
}

fn is_beyond(fault: &ZipFault) -> bool {
    matches!(fault, ZipFault::DirectoryTooLong | ZipFault::ContentTooLong)
}

fn unreadable(name: &str, wanted: &str, fault: ZipFault) -> Error {
    let why = match fault {
        ZipFault::Io(error) => return Error::internal("read documentation", error),
        ZipFault::Damaged(why) => format!("{name} is no zip that can be read: {why}"),
        ZipFault::DirectoryTooLong => format!("{name} has too many files to be read here"),
        ZipFault::ContentTooLong => {
            format!("{wanted} in {name} is longer than {FILE_BYTES_MAX} bytes")
        }
        ZipFault::TrailingBytes | ZipFault::LeadingBytes => {
            format!("{name} has something around its archive")
        }
        ZipFault::Differing(twice) => format!("{name} has {twice} twice, with different contents"),
    };
    Error::not_found(format!(
        "{why}; the zip itself can be fetched from the release"
    ))
}

fn content_type(path: &str) -> &'static str {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    let mut types = TYPES.iter();
    let known = types.find(|(known, _)| ending.eq_ignore_ascii_case(known));
    known.map_or("application/octet-stream", |(_, stated)| stated)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::db::FileFacts;
    use crate::protocol::zip_of;
    use crate::reader::api::{House, release_file, text_of};

    async fn document(house: &House, version: &str, zip: &[u8]) {
        let docs = FileFacts {
            role: FileRole::DocZip,
            sha256: house.put_uploaded(zip),
            size: zip.len() as u64,
            ..release_file(&format!("told-{version}.doc.zip"))
        };
        let files = vec![release_file(&format!("told-{version}.tar.gz")), docs];
        let metadata = json!({"name": "told", "version": version});
        house
            .publish_described("packages/develop", metadata, files)
            .await;
    }

    #[tokio::test]
    async fn documentation_is_read_out_of_its_zip_in_a_sandbox() {
        let house = House::new().await;
        let page: &[u8] = b"<script>document.title = 1</script>one";
        let zip = zip_of(&[
            ("index.html", page),
            ("api/index.html", b"api"),
            ("a.svg", b"<svg/>"),
        ]);
        document(&house, "1.0", &zip).await;
        let table = [
            ("1.0/+d/", "text/html", "one"),
            ("1.0/+d/index.html", "text/html", "one"),
            ("1.0/+d/api/", "text/html", "api"),
            ("1.0/+d/a.svg", "image/svg+xml", "<svg/>"),
            ("latest/+d/", "text/html", "one"),
            ("stable/+d/", "text/html", "one"),
        ];
        for (path, kind, words) in table {
            let reply = house
                .browse(&format!("/packages/develop/told/{path}"))
                .await;
            assert_eq!(reply.status, 200, "{path}: {}", text_of(&reply));
            assert_eq!(reply.head["content-type"], kind, "{path}");
            assert!(text_of(&reply).ends_with(words), "{path}");
            let policy = reply.head["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("sandbox allow-scripts"), "{policy}");
            assert!(!policy.contains("allow-same-origin"), "{policy}");
            assert_eq!(reply.head["x-content-type-options"], "nosniff", "{path}");
        }
        let project = text_of(&house.browse("/packages/develop/told").await);
        let link = r#"<a href="../../packages/develop/told/1.0/+d/">"#;
        assert!(project.contains(link), "{project}");
    }

    #[tokio::test]
    async fn the_newest_documentation_counts_and_a_stable_one_is_no_prerelease() {
        let house = House::new().await;
        for version in ["1.9", "1.10", "2.0rc1"] {
            let zip = zip_of(&[("index.html", version.as_bytes())]);
            document(&house, version, &zip).await;
        }
        for (asked, expected) in [("latest", "2.0rc1"), ("stable", "1.10"), ("1.9", "1.9")] {
            let reply = house
                .browse(&format!("/packages/develop/told/{asked}/+d/"))
                .await;
            assert_eq!(text_of(&reply), expected, "{asked}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_said_on_a_page() {
        let house = House::new().await;
        let bomb = vec![0; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
        document(
            &house,
            "1.0",
            &zip_of(&[("index.html", b"x"), ("bomb.html", &bomb)]),
        )
        .await;
        document(&house, "2.0", b"no zip").await;
        let table = [
            (
                "develop/told/1.0/+d/absent.html",
                "told-1.0.doc.zip has no absent.html",
            ),
            (
                "develop/told/1.0/+d/bomb.html",
                "is longer than 16777216 bytes",
            ),
            (
                "develop/told/2.0/+d/",
                "told-2.0.doc.zip is no zip that can be read",
            ),
            (
                "develop/told/3.0/+d/",
                "The version 3.0 of project told does not exist.",
            ),
            (
                "develop/hello-pkg/1.0/+d/",
                "has no documentation of hello-pkg 1.0",
            ),
            (
                "develop/nothing/latest/+d/",
                "The project nothing does not exist.",
            ),
            (
                "nowhere/told/1.0/+d/",
                "The stage packages/nowhere could not be found.",
            ),
        ];
        for (path, words) in table {
            let reply = house.browse(&format!("/packages/{path}")).await;
            let page = text_of(&reply);
            assert_eq!(reply.status, 404, "{path}: {page}");
            assert!(page.contains(words), "{path}: {page}");
        }
    }

    #[tokio::test]
    async fn documentation_of_what_is_refused_is_refused() {
        let house = House::new().await;
        let zip = zip_of(&[("index.html", b"x")]);
        let docs = FileFacts {
            role: FileRole::DocZip,
            sha256: house.put_uploaded(&zip),
            size: zip.len() as u64,
            ..release_file("requests-2.0.doc.zip")
        };
        let files = vec![release_file("requests-2.0.tar.gz"), docs];
        let metadata = json!({"name": "requests", "version": "2.0"});
        house
            .publish_described("packages/stable", metadata, files)
            .await;
        let reply = house.browse("/packages/stable/requests/2.0/+d/").await;
        assert_eq!(reply.status, 451, "{}", text_of(&reply));
        assert!(text_of(&reply).contains("CVE-2023-32681"));
    }
}
