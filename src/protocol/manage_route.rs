//! Every route of the management door that is not plain reading: one match is its table of contents
//! (docs/protocol/devpi.md §3).
//!
//! GET and HEAD are [`PublicRoute`]s, whatever body they carry. The rest is told apart by method and
//! path, and where devpi takes a form and an object under one path, by the content type.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};

use crate::model::{IndexName, OperationClass, ProjectName};
use crate::protocol::audience::Audience;
use crate::protocol::route::{ApiOf, PublicRoute};
use crate::protocol::segments::{BadPath, Segments};

/// What a request at the management door asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManageRoute {
    /// Reading, as at the public door.
    Read(PublicRoute),
    /// `POST /+login`
    LogIn,
    /// `/+authcheck`, for a proxy in front that asks whether to let a request pass.
    AuthCheck,
    /// `POST /+reload`
    Reload,
    /// `POST /+cache/…`
    Cache(CacheWork),
    /// `POST /+recall` and below
    Recall(RecallIntent),
    /// `PUT`, `PATCH` or `DELETE /user`
    User(Intent, String),
    /// `PUT`, `PATCH` or `DELETE /user/index`
    Index(Intent, IndexName),
    /// `PUT /user/index` where one of the two is not a valid name.
    CreateMisnamed {
        /// The first segment.
        user: String,
        /// The second.
        index: String,
    },
    /// `POST /user/index`, a form: an upload or a registration.
    Upload(IndexName),
    /// `PUSH /user/index`, or `POST` with an object.
    Push(IndexName),
    /// `POST /user/index`, XML: sent by `pip search`.
    XmlSearch(IndexName),
    /// `POST /user/index/+simple/project/refresh`
    Refresh(IndexName, ProjectName),
    /// `POST /user/index/+f/…`: the result of a test run of that file.
    ToxResult(IndexName, String),
    /// `DELETE` of content.
    Delete {
        /// From this index.
        index: IndexName,
        /// What.
        content: Deletable,
        /// `?force`, with any value: also from a non-volatile index.
        force: bool,
    },
    /// A path that exists, but only for these other methods.
    NotAllowed(&'static str),
    /// No such route.
    NotFound,
}

/// What should be done with what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheWork {
    /// What the schedule does, now: evict, and remove private bytes without a record.
    Collect,
    /// Read these uploaded files again, and serve none that is damaged.
    Inspect,
}

/// What should happen to recalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecallIntent {
    /// `POST /+recall`: recall something.
    Make,
    /// `POST /+recall/list`: tell what is recalled.
    List,
    /// `POST /+recall/undo`: withdraw a recall.
    Undo,
}

/// What should happen to a user or an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// `PUT`
    Create,
    /// `PATCH`
    Modify,
    /// `DELETE`
    Delete,
}

impl Intent {
    fn of(method: &str) -> Option<Self> {
        let all = [Self::Create, Self::Modify, Self::Delete];
        all.into_iter().find(|intent| intent.method() == method)
    }

