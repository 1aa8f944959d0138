//! Who answers a route: our own flows, an index of the fleet through them, or the fleet itself. Pure.

use crate::config::Undeclared;
use crate::model::IndexName;
use crate::protocol::{ApiOf, AskedIndex, Audience, ManageRoute, PublicRoute};

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The flows, as if there were no fleet.
    Ours,
    /// The flows, with an index that only the fleet has.
    Through(IndexName),
    /// The fleet.
    Devpi,
    /// The fleet, after applying the rules on its index, without what they refuse.
    Ruled(IndexName),
    /// The fleet, without the indexes that this door does not show.
    Listing,
    /// Nobody: it is undeclared, and undeclared indexes are hidden; or this door does not show it.
    Hidden(IndexName),
}

/// What a file says about an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// Nothing.
    No,
    /// One of our stages or mirrors.
    Ours,
    /// `type: devpi`: one of the fleet's, unrestricted.
    Devpi,
    /// One of the fleet's, under our rules.
    Ruled,
    /// One that this door does not show, whoever has it.
    Kept,
}

impl Declared {
    /// Whether it is one of the fleet's that this door shows.
    pub fn is_devpis(self) -> bool {
        match self {
            Self::Devpi | Self::Ruled => true,
            Self::No | Self::Ours | Self::Kept => false,
        }
    }
}

/// What a place depends on.
pub struct Surroundings<'a> {
    /// What happens to indexes that no file declares.
    pub undeclared: Undeclared,
    /// What files say about an index, as far as the asked door shows it.
    pub declared: &'a dyn Fn(&IndexName) -> Declared,
    /// What files say about all indexes together; asked for routes that concern more than one.
    pub whole: &'a dyn Fn() -> Whole,
}

impl Surroundings<'_> {
    fn pages(&self, index: &IndexName) -> Place {
        match ((self.declared)(index), self.undeclared) {
            (Declared::Ours | Declared::Devpi | Declared::Ruled, _) => Place::Ours,
            (Declared::No, Undeclared::Pass) => Place::Through(index.clone()),
            (Declared::Kept, _) | (Declared::No, Undeclared::Hide) => Place::Hidden(index.clone()),
        }
    }

    fn objects(&self, index: &IndexName) -> Place {
        match ((self.declared)(index), self.undeclared) {
            (Declared::Ours, _) => Place::Ours,
            (Declared::Ruled, _) => Place::Ruled(index.clone()),
            (Declared::Devpi, _) | (Declared::No, Undeclared::Pass) => Place::Devpi,
            (Declared::Kept, _) | (Declared::No, Undeclared::Hide) => Place::Hidden(index.clone()),
        }
    }
}

/// What files say about all indexes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Whether one of the fleet's is under rules: then devpi's search results are not for everybody.
    pub has_ruled: bool,
    /// Whether there is an index that the asked door does not show.
    pub has_kept: bool,
}

/// Who answers a route. `path` is the requested path, for requests that are no route of ours.
pub fn place(route: &PublicRoute, path: &str, around: &Surroundings<'_>) -> Place {
    // These name indexes, which may be hidden.
    let open = match around.undeclared {
        Undeclared::Pass => Place::Devpi,
        Undeclared::Hide => Place::Ours,
    };
    match route {
        PublicRoute::ProjectList {
            index: AskedIndex::Named(index),
            ..
        } => match around.pages(index) {
            Place::Through(_) => Place::Devpi,
            other => other,
        },
        PublicRoute::ProjectPage {
            index: AskedIndex::Named(index),
            ..
        }
        | PublicRoute::File { index, .. } => around.pages(index),
        PublicRoute::ProjectList { .. }
        | PublicRoute::ProjectPage { .. }
        | PublicRoute::Redirect { .. } => Place::Ours,
        PublicRoute::Api(ApiOf::Index(index)) => match around.objects(index) {
            // It names no project.
            Place::Ruled(_) => Place::Devpi,
            other => other,
        },
        PublicRoute::Index { index, .. }
        | PublicRoute::Project { index, .. }
        | PublicRoute::Release { index, .. } => around.objects(index),
        PublicRoute::Api(ApiOf::Root | ApiOf::User(_)) | PublicRoute::Status => Place::Devpi,
        PublicRoute::Doctor(_) => Place::Ours,
        PublicRoute::Users(audience) | PublicRoute::User { audience, .. } => {
            match (open, audience) {
                (Place::Devpi, _) if !(around.whole)().has_kept => Place::Devpi,
                (Place::Devpi, Audience::Json | Audience::Installer) => Place::Listing,
                _ => Place::Ours,
            }
        }
        // devpi's search results come from every index it has.
        PublicRoute::Search => match (around.whole)() {
            Whole {
                has_ruled: false,
                has_kept: false,
            } => open,
            _ => Place::Ours,
        },
        PublicRoute::Static { .. } => open,
        // Documentation and uploads are kept for our stages alone. A path unknown to us may be known to devpi
        // or its plugins; but below an index with rules devpi might read it as one of its files.
        PublicRoute::NotFound | PublicRoute::Documentation { .. } | PublicRoute::Uploads { .. } => {
            let Some(index) = index_of(path) else {
                return open;
            };
            match (around.declared)(&index) {
                Declared::Ours | Declared::Devpi => Place::Ours,
                Declared::Ruled => Place::Ruled(index),
                Declared::Kept => Place::Hidden(index),
                Declared::No => open,
            }
        }
    }
}

