//! devpi's objects without what the rules refuse (docs/protocol/devpi.md §7, §12.1). Pure.
//!
//! devpi knows more about a release than a simple page says, so its object is passed on; but every link
//! in it must be one that the asked index serves. Links lead to the asked index, since its rules were
//! applied: the owning index may have others, or none.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::model::IndexName;
use crate::page::{FilePath, parse_file_path};

const LINKS: &str = "+links";
const SHADOWING: &str = "+shadowing";
const INDEXES: &str = "indexes";

/// How the rules judge a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Some file of it passes, or it has none.
    Passes,
    /// Refused, and listed as yanked for this reason.
    Yanked(Arc<str>),
    /// Refused, and not listed.
    Hidden,
}

/// The answers of the rules, file by file.
pub struct FileRules<'a> {
    /// The asked index.
    pub asked: &'a IndexName,
    /// The path below the asked index, for a file that passes.
    pub file: &'a dyn Fn(&FilePath) -> Option<String>,
    /// How a release stands when none of its files pass.
    pub refused: &'a dyn Fn(&str) -> Standing,
    /// Whether attachments of a release are available from the index that holds them.
    pub reaches: &'a dyn Fn(&IndexName) -> bool,
}

/// One of devpi's links: the URL of its index, which index that is, and the path below it.
struct Href {
    root: String,
    owner: IndexName,
    path: FilePath,
}

impl Href {
    fn parse(href: &str) -> Option<Self> {
        let href = href.split('#').next()?;
        let at = href.find("/+f/").or_else(|| href.find("/+e/"))?;
        let (index, path) = (&href[..at], &href[at + 1..]);
        let mut parts = index.rsplitn(3, '/');
        let (name, user, root) = (parts.next()?, parts.next()?, parts.next()?);
        let owner = percent_decode_str(&format!("{user}/{name}"))
            .decode_utf8()
            .ok()
            .and_then(|owner| IndexName::parse(&owner).ok())?;
        let path = percent_decode_str(path).decode_utf8().ok()?;
        Some(Self {
            root: root.to_owned(),
            owner,
            path: parse_file_path(&path)?,
        })
    }
}

impl FileRules<'_> {
    /// The versions of a project; hidden ones are removed.
    pub fn project(&self, versions: &mut Map<String, Value>) {
        let whole = std::mem::take(versions);
        let passing = whole.into_iter().filter_map(|(version, data)| match data {
            Value::Object(data) => Some((version, self.release(data)?.into())),
            // No object of devpi's has anything else here.
            _ => None,
        });
        versions.extend(passing);
    }

    /// A release and what it shadows; `None` if all of that is hidden.
    pub fn release(&self, mut data: Map<String, Value>) -> Option<Map<String, Value>> {
        let shadowed = match data.remove(SHADOWING) {
            Some(Value::Array(shadowed)) => shadowed,
            _ => Vec::new(),
        };
        let shadowed = shadowed.into_iter().filter_map(|data| match data {
            Value::Object(data) => Some(data),
            _ => None,
        });
        let mut layers = [data].into_iter().chain(shadowed);
        let mut first = layers.find_map(|data| self.layer(data))?;
        let rest: Vec<Value> = layers
            .filter_map(|data| self.layer(data).map(Value::Object))
            .collect();
        if !rest.is_empty() {
            first.insert(SHADOWING.to_owned(), rest.into());
        }
        Some(first)
    }

    /// What one index says about a release.
    fn layer(&self, mut data: Map<String, Value>) -> Option<Map<String, Value>> {
        data.remove(SHADOWING);
        let Some(links) = data.get_mut(LINKS).and_then(Value::as_array_mut) else {
            return Some(data);
        };
        let is_release = |link: &Value| link["rel"] == "releasefile";
        let had_files = links.iter().any(is_release);
        links.retain_mut(|link| self.link(link));
        if !had_files || links.iter().any(is_release) {
            return Some(data);
        }
        links.clear();
        let version = data.get("version").and_then(Value::as_str);
        match (self.refused)(version.unwrap_or_default()) {
            Standing::Yanked(words) => {
                data.insert("yanked".to_owned(), words.as_ref().into());
                Some(data)
            }
            Standing::Passes | Standing::Hidden => None,
        }
    }

    /// Whether a link stays, and where it leads.
    fn link(&self, link: &mut Value) -> bool {
        let parsed = |key: &str| link[key].as_str().and_then(Href::parse);
        let (Some(href), subject) = (parsed("href"), parsed("for_href")) else {
            return false;
        };
        let moved = |href: &Href| {
            let path = (self.file)(&href.path)?;
            Some(format!("{}/{}/{path}", href.root, self.asked))
        };
        match link["rel"].as_str() {
            Some("releasefile") => match moved(&href) {
                Some(moved) => {
                    link["href"] = moved.into();
                    true
                }
                None => false,
            },
            // It stays where it is, and names the file by the link that this object has for it.
            Some("toxresult") => match subject.as_ref().and_then(moved) {
                Some(moved) => {
                    link["for_href"] = moved.into();
                    (self.reaches)(&href.owner)
                }
                None => false,
            },
            Some("doczip") => (self.reaches)(&href.owner),
            _ => false,
        }
    }
}

