//! The read-only routes: the table of contents of the public door (docs/protocol/devpi.md §3).
//!
//! A route says what is asked, not whether it exists. Where devpi answers several kinds of clients
//! under one path, [`Audience`] chooses; where it redirects, so do we, but the query is kept.

use percent_encoding::{CONTROLS, utf8_percent_encode};

use crate::model::{AskedPart, IndexName, ProjectName};
use crate::page::{PageForm, encode};
use crate::protocol::audience::Audience;
use crate::protocol::segments::{BadPath, Segments};

/// The name of an index's feed of uploads. No project has a plus in its name, and devpi has no such route.
pub const UPLOADS_FEED: &str = "+uploads.atom";

/// What a GET or HEAD asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicRoute {
    /// The list of projects of an index.
    ProjectList {
        /// The index.
        index: AskedIndex,
        /// The shape of the path, for relative links.
        form: PageForm,
    },
    /// The files of a project.
    ProjectPage {
        /// The index.
        index: AskedIndex,
        /// The project.
        project: ProjectName,
        /// The shape of the path, for relative links.
        form: PageForm,
    },
    /// A file, or what is told beside it.
    File {
        /// The index it is asked through.
        index: IndexName,
        /// Everything after the index, decoded: `+f/2fb/5f64435a5845e/six-1.0.tar.gz.metadata`, or
        /// `integrity/six/1.0/six-1.0.tar.gz/provenance`.
        path: String,
        /// The file's name, without the ending of what is told beside it.
        filename: String,
        /// What of it is asked for.
        part: AskedPart,
    },
    /// devpi's bootstrap for clients, `+api`.
    Api(ApiOf),
    /// `+status`.
    Status,
    /// `+doctor`: what the gateway makes of this very request.
    Doctor(AskedIndex),
    /// All users and their indexes: `/`.
    Users(Audience),
    /// One user: `/user`.
    User {
        /// The name; whether there is such a user is not known here.
        user: String,
        /// JSON or a web page.
        audience: Audience,
    },
    /// One index: `/user/index`, when it is not an installer that asks.
    Index {
        /// The index.
        index: IndexName,
        /// JSON or a web page.
        audience: Audience,
    },
    /// A project's releases: `/user/index/project`, when it is not an installer that asks.
    Project {
        /// The index.
        index: IndexName,
        /// The project.
        project: ProjectName,
        /// JSON or a web page.
        audience: Audience,
    },
    /// One release: `/user/index/project/version`.
    Release {
        /// The index.
        index: IndexName,
        /// The project.
        project: ProjectName,
        /// The version as asked for.
        version: String,
        /// JSON or a web page.
        audience: Audience,
    },
    /// A file of a release's documentation: `/user/index/project/version/+d/…`.
    Documentation {
        /// The index.
        index: IndexName,
        /// The project.
        project: ProjectName,
        /// The version as asked for, or `latest` or `stable`.
        version: String,
        /// The path within the documentation, decoded; empty for its first page.
        path: String,
        /// Its proper place, relative to the requested one, if that is another. It is no
        /// [`PublicRoute::Redirect`]: devpi-web has pages of its own there.
        moved: Option<String>,
    },
    /// `/{user}/{index}/+uploads.atom`: what was uploaded of late, as a feed.
    Uploads {
        /// The index.
        index: IndexName,
    },
    /// The search page, `/+search`.
    Search,
    /// Style and script of the web pages: `/+static/name`.
    Static {
        /// The name.
        name: String,
    },
    /// The same thing under its proper path.
    Redirect {
        /// The `Location`, relative to the requested path, so that it works behind any prefix of a
        /// proxy; the query is kept.
        to: String,
        /// 301 for a project's proper name, 302 for a missing slash, which depends on the client.
        is_permanent: bool,
    },
    /// No such route.
    NotFound,
}

/// Which index a simple page is requested from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedIndex {
    /// That of `/simple/`, which the configuration names.
    Default,
    /// This one.
    Named(IndexName),
}

/// What `+api` is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiOf {
    /// The server.
    Root,
    /// A user; devpi answers even for one that does not exist.
    User(String),
    /// An index.
    Index(IndexName),
}

