//! The simple pages of a fake index, as JSON or HTML, with as much or as little in them as wanted.

use serde_json::{Map, Value, json};

use super::fake_index::Setup;
use super::{Listed, Project};

pub(super) fn list_json(setup: &Setup) -> String {
    let projects: Vec<Value> = setup
        .projects
        .iter()
        .map(|project| json!({ "name": project.name }))
        .collect();
    json!({ "meta": { "api-version": setup.api_version() }, "projects": projects }).to_string()
}

pub(super) fn list_html(setup: &Setup) -> String {
    let links = setup.projects.iter().map(|project| {
        let name = &project.name;
        format!("<a href=\"{name}/\">{name}</a><br>\n")
    });
    html(&links.collect::<String>())
}

pub(super) fn page_json(setup: &Setup, project: &Project) -> String {
    let minor = setup.api_minor;
    let mut page = Map::new();
    page.insert("meta".into(), json!({ "api-version": setup.api_version() }));
    page.insert("name".into(), json!(project.name));
    let files = project
        .files
        .iter()
        .map(|file| file_json(setup, project, file));
    page.insert("files".into(), files.collect());
    if minor >= 1 {
        let mut versions: Vec<_> = project.files.iter().map(|file| &file.version).collect();
        versions.dedup();
        page.insert("versions".into(), json!(versions));
    }
    if let Some(status) = project.status.as_ref().filter(|_| minor >= 4) {
        page.insert("project-status".into(), json!({ "status": status }));
    }
    Value::Object(page).to_string()
}

fn file_json(setup: &Setup, project: &Project, file: &Listed) -> Value {
    let mut entry = Map::new();
    entry.insert("filename".into(), json!(file.filename));
    entry.insert("url".into(), json!(setup.file_href(project, file)));
    let digests = setup.digests(file).into_iter();
    let hashes: Map<_, _> = digests
        .map(|(algorithm, hex)| (algorithm.to_owned(), json!(hex)))
        .collect();
    entry.insert("hashes".into(), hashes.into());
    if let Some(specifier) = &file.requires_python {
        entry.insert("requires-python".into(), json!(specifier));
    }
    if let Some(reason) = &file.yanked {
        entry.insert("yanked".into(), json!(reason));
    }
    if setup.api_minor >= 1 && setup.sizes {
        entry.insert("size".into(), json!(file.stated_size));
    }
    if setup.api_minor >= 1 && setup.upload_times {
        entry.insert("upload-time".into(), json!(file.upload_time));
    }
    if let Some(digest) = setup.sidecar_digest(file) {
        entry.insert("core-metadata".into(), json!({ "sha256": digest.to_hex() }));
    }
    if let Some(place) = &file.provenance {
        entry.insert("provenance".into(), json!(place));
    }
    Value::Object(entry)
}

/// A project page as HTML (PEP 503, 592, 658).
pub(super) fn page_html(setup: &Setup, project: &Project) -> String {
    let links = project.files.iter().map(|file| {
        let mut href = setup.file_href(project, file);
        if let Some((algorithm, hex)) = setup.digests(file).first() {
            href = format!("{href}#{algorithm}={hex}");
        }
        let mut link = format!("<a href=\"{}\"", escape(&href));
        if let Some(specifier) = &file.requires_python {
            link.push_str(&format!(" data-requires-python=\"{}\"", escape(specifier)));
        }
        if let Some(reason) = &file.yanked {
            link.push_str(&format!(" data-yanked=\"{}\"", escape(reason)));
        }
        if let Some(digest) = setup.sidecar_digest(file) {
            link.push_str(&format!(" data-core-metadata=\"sha256={digest}\""));
        }
        format!("{link}>{}</a><br>\n", escape(&file.filename))
    });
    html(&links.collect::<String>())
}

fn html(body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><meta name=\"pypi:repository-version\" content=\"1.0\"></head><body>\n{body}</body></html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Content, Listed, Wheel};

    fn project() -> Project {
        let wheel = Wheel::new("a.b", "1.0+cu1").tag("cp313-cp313-linux_x86_64");
        let file = Listed::wheel(&wheel.requires_python(">=3.9"), "1.0+cu1");
        let empty = Listed::new("a_b-0.9.zip", "0.9", Content::Bytes("".into()));
        let empty = empty.uploaded("2023-01-02T03:04:05Z").yanked("<broken>");
        Project::new("a-b")
            .file(empty)
            .file(file)
            .status("archived")
    }

    #[test]
    fn everything_is_told() {
        let page = page_json(&Setup::default(), &project());
        let page: Value = serde_json::from_str(&page).unwrap();
        insta::assert_snapshot!(format!("{:#}", page["files"][0]), @r#"
        {
          "filename": "a_b-0.9.zip",
          "hashes": {
            "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
          },
          "size": 0,
          "upload-time": "2023-01-02T03:04:05Z",
          "url": "../../files/a-b/a_b-0.9.zip",
          "yanked": "<broken>"
        }
        "#);
        assert_eq!(page["project-status"]["status"], "archived");
        assert_eq!(page["versions"], json!(["0.9", "1.0+cu1"]));
        let wheel = &page["files"][1];
        assert_eq!(wheel["requires-python"], ">=3.9");
        assert_eq!(
            wheel["url"],
            "../../files/a-b/a_b-1.0%2Bcu1-cp313-cp313-linux_x86_64.whl"
        );
        assert!(wheel["core-metadata"]["sha256"].is_string());
    }

    #[test]
    fn what_is_not_to_be_told_is_not() {
        let base = "https://files.example/f/".parse().unwrap();
        let setup = Setup::default()
            .without_hashes()
            .without_sizes()
            .without_upload_times()
            .without_sidecars()
            .files_at(&base);
        let page: Value = serde_json::from_str(&page_json(&setup, &project())).unwrap();
        insta::assert_snapshot!(format!("{:#}", page["files"][1]), @r#"
        {
          "filename": "a_b-1.0+cu1-cp313-cp313-linux_x86_64.whl",
          "hashes": {},
          "requires-python": ">=3.9",
          "url": "https://files.example/f/a-b/a_b-1.0%2Bcu1-cp313-cp313-linux_x86_64.whl"
        }
        "#);
        let page = page_json(&Setup::default().api_minor(0), &project());
        for word in ["upload-time", "size", "versions", "project-status"] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn html_says_what_html_can() {
        let setup = Setup::default().without_hashes().without_sidecars();
        insta::assert_snapshot!(page_html(&setup, &project()), @r#"
        <!DOCTYPE html>
        <html><head><meta name="pypi:repository-version" content="1.0"></head><body>
        <a href="../../files/a-b/a_b-0.9.zip" data-yanked="&lt;broken&gt;">a_b-0.9.zip</a><br>
        <a href="../../files/a-b/a_b-1.0%2Bcu1-cp313-cp313-linux_x86_64.whl" data-requires-python="&gt;=3.9">a_b-1.0+cu1-cp313-cp313-linux_x86_64.whl</a><br>
        </body></html>
        "#);
    }
}
