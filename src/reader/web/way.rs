//! Links within the web pages: relative, so that they work behind any prefix that a proxy adds.

use crate::model::{File, IndexName, ProjectName};
use crate::page::{encode, file_path};

/// The path from a page to the root of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way(String);

impl Way {
    /// From the page at this path, as the browser sees it.
    pub fn from(path: &str) -> Self {
        let folders = path.matches('/').count().saturating_sub(1);
        Self(if folders == 0 {
            "./".to_owned()
        } else {
            "../".repeat(folders)
        })
    }

    pub fn home(&self) -> &str {
        &self.0
    }

    pub fn search(&self) -> String {
        format!("{}+search", self.0)
    }

    pub fn asset(&self, name: &str) -> String {
        format!("{}+static/{name}", self.0)
    }

    pub fn user(&self, user: &str) -> String {
        format!("{}{}", self.0, encode(user))
    }

    pub fn index(&self, index: &IndexName) -> String {
        format!(
            "{}{}/{}",
            self.0,
            encode(index.user()),
            encode(index.index())
        )
    }

    pub fn project(&self, index: &IndexName, project: &ProjectName) -> String {
        format!("{}/{project}", self.index(index))
    }

    pub fn release(&self, index: &IndexName, project: &ProjectName, version: &str) -> String {
        format!("{}/{}", self.project(index, project), encode(version))
    }

    /// The way from a project's page to the folder of its releases' pages, as short as it can be.
    pub fn releases_near(path: &str, project: &ProjectName) -> String {
        match path.ends_with('/') {
            true => "./".to_owned(),
            false => format!("{project}/"),
        }
    }

    /// A path that begins at the root of the gateway.
    pub fn below_root(&self, path: &str) -> String {
        format!("{}{}", self.0, path.trim_start_matches('/'))
    }

    /// The simple page, for those who want everything.
    pub fn simple(&self, index: &IndexName, project: &ProjectName) -> String {
        format!("{}/+simple/{project}/", self.index(index))
    }

    /// A file through the asked index, whose policy then decides.
    pub fn file(&self, index: &IndexName, file: &File) -> String {
        format!("{}/{}", self.index(index), file_path(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_leads_to_the_root_from_everywhere() {
        let origin = url::Url::parse("http://h/").unwrap();
        for path in [
            "/",
            "/me",
            "/me/",
            "/me/dev",
            "/me/dev/",
            "/me/dev/six/1.0",
            "/+search",
            "//me/dev",
        ] {
            let page = url::Url::parse(&format!("http://h{path}")).unwrap();
            let root = page.join(Way::from(path).home()).unwrap();
            assert_eq!(root.path().trim_start_matches('/'), "", "{path}");
            let style = page.join(&Way::from(path).asset("style.css")).unwrap();
            assert_eq!(
                style.path().trim_start_matches('/'),
                "+static/style.css",
                "{path}"
            );
            assert_eq!(style.host(), origin.host());
        }
    }

    #[test]
    fn odd_names_stay_one_segment() {
        let index = IndexName::parse("dév@x/a_b").unwrap();
        assert_eq!(Way::from("/").index(&index), "./d%C3%A9v%40x/a_b");
    }
}