/// What determines the meaning of a path besides its segments.
struct Reading<'a> {
    has_slash: bool,
    query: Option<&'a str>,
    /// Who asks; most paths mean the same to everybody.
    audience: Audience,
}

impl PublicRoute {
    /// Parses a path (without query, still percent-encoded), given who is asking.
    ///
    /// # Errors
    /// [`BadPath`] when no route can have such a path; an unknown one is [`PublicRoute::NotFound`].
    pub fn parse(path: &str, query: Option<&str>, audience: Audience) -> Result<Self, BadPath> {
        let segments = Segments::parse(path)?;
        let reading = Reading {
            has_slash: segments.has_slash,
            query,
            audience,
        };
        Ok(match &*segments.parts() {
            [] => Self::Users(reading.audience),
            ["+api"] => Self::Api(ApiOf::Root),
            ["+status"] => Self::Status,
            ["+doctor"] => Self::Doctor(AskedIndex::Default),
            ["+search"] => Self::Search,
            ["+static", name] => Self::Static {
                name: (*name).to_owned(),
            },
            // Browsers and robots ask for these here alone; a user of such a name would only lack a page.
            ["robots.txt"] => Self::Static {
                name: "robots.txt".to_owned(),
            },
            ["favicon.ico"] => Self::Static {
                name: "icon.svg".to_owned(),
            },
            ["simple"] if !reading.has_slash => reading.redirect("simple/", false),
            ["simple"] => Self::ProjectList {
                index: AskedIndex::Default,
                form: PageForm::Default,
            },
            ["simple", project] => reading.page(AskedIndex::Default, project, PageForm::Default),
            [user, ..] if !IndexName::is_part(user) => Self::NotFound,
            [user] => Self::User {
                user: (*user).to_owned(),
                audience: reading.audience,
            },
            [user, "+api"] => Self::Api(ApiOf::User((*user).to_owned())),
            [_, _, rest @ ..] => {
                let (index, path) = segments.index_and_rest();
                match IndexName::parse(index) {
                    Ok(index) => reading.within(index, path, rest),
                    Err(_) => Self::NotFound,
                }
            }
        })
    }
}

