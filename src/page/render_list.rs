//! Writes a project list name by name: it is too large for a second copy in memory, and its first names
//! are sent before the last have come.

use crate::page::API_VERSION;
use crate::page::sniff::Markup;

/// A list being written.
#[derive(Debug)]
pub struct ListRenderer {
    markup: Markup,
    separator: &'static str,
}

impl ListRenderer {
    /// JSON (PEP 691; docs/protocol/simple-api.md §4.5), or HTML (PEP 503) with links relative to a URL
    /// that ends in a slash. What stands before the first name is written.
    #[must_use]
    pub fn new(markup: Markup, to: &mut Vec<u8>) -> Self {
        let head = match markup {
            Markup::Json => {
                format!(r#"{{"meta":{{"api-version":"{API_VERSION}"}},"projects":["#)
            }
            Markup::Html => format!(
                "<!DOCTYPE html>\n<html><head><meta name=\"pypi:repository-version\" content=\"{API_VERSION}\">\
                 <title>Simple index</title></head><body>\n"
            ),
        };
        to.extend_from_slice(head.as_bytes());
        Self {
            markup,
            separator: "",
        }
    }

    /// The next name. Normalised names need no escaping.
    pub fn name(&mut self, name: &str, to: &mut Vec<u8>) {
        match self.markup {
            Markup::Json => {
                write(to, &[self.separator, "{\"name\":\"", name, "\"}"]);
                self.separator = ",";
            }
            Markup::Html => write(to, &["<a href=\"", name, "/\">", name, "</a><br>\n"]),
        }
    }

    /// What stands behind the last name.
    pub fn end(self, to: &mut Vec<u8>) {
        let foot = match self.markup {
            Markup::Json => "]}",
            Markup::Html => "</body></html>\n",
        };
        to.extend_from_slice(foot.as_bytes());
    }
}

fn write(to: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        to.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProjectName;
    use crate::page::list_reader::ListReader;
    use crate::page::project_list::ProjectNames;

    fn names(count: usize) -> ProjectNames {
        let names: Vec<_> = (0..count)
            .map(|n| ProjectName::parse(&format!("project-{n}")).unwrap())
            .collect();
        names.iter().collect()
    }

    fn render(names: &ProjectNames) -> [String; 2] {
        [Markup::Json, Markup::Html].map(|markup| {
            let mut bytes = Vec::new();
            let mut list = ListRenderer::new(markup, &mut bytes);
            for name in names.iter() {
                list.name(name, &mut bytes);
            }
            list.end(&mut bytes);
            String::from_utf8(bytes).unwrap()
        })
    }

    #[test]
    fn both_forms_as_installers_read_them() {
        let [json, html] = render(&names(2));
        insta::assert_snapshot!(json, @r#"{"meta":{"api-version":"1.4"},"projects":[{"name":"project-0"},{"name":"project-1"}]}"#);
        insta::assert_snapshot!(html, @r#"
        <!DOCTYPE html>
        <html><head><meta name="pypi:repository-version" content="1.4"><title>Simple index</title></head><body>
        <a href="project-0/">project-0</a><br>
        <a href="project-1/">project-1</a><br>
        </body></html>
        "#);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for count in [0, 1, 10_000] {
            let names = names(count);
            for body in render(&names) {
                let mut reader = ListReader::new(None);
                reader.feed(body.as_bytes()).unwrap();
                assert_eq!(reader.end().unwrap().sorted(), names);
            }
        }
    }
}