/// Who carries out a request that does more than read. Users and logins are devpi's, and so is what we
/// do not know, unless it concerns an index of ours.
pub fn place_of_errand(route: &ManageRoute, path: &str, around: &Surroundings<'_>) -> Place {
    if let ManageRoute::Read(route) = route {
        return place(route, path, around);
    }
    if matches!(
        route,
        ManageRoute::Reload | ManageRoute::Cache(_) | ManageRoute::Recall(_)
    ) {
        return Place::Ours;
    }
    let Some(index) = route.index().cloned().or_else(|| index_of(path)) else {
        return Place::Devpi;
    };
    match around.objects(&index) {
        // pip's search is by words, and devpi's answer comes from every index it has.
        Place::Ruled(_) if matches!(route, ManageRoute::XmlSearch(_)) => Place::Ours,
        other => other,
    }
}

/// The index that the first two segments of a path would name.
pub fn index_of(path: &str) -> Option<IndexName> {
    let decoded = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .ok()?;
    let mut segments = decoded.split('/').filter(|segment| !segment.is_empty());
    let (user, index) = (segments.next()?, segments.next()?);
    IndexName::parse(&format!("{user}/{index}")).ok()
}

/// The segments of a path, decoded; `None` if devpi might split it differently: where slashes stand
/// together, or one is encoded.
pub fn segments_of(path: &str) -> Option<Vec<String>> {
    let inner = path.strip_prefix('/')?;
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let decoded = inner.split('/').map(|segment| {
        let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
        let decoded = decoded.ok()?.into_owned();
        (!decoded.is_empty() && !decoded.contains('/')).then_some(decoded)
    });
    decoded.collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    fn declared(index: &IndexName) -> Declared {
        match index.as_str() {
            "corp/plain" => Declared::Devpi,
            "corp/rules" => Declared::Ruled,
            "corp/stage" => Declared::Ours,
            "corp/inner" => Declared::Kept,
            _ => Declared::No,
        }
    }

    fn around(undeclared: Undeclared) -> Surroundings<'static> {
        Surroundings {
            undeclared,
            declared: &declared,
            whole: &nothing_else,
        }
    }

    /// As if nothing were declared except what the path names.
    fn nothing_else() -> Whole {
        Whole {
            has_ruled: false,
            has_kept: false,
        }
    }

    fn told(place: Place) -> String {
        match place {
            Place::Ours => "ours".to_owned(),
            Place::Devpi => "devpi".to_owned(),
            Place::Through(index) => format!("through {index}"),
            Place::Ruled(index) => format!("ruled {index}"),
            Place::Listing => "listing".to_owned(),
            Place::Hidden(index) => format!("hidden {index}"),
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table reads by rows")]
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
            ("/corp/plain", "devpi", "devpi"),
            ("/corp/plain/six", "devpi", "devpi"),
            ("/corp/plain/+simple/six/", "ours", "ours"),
            ("/corp/plain/six/1.0/+d/index.html", "ours", "ours"),
            ("/corp/rules", "ruled corp/rules", "ruled corp/rules"),
            ("/corp/rules/+api", "devpi", "devpi"),
            ("/corp/rules/six", "ruled corp/rules", "ruled corp/rules"),
            (
                "/corp/rules/six/1.0",
                "ruled corp/rules",
                "ruled corp/rules",
            ),
            ("/corp/inner", "hidden corp/inner", "hidden corp/inner"),
            ("/corp/inner/+api", "hidden corp/inner", "hidden corp/inner"),
            (
                "/corp/inner/six/1.0",
                "hidden corp/inner",
                "hidden corp/inner",
            ),
            (
                "/corp/inner/+simple/six/",
                "hidden corp/inner",
                "hidden corp/inner",
            ),
            (
                "/corp/inner/six/1.0/+d/x",
                "hidden corp/inner",
                "hidden corp/inner",
            ),
            ("/corp/rules/+simple/", "ours", "ours"),
            ("/corp/rules/+simple/six/", "ours", "ours"),
            (
                "/corp/rules/+f/abc/0123456789abc/six-1.0.tar.gz",
                "ours",
                "ours",
            ),
            (
                "/corp/rules/six/1.0/+d/index.html",
                "ruled corp/rules",
                "ruled corp/rules",
            ),
            (
                "//corp//rules/+f/abc/six-1.0.tar.gz",
                "ruled corp/rules",
                "ruled corp/rules",
            ),
            ("/corp/stage", "ours", "ours"),
            ("/corp/stage/six", "ours", "ours"),
        ];
        for (path, when_passing, when_hiding) in table {
            let route = PublicRoute::parse(path, None, Audience::Json).unwrap();
            for (undeclared, expected) in [
                (Undeclared::Pass, when_passing),
                (Undeclared::Hide, when_hiding),
            ] {
                let told = told(place(&route, path, &around(undeclared)));
                assert_eq!(told, expected, "{path} {undeclared:?} {route:?}");
            }
        }
    }

    #[test]
    fn what_is_about_all_indexes_is_devpis_unless_one_is_ruled_or_kept() {
        let table = [
            ("/", Audience::Json, "devpi", "devpi", "listing"),
            ("/corp", Audience::Json, "devpi", "devpi", "listing"),
            ("/", Audience::Person, "devpi", "devpi", "ours"),
            ("/corp", Audience::Person, "devpi", "devpi", "ours"),
            ("/+search", Audience::Person, "devpi", "ours", "ours"),
            ("/+api", Audience::Json, "devpi", "devpi", "devpi"),
            ("/corp/+api", Audience::Json, "devpi", "devpi", "devpi"),
        ];
        for (path, audience, plain, ruled, kept) in table {
            let route = PublicRoute::parse(path, None, audience).unwrap();
            for (has_ruled, has_kept, expected) in [
                (false, false, plain),
                (true, false, ruled),
                (false, true, kept),
                (true, true, kept),
            ] {
                let whole = || Whole {
                    has_ruled,
                    has_kept,
                };
                let around = Surroundings {
                    whole: &whole,
                    ..around(Undeclared::Pass)
                };
                let told = told(place(&route, path, &around));
                assert_eq!(told, expected, "{path} {audience:?} {:?}", whole());
            }
        }
    }

    #[test]
    fn a_path_that_could_be_read_otherwise_has_no_segments() {
        let of = |path: &str| segments_of(path).map(|segments| segments.join(" "));
        assert_eq!(of("/a/b/six/1.0/+d/").as_deref(), Some("a b six 1.0 +d"));
        assert_eq!(of("/a/b/s%69x/%2Bd").as_deref(), Some("a b six +d"));
        for path in ["//a/b/six", "/a//b", "/a/b%2Fsix", "/a/%FF", "a/b", "/"] {
            assert_eq!(of(path), None, "{path}");
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
            ("POST /corp/plain", "devpi", "devpi"),
            ("POST /corp/rules", "ruled corp/rules", "ruled corp/rules"),
            (
                "DELETE /corp/rules/+f/abc/0123/six.zip",
                "ruled corp/rules",
                "ruled corp/rules",
            ),
            ("POST /corp/inner", "hidden corp/inner", "hidden corp/inner"),
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
                let told = told(place_of_errand(&route, path, &around(undeclared)));
                assert_eq!(told, expected, "{line} {undeclared:?} {route:?}");
            }
        }
    }
}