/// Removes indexes from the object of a user.
pub fn without_indexes(user: &str, object: &mut Value, is_shown: &dyn Fn(&IndexName) -> bool) {
    if let Some(indexes) = object.get_mut(INDEXES).and_then(Value::as_object_mut) {
        indexes.retain(|name, _| {
            IndexName::parse(&format!("{user}/{name}")).is_ok_and(|index| is_shown(&index))
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Files with a 1 in their digest pass; releases before 1.0 are listed as yanked.
    fn ruled(versions: Value) -> Value {
        let asked = IndexName::parse("corp/rules").unwrap();
        let file = |path: &FilePath| {
            let is_good =
                matches!(&path.place, crate::page::FilePlace::Digest(hex) if hex.contains('1'));
            is_good.then(|| format!("+f/111/1/{}", path.filename))
        };
        let refused = |version: &str| match version {
            "0.1" => Standing::Yanked("too old".into()),
            _ => Standing::Hidden,
        };
        let ruling = FileRules {
            asked: &asked,
            file: &file,
            refused: &refused,
            reaches: &|owner| owner.as_str() != "corp/inner",
        };
        let mut versions = versions.as_object().unwrap().clone();
        ruling.project(&mut versions);
        versions.into()
    }

    fn link(rel: &str, owner: &str, digits: &str, name: &str) -> Value {
        let href = format!("http://h/pypi/{owner}/+f/{digits}/0000000000000/{name}");
        json!({"rel": rel, "href": href, "hash_spec": "sha256=x"})
    }

    fn result(owner: &str, of: (&str, &str), name: &str) -> Value {
        let (digits, file) = of;
        let mut result = link("toxresult", owner, "abc", name);
        result["for_href"] = link("", owner, digits, file)["href"].clone();
        result
    }

    #[test]
    fn only_links_to_what_passes_stay_and_they_lead_to_the_asked_index() {
        let versions = json!({
            "1.0": {"version": "1.0", "+links": [
                link("releasefile", "corp/rules", "011", "a-1.0.zip"),
                link("releasefile", "corp/rules", "022", "a-1.0.whl"),
                result("corp/rules", ("011", "a-1.0.zip"), "a-1.0.zip.toxresult-1-0"),
                result("corp/rules", ("022", "a-1.0.whl"), "a-1.0.whl.toxresult-1-0"),
                link("doczip", "corp/rules", "abc", "a-1.0.doc.zip"),
                link("strange", "corp/rules", "011", "a-1.0.zip"),
                {"rel": "releasefile", "href": "http://elsewhere/a-1.0.zip"},
                {"rel": "releasefile"},
            ]},
        });
        let shown = ruled(versions);
        let links = shown["1.0"]["+links"].as_array().unwrap();
        let hrefs: Vec<&str> = links
            .iter()
            .map(|link| link["href"].as_str().unwrap())
            .collect();
        assert_eq!(
            hrefs,
            [
                "http://h/pypi/corp/rules/+f/111/1/a-1.0.zip",
                "http://h/pypi/corp/rules/+f/abc/0000000000000/a-1.0.zip.toxresult-1-0",
                "http://h/pypi/corp/rules/+f/abc/0000000000000/a-1.0.doc.zip",
            ]
        );
        assert_eq!(links[1]["for_href"], links[0]["href"]);
    }

    #[test]
    fn what_another_index_holds_is_linked_to_the_asked_one_unless_it_is_attached() {
        let versions = json!({
            "1.0": {"version": "1.0", "+links": [
                link("releasefile", "corp/inner", "011", "a-1.0.zip"),
                result("corp/inner", ("011", "a-1.0.zip"), "a-1.0.zip.toxresult-1-0"),
                link("doczip", "corp/inner", "abc", "a-1.0.doc.zip"),
            ]},
        });
        let shown = ruled(versions);
        let links = shown["1.0"]["+links"].as_array().unwrap();
        assert_eq!(links.len(), 1, "{shown:#}");
        assert_eq!(
            links[0]["href"],
            "http://h/pypi/corp/rules/+f/111/1/a-1.0.zip"
        );
    }

    #[test]
    fn releases_without_any_file_that_passes_are_hidden_or_yanked() {
        let files = |digits| json!([link("releasefile", "corp/rules", digits, "a.zip")]);
        let shown = ruled(json!({
            "0.1": {"version": "0.1", "+links": files("022"), "summary": "kept"},
            "0.2": {"version": "0.2", "+links": files("022")},
            "0.3": {"version": "0.3", "+links": []},
            "0.4": {"version": "0.4"},
            "0.5": {"+links": files("022")},
            "0.6": "no object",
        }));
        assert_eq!(
            shown,
            json!({
                "0.1": {"version": "0.1", "+links": [], "summary": "kept", "yanked": "too old"},
                "0.3": {"version": "0.3", "+links": []},
                "0.4": {"version": "0.4"},
            })
        );
    }

    #[test]
    fn what_is_shadowed_moves_up_when_what_shadows_it_is_refused() {
        let layer = |digits, title| {
            let files = json!([link("releasefile", "corp/rules", digits, "a.zip")]);
            json!({"version": "1.0", "summary": title, "+links": files})
        };
        let mut top = layer("022", "refused");
        top["+shadowing"] = json!([
            layer("011", "one"),
            layer("033", "gone"),
            layer("014", "two")
        ]);
        let shown = ruled(json!({ "1.0": top }));
        let first = &shown["1.0"];
        assert_eq!(first["summary"], "one");
        let below = first["+shadowing"].as_array().unwrap();
        assert_eq!(below.len(), 1);
        assert_eq!(below[0]["summary"], "two");
        assert!(below[0].get("+shadowing").is_none());
    }

    #[test]
    fn indexes_are_taken_out_of_a_user_by_name() {
        let mut user = json!({"username": "corp", "indexes": {"inner": {}, "rules": {}}});
        without_indexes("corp", &mut user, &|index| index.as_str() != "corp/inner");
        assert_eq!(user["indexes"], json!({"rules": {}}));
        let mut none = json!({"username": "corp"});
        without_indexes("corp", &mut none, &|_| false);
        assert_eq!(none, json!({"username": "corp"}));
    }
}
