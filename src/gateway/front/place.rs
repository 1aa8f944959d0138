//! Who answers a route: our own flows, an index of the fleet through them, or the fleet itself. Pure.

use crate::config::Undeclared;
use crate::model::IndexName;
use crate::protocol::ApiOf;
use crate::protocol::AskedIndex;
use crate::protocol::ManageRoute;
use crate::protocol::PublicRoute;

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The flows, as if there were no fleet.
    Ours,
    /// The flows, with an index that only the fleet knows.
    Through(IndexName),
    /// The fleet.
    Devpi,
    /// Nobody: it is not declared, and what is not declared is hidden.
    Hidden(IndexName),
}

/// What a file says of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    /// Nothing.
    No,
    /// A stage or a mirror of ours.
    Ours,
    /// `type: devpi`: one of the fleet's, under our rules.
    Devpi,
}

/// Who answers a route. `path` is the one that was asked for, for what is no route of ours.
pub(super) fn place(
    route: &PublicRoute,
    path: &str,
    undeclared: Undeclared,
    declared: &dyn Fn(&IndexName) -> Declared,
) -> Place {
    let files = |index: &IndexName| match (declared(index), undeclared) {
        (Declared::Ours | Declared::Devpi, _) => Place::Ours,
        (Declared::No, Undeclared::Pass) => Place::Through(index.clone()),
        (Declared::No, Undeclared::Hide) => Place::Hidden(index.clone()),
    };
    let objects = |index: &IndexName| match (declared(index), undeclared) {
        (Declared::Ours, _) => Place::Ours,
        (Declared::Devpi, _) | (Declared::No, Undeclared::Pass) => Place::Devpi,
        (Declared::No, Undeclared::Hide) => Place::Hidden(index.clone()),
    };
    // These name indexes that may be hidden.
    let open = match undeclared {
        Undeclared::Pass => Place::Devpi,
        Undeclared::Hide => Place::Ours,
    };
    match route {
        PublicRoute::ProjectList { index, .. } => match index {
            AskedIndex::Named(index) => match files(index) {
                Place::Through(_) => Place::Devpi,
                other => other,
            },
            AskedIndex::Default => Place::Ours,
        },
        PublicRoute::ProjectPage { index, .. } => match index {
            AskedIndex::Named(index) => files(index),
            AskedIndex::Default => Place::Ours,
        },
        PublicRoute::File { index, .. } => files(index),
        PublicRoute::Api(ApiOf::Index(index))
        | PublicRoute::Index { index, .. }
        | PublicRoute::Project { index, .. }
        | PublicRoute::Release { index, .. } => objects(index),
        PublicRoute::Api(ApiOf::Root | ApiOf::User(_)) | PublicRoute::Status => Place::Devpi,
        PublicRoute::Users(_)
        | PublicRoute::User { .. }
        | PublicRoute::Search
        | PublicRoute::Static { .. } => open,
        // What we do not know devpi or its plugins may, but never of an index that has rules: devpi
        // might read the path as one of its files.
        PublicRoute::NotFound => match index_of(path).map(|index| declared(&index)) {
            Some(Declared::Ours | Declared::Devpi) => Place::Ours,
            Some(Declared::No) | None => open,
        },
        PublicRoute::Redirect { .. } => Place::Ours,
    }
}

/// Who carries out what is more than reading. Users and logins are devpi's, and so is what we do not
/// know, unless it is about an index of ours.
pub(super) fn place_of_errand(
    route: &ManageRoute,
    path: &str,
    undeclared: Undeclared,
    declared: &dyn Fn(&IndexName) -> Declared,
) -> Place {
    if let ManageRoute::Read(route) = route {
        return place(route, path, undeclared, declared);
    }
    if matches!(route, ManageRoute::Reload) {
        return Place::Ours;
    }
    let Some(index) = route.index().cloned().or_else(|| index_of(path)) else {
        return Place::Devpi;
    };
    match (declared(&index), undeclared) {
        (Declared::Ours, _) => Place::Ours,
        (Declared::Devpi, _) | (Declared::No, Undeclared::Pass) => Place::Devpi,
        (Declared::No, Undeclared::Hide) => Place::Hidden(index),
    }
}