    /// Its method.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::Create => "PUT",
            Self::Modify => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What can be deleted of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletable {
    /// A project.
    Project(ProjectName),
    /// A release.
    Release(ProjectName, String),
    /// A file, by its path below the index: `+f/abc/…/name`.
    File(String),
}

impl ManageRoute {
    /// Reads a request's method and path (without query, still percent-encoded).
    ///
    /// # Errors
    /// [`BadPath`] when no route can have such a path.
    pub fn parse(
        method: &Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Self, BadPath> {
        if matches!(*method, Method::GET | Method::HEAD) && path != "/+authcheck" {
            return PublicRoute::parse(path, query, Audience::of(headers)).map(Self::Read);
        }
        let segments = Segments::parse(path)?;
        let parts = segments.parts();
        let force = has_key(query, "force");
        Ok(match (method.as_str(), &*parts) {
            (_, ["+authcheck"]) => Self::AuthCheck,
            // devpi answers these whatever the method.
            (_, ["+api"]) => Self::Read(PublicRoute::Api(ApiOf::Root)),
            ("POST", ["+login"]) => Self::LogIn,
            ("POST", ["+reload"]) => Self::Reload,
            ("POST", ["+cache", "gc"]) => Self::Cache(CacheWork::Collect),
            ("POST", ["+cache", "inspect"]) => Self::Cache(CacheWork::Inspect),
            ("POST", ["+recall"]) => Self::Recall(RecallIntent::Make),
            ("POST", ["+recall", "list"]) => Self::Recall(RecallIntent::List),
            ("POST", ["+recall", "undo"]) => Self::Recall(RecallIntent::Undo),
            (
                _,
                ["+login" | "+reload" | "+recall"]
                | ["+cache", "gc" | "inspect"]
                | ["+recall", "list" | "undo"],
            ) => Self::NotAllowed("POST"),
            (_, [] | ["+status" | "+search"]) => Self::NotAllowed("GET, HEAD"),
            (_, [user, ..]) if !is_segment(user) => Self::NotFound,
            (method, [user]) => match Intent::of(method) {
                Some(intent) => Self::User(intent, (*user).to_owned()),
                None => Self::NotAllowed("GET, HEAD, PUT, PATCH, DELETE"),
            },
            (_, [_, index, ..]) if !is_segment(index) => Self::NotFound,
            (method, [user, index, rest @ ..]) => {
                match IndexName::parse(&format!("{user}/{index}")) {
                    Ok(index) => within(method, index, rest, headers, force),
                    Err(_) if method == "PUT" && rest.is_empty() => Self::CreateMisnamed {
                        user: (*user).to_owned(),
                        index: (*index).to_owned(),
                    },
                    Err(_) => Self::NotFound,
                }
            }
        })
    }

    /// The index it concerns, if it concerns one.
    #[must_use]
    pub fn index(&self) -> Option<&IndexName> {
        match self {
            Self::Index(_, index)
            | Self::Upload(index)
            | Self::Push(index)
            | Self::XmlSearch(index)
            | Self::Refresh(index, _)
            | Self::ToxResult(index, _)
            | Self::Delete { index, .. } => Some(index),
            Self::Read(_)
            | Self::LogIn
            | Self::AuthCheck
            | Self::Reload
            | Self::Cache(_)
            | Self::Recall(_)
            | Self::User(..)
            | Self::CreateMisnamed { .. }
            | Self::NotAllowed(_)
            | Self::NotFound => None,
        }
    }

    /// What kind of operation it is.
    #[must_use]
    pub fn class(&self) -> OperationClass {
        match self {
            Self::Read(_)
            | Self::AuthCheck
            | Self::XmlSearch(_)
            | Self::NotAllowed(_)
            | Self::NotFound => OperationClass::Read,
            Self::Upload(_) | Self::ToxResult(..) => OperationClass::Upload,
            Self::LogIn
            | Self::Reload
            | Self::Cache(_)
            | Self::Recall(_)
            | Self::User(..)
            | Self::Index(..)
            | Self::CreateMisnamed { .. }
            | Self::Push(_)
            | Self::Refresh(..)
            | Self::Delete { .. } => OperationClass::Manage,
        }
    }
}

/// What stands below `/user/index`.
fn within(
    method: &str,
    index: IndexName,
    rest: &[&str],
    headers: &HeaderMap,
    force: bool,
) -> ManageRoute {
    let delete = |index, content| ManageRoute::Delete {
        index,
        content,
        force,
    };
    if let (Some(intent), []) = (Intent::of(method), rest) {
        return ManageRoute::Index(intent, index);
    }
    match (method, rest) {
        ("PUSH", []) => ManageRoute::Push(index),
        ("POST", []) => match &*content_kind(headers) {
            "multipart/form-data" | "application/x-www-form-urlencoded" => {
                ManageRoute::Upload(index)
            }
            "text/xml" | "application/xml" => ManageRoute::XmlSearch(index),
            // Clients send JSON without a type or with a wrong one, so only forms are recognised by theirs.
            _ => ManageRoute::Push(index),
        },
        (_, []) => ManageRoute::NotAllowed("GET, HEAD, PUT, PATCH, DELETE, POST, PUSH"),
        (_, ["+api"]) => ManageRoute::Read(PublicRoute::Api(ApiOf::Index(index))),
        ("POST", ["+simple", project, "refresh"]) => {
            of_project(project, |project| ManageRoute::Refresh(index, project))
        }
        ("POST", ["+f" | "+e", _, _, ..]) => ManageRoute::ToxResult(index, rest.join("/")),
        ("DELETE", ["+f" | "+e", _, _, ..]) => delete(index, Deletable::File(rest.join("/"))),
        (_, ["+f" | "+e", ..]) => ManageRoute::NotAllowed("GET, HEAD, POST, DELETE"),
        (_, ["+simple", ..]) => ManageRoute::NotAllowed("GET, HEAD"),
        (_, [project, ..]) if !is_segment(project) => ManageRoute::NotFound,
        ("DELETE", [project]) => of_project(project, |project| {
            delete(index, Deletable::Project(project))
        }),
        ("DELETE", [project, version]) => of_project(project, |project| {
            delete(index, Deletable::Release(project, (*version).to_owned()))
        }),
        (_, [_] | [_, _]) => ManageRoute::NotAllowed("GET, HEAD, DELETE"),
        _ => ManageRoute::NotFound,
    }
}

/// The route for a project's name, if it is valid.
fn of_project(name: &str, route: impl FnOnce(ProjectName) -> ManageRoute) -> ManageRoute {
    ProjectName::parse(name).map_or(ManageRoute::NotFound, route)
}

/// A content type without its parameters, in lower case.
fn content_kind(headers: &HeaderMap) -> String {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next();
    kind.unwrap_or_default().trim().to_ascii_lowercase()
}

/// devpi's `[^+/]+`.
fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains('+')
}

/// Whether a query names a key, with or without a value.
fn has_key(query: Option<&str>, key: &str) -> bool {
    let mut pairs = query.unwrap_or_default().split('&');
    pairs.any(|pair| pair.split('=').next() == Some(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, path: &str, query: Option<&str>, kind: &str) -> ManageRoute {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        ManageRoute::parse(&method, path, query, &headers).unwrap()
    }

    fn dev() -> IndexName {
        IndexName::parse("me/dev").unwrap()
    }

    fn hello() -> ProjectName {
        ProjectName::parse("hello-pkg").unwrap()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table reads by rows")]
    fn each_method_and_path_leads_to_its_own_intent() {
        let user = || "me".to_owned();
        let file = "+f/2fb/5f64435a5845e/Hello.Pkg-1.0.zip";
        let table = [
            ("POST", "/+login", ManageRoute::LogIn),
            ("PUT", "/+login", ManageRoute::NotAllowed("POST")),
            ("POST", "/+reload", ManageRoute::Reload),
            ("POST", "/+cache/gc", ManageRoute::Cache(CacheWork::Collect)),
            (
                "POST",
                "/+cache/inspect",
                ManageRoute::Cache(CacheWork::Inspect),
            ),
            ("PUT", "/+cache/gc", ManageRoute::NotAllowed("POST")),
            ("POST", "/+recall", ManageRoute::Recall(RecallIntent::Make)),
            (
                "POST",
                "/+recall/undo",
                ManageRoute::Recall(RecallIntent::Undo),
            ),
            ("PUT", "/+recall/list", ManageRoute::NotAllowed("POST")),
            ("GET", "/+authcheck", ManageRoute::AuthCheck),
            ("POST", "/+authcheck", ManageRoute::AuthCheck),
            (
                "POST",
                "/+api",
                ManageRoute::Read(PublicRoute::Api(ApiOf::Root)),
            ),
            ("PUT", "/me", ManageRoute::User(Intent::Create, user())),
            (
                "PUT",
                "/a%20b/",
                ManageRoute::User(Intent::Create, "a b".into()),
            ),
            ("PATCH", "/me/", ManageRoute::User(Intent::Modify, user())),
            ("DELETE", "/me", ManageRoute::User(Intent::Delete, user())),
            ("PUT", "/a+b", ManageRoute::NotFound),
            ("PUT", "/me/dev", ManageRoute::Index(Intent::Create, dev())),
            (
                "PUT",
                "/me/a%20b",
                ManageRoute::CreateMisnamed {
                    user: user(),
                    index: "a b".into(),
                },
            ),
            (
                "PATCH",
                "/me/dev/",
                ManageRoute::Index(Intent::Modify, dev()),
            ),
            (
                "DELETE",
                "/me/dev",
                ManageRoute::Index(Intent::Delete, dev()),
            ),
            ("PUSH", "/me/dev", ManageRoute::Push(dev())),
            ("POST", "/me/dev", ManageRoute::Push(dev())),
            (
                "POST",
                "/me/dev/+simple/Hello.Pkg/refresh",
                ManageRoute::Refresh(dev(), hello()),
            ),
            (
                "POST",
                "/me/dev/%2Bf/a/b/c",
                ManageRoute::ToxResult(dev(), "+f/a/b/c".into()),
            ),
            (
                "DELETE",
                "/me/dev/Hello.Pkg",
                ManageRoute::Delete {
                    index: dev(),
                    content: Deletable::Project(hello()),
                    force: false,
                },
            ),
            (
                "DELETE",
                "/me/dev/hello_pkg/1.0/",
                ManageRoute::Delete {
                    index: dev(),
                    content: Deletable::Release(hello(), "1.0".into()),
                    force: false,
                },
            ),
            (
                "PUT",
                "/me/dev/hello-pkg",
                ManageRoute::NotAllowed("GET, HEAD, DELETE"),
            ),
            ("PATCH", "/me/dev/a/b/c", ManageRoute::NotFound),
        ];
        for (method, path, expected) in table {
            let found = parse(method, path, None, "application/json");
            assert_eq!(found, expected, "{method} {path}");
        }
        let found = parse(
            "DELETE",
            &format!("/me/dev/{file}"),
            Some("a=b&force="),
            "text/plain",
        );
        let content = Deletable::File(file.into());
        assert_eq!(
            found,
            ManageRoute::Delete {
                index: dev(),
                content,
                force: true
            }
        );
    }

    #[test]
    fn a_post_to_an_index_is_known_by_its_content_type() {
        for (kind, expected) in [
            (
                "multipart/form-data; boundary=x; charset=utf-8",
                ManageRoute::Upload(dev()),
            ),
            (
                "Application/X-WWW-Form-Urlencoded",
                ManageRoute::Upload(dev()),
            ),
            ("text/xml", ManageRoute::XmlSearch(dev())),
            ("application/json", ManageRoute::Push(dev())),
            ("text/plain", ManageRoute::Push(dev())),
        ] {
            for path in ["/me/dev", "/me/dev/"] {
                assert_eq!(parse("POST", path, None, kind), expected, "{kind} {path}");
            }
        }
    }

    #[test]
    fn reading_is_reading_whatever_the_path() {
        for path in [
            "/",
            "/me",
            "/me/dev",
            "/me/dev/six",
            "/+login",
            "/me/dev/+f/a/b/c",
        ] {
            for method in ["GET", "HEAD"] {
                let found = parse(method, path, None, "application/json");
                assert!(
                    matches!(found, ManageRoute::Read(_)),
                    "{method} {path}: {found:?}"
                );
                assert_eq!(found.class(), OperationClass::Read);
            }
        }
    }

    #[test]
    fn classes_separate_uploads_from_management() {
        for (method, kind, expected) in [
            (
                "POST",
                "multipart/form-data; boundary=x",
                OperationClass::Upload,
            ),
            ("POST", "application/json", OperationClass::Manage),
            ("PUSH", "application/json", OperationClass::Manage),
            ("PATCH", "application/json", OperationClass::Manage),
        ] {
            assert_eq!(
                parse(method, "/me/dev", None, kind).class(),
                expected,
                "{method} {kind}"
            );
        }
    }
}