impl Reading<'_> {
    /// What stands below `/user/index`: `rest` are the parts of `path`.
    fn within(&self, index: IndexName, path: &str, rest: &[&str]) -> PublicRoute {
        let is_installer = || self.audience == Audience::Installer;
        let of_index = if self.has_slash {
            PageForm::Index
        } else {
            PageForm::IndexNoSlash
        };
        match rest {
            [] if is_installer() => self.list(index, of_index),
            [] => PublicRoute::Index {
                index,
                audience: self.audience,
            },
            ["+api"] => PublicRoute::Api(ApiOf::Index(index)),
            ["+doctor"] => PublicRoute::Doctor(AskedIndex::Named(index)),
            [UPLOADS_FEED] if !self.has_slash => PublicRoute::Uploads { index },
            ["+simple"] if self.has_slash => self.list(index, PageForm::Simple),
            ["+simple"] if is_installer() => self.list(index, PageForm::SimpleNoSlash),
            ["+simple"] => self.redirect("+simple/", false),
            ["+simple", project] => self.page(AskedIndex::Named(index), project, PageForm::Simple),
            ["+f" | "+e", _, ..] => file(index, path, rest),
            [project] if is_installer() => self.page(AskedIndex::Named(index), project, of_index),
            [project] => self.project(index, project),
            ["integrity", _, _, filename, "provenance"] if !filename.is_empty() => {
                PublicRoute::File {
                    index,
                    path: path.to_owned(),
                    filename: (*filename).to_owned(),
                    part: AskedPart::Provenance,
                }
            }
            [project, version] => match ProjectName::parse(project) {
                Ok(project) if !version.is_empty() => PublicRoute::Release {
                    index,
                    project,
                    version: (*version).to_owned(),
                    audience: self.audience,
                },
                Ok(_) | Err(_) => PublicRoute::NotFound,
            },
            [project, version, "+d", inside @ ..] => {
                let is_bare = inside.is_empty() && !self.has_slash;
                let moved = is_bare.then(|| "+d/".to_owned());
                self.documentation(index, (project, version), inside, moved)
            }
            [project, version, "+doc", inside @ ..] => {
                let up = "../".repeat(inside.len() + usize::from(self.has_slash));
                let moved = format!("{up}+d/{}", self.inside(inside, encode));
                self.documentation(index, (project, version), inside, Some(moved))
            }
            _ => PublicRoute::NotFound,
        }
    }

    fn documentation(
        &self,
        index: IndexName,
        (project, version): (&str, &str),
        inside: &[&str],
        moved: Option<String>,
    ) -> PublicRoute {
        match ProjectName::parse(project) {
            Ok(project) if !version.is_empty() => PublicRoute::Documentation {
                index,
                project,
                version: version.to_owned(),
                path: self.inside(inside, str::to_owned),
                moved,
            },
            Ok(_) | Err(_) => PublicRoute::NotFound,
        }
    }

    /// A path within documentation.
    fn inside(&self, parts: &[&str], write: fn(&str) -> String) -> String {
        let parts: Vec<String> = parts.iter().map(|part| write(part)).collect();
        let slash = if self.has_slash && !parts.is_empty() {
            "/"
        } else {
            ""
        };
        parts.join("/") + slash
    }

    fn list(&self, index: IndexName, form: PageForm) -> PublicRoute {
        PublicRoute::ProjectList {
            index: AskedIndex::Named(index),
            form,
        }
    }

    /// A simple page, in its proper spelling only.
    fn page(&self, index: AskedIndex, asked: &str, form: PageForm) -> PublicRoute {
        let Ok(project) = ProjectName::parse(asked) else {
            return PublicRoute::NotFound;
        };
        let form = match form {
            PageForm::Simple | PageForm::SimpleNoSlash if self.has_slash => PageForm::Simple,
            PageForm::Simple | PageForm::SimpleNoSlash => PageForm::SimpleNoSlash,
            PageForm::Index | PageForm::IndexNoSlash | PageForm::Default => form,
        };
        if !project.is_spelled(asked) {
            return self.redirect_to_name(&project, !matches!(form, PageForm::IndexNoSlash));
        }
        let answers_without_slash = match form {
            PageForm::Simple | PageForm::Index | PageForm::IndexNoSlash => true,
            PageForm::SimpleNoSlash => self.audience == Audience::Installer,
            PageForm::Default => self.has_slash,
        };
        if !answers_without_slash {
            return self.redirect(&format!("{project}/"), false);
        }
        PublicRoute::ProjectPage {
            index,
            project,
            form,
        }
    }

    fn project(&self, index: IndexName, asked: &str) -> PublicRoute {
        match ProjectName::parse(asked) {
            Ok(project) if project.is_spelled(asked) => PublicRoute::Project {
                index,
                project,
                audience: self.audience,
            },
            Ok(project) => self.redirect_to_name(&project, false),
            Err(_) => PublicRoute::NotFound,
        }
    }

    /// A redirect to the proper spelling of the last segment, with a slash if the page needs one.
    fn redirect_to_name(&self, project: &ProjectName, wants_slash: bool) -> PublicRoute {
        let to = match (self.has_slash, wants_slash) {
            (true, _) => format!("../{project}/"),
            (false, true) => format!("{project}/"),
            (false, false) => project.to_string(),
        };
        self.redirect(&to, true)
    }

    fn redirect(&self, to: &str, is_permanent: bool) -> PublicRoute {
        let to = match self.query {
            // Already encoded by the client; anything but printable ASCII cannot stand in a header.
            Some(query) => format!("{to}?{}", utf8_percent_encode(query, CONTROLS)),
            None => to.to_owned(),
        };
        PublicRoute::Redirect { to, is_permanent }
    }
}

/// `+f/…/filename` or `+e/…/filename`; a trailing slash is ignored, as in devpi.
fn file(index: IndexName, path: &str, rest: &[&str]) -> PublicRoute {
    let [_, folders @ .., last] = rest else {
        return PublicRoute::NotFound;
    };
    if folders.is_empty() || rest.iter().any(|part| part.is_empty()) {
        return PublicRoute::NotFound;
    }
    let (filename, part) = AskedPart::split(last);
    PublicRoute::File {
        index,
        path: path.to_owned(),
        filename: filename.to_owned(),
        part,
    }
}

#[cfg(test)]
mod tests;