/// The index that the first two segments of a path would name.
pub(super) fn index_of(path: &str) -> Option<IndexName> {
    let decoded = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .ok()?;
    let mut segments = decoded.split('/').filter(|segment| !segment.is_empty());
    let (user, index) = (segments.next()?, segments.next()?);
    IndexName::parse(&format!("{user}/{index}")).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::Method;

    use super::*;
    use crate::protocol::Audience;

    fn declared(index: &IndexName) -> Declared {
        match index.as_str() {
            "corp/rules" => Declared::Devpi,
            "corp/stage" => Declared::Ours,
            _ => Declared::No,
        }
    }

    fn told(place: Place) -> String {
        match place {
            Place::Ours => "ours".to_owned(),
            Place::Devpi => "devpi".to_owned(),
            Place::Through(index) => format!("through {index}"),
            Place::Hidden(index) => format!("hidden {index}"),
        }
    }

    #[test]
    fn what_is_declared_is_ours_and_the_rest_is_devpis_or_hidden() {
        let table = [
            ("/", "devpi", "ours"),
            ("/+api", "devpi", "devpi"),
            ("/+status", "devpi", "devpi"),
            ("/corp", "devpi", "ours"),
            ("/simple/six/", "ours", "ours"),
            ("/a/b", "devpi", "hidden a/b"),
            ("/a/b/+api", "devpi", "hidden a/b"),
            ("/a/b/+simple/", "devpi", "hidden a/b"),
            ("/a/b/+simple/six/", "through a/b", "hidden a/b"),
            (
                "/a/b/%2Bf/abc/0123456789abc/six-1.0.tar.gz",
                "through a/b",
                "hidden a/b",
            ),
            ("/a/b/six/1.0", "devpi", "hidden a/b"),
            ("/a/b/six/1.0/+d/index.html", "devpi", "ours"),
            ("/corp/rules", "devpi", "devpi"),
            ("/corp/rules/six", "devpi", "devpi"),
            ("/corp/rules/+simple/", "ours", "ours"),
            ("/corp/rules/+simple/six/", "ours", "ours"),
            (
                "/corp/rules/+f/abc/0123456789abc/six-1.0.tar.gz",
                "ours",
                "ours",
            ),
            ("/corp/rules/six/1.0/+d/index.html", "ours", "ours"),
            ("//corp//rules/+f/abc/six-1.0.tar.gz", "ours", "ours"),
            ("/corp/stage", "ours", "ours"),
            ("/corp/stage/six", "ours", "ours"),
        ];
        for (path, when_passing, when_hiding) in table {
            let route = PublicRoute::parse(path, None, Audience::Json).unwrap();
            for (undeclared, expected) in [
                (Undeclared::Pass, when_passing),
                (Undeclared::Hide, when_hiding),
            ] {
                let told = told(place(&route, path, undeclared, &declared));
                assert_eq!(told, expected, "{path} {undeclared:?} {route:?}");
            }
        }
    }

    #[test]
    fn writes_go_where_their_index_is_and_logins_to_devpi() {
        let table = [
            ("POST /+login", "devpi", "devpi"),
            ("POST /+reload", "ours", "ours"),
            ("PUT /me", "devpi", "devpi"),
            ("PUT /a/b", "devpi", "hidden a/b"),
            ("POST /a/b", "devpi", "hidden a/b"),
            ("PUSH /a/b", "devpi", "hidden a/b"),
            ("DELETE /a/b/six/1.0", "devpi", "hidden a/b"),
            ("POST /corp/rules", "devpi", "devpi"),
            ("DELETE /corp/rules/+f/abc/0123/six.zip", "devpi", "devpi"),
            ("POST /corp/stage", "ours", "ours"),
            ("PATCH /corp/stage", "ours", "ours"),
            ("BREW /corp/stage/six/1.0/pot", "ours", "ours"),
            ("BREW /a/b/six/1.0/pot", "devpi", "hidden a/b"),
            ("GET /+authcheck", "devpi", "devpi"),
            ("GET /corp/stage/six", "ours", "ours"),
            ("GET /a/b/+simple/six/", "through a/b", "hidden a/b"),
        ];
        for (line, when_passing, when_hiding) in table {
            let (method, path) = line.split_once(' ').unwrap();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let route = ManageRoute::parse(&method, path, None, &HeaderMap::new()).unwrap();
            for (undeclared, expected) in [
                (Undeclared::Pass, when_passing),
                (Undeclared::Hide, when_hiding),
            ] {
                let told = told(place_of_errand(&route, path, undeclared, &declared));
                assert_eq!(told, expected, "{line} {undeclared:?} {route:?}");
            }
        }
    }
}
