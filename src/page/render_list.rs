//! Writes the project list in pieces: it is too large for a second copy in memory.

use std::io;

use crate::page::API_VERSION;
use crate::page::project_list::ProjectNames;

/// Bytes buffered before they are written: small writes to a compressor or a file are expensive.
const PIECE_BYTES: usize = 64 * 1024;

/// Writes the list as JSON (PEP 691; docs/protocol/simple-api.md §4.5).
///
/// # Errors
/// The writer's own.
pub fn render_list_json(names: &ProjectNames, to: &mut dyn io::Write) -> io::Result<()> {
    let head = format!(r#"{{"meta":{{"api-version":"{API_VERSION}"}},"projects":["#);
    let mut separator = "";
    write_pieces(names, to, [&head, "]}"], &mut |piece, name| {
        // Normalised names need no escaping.
        piece.extend_from_slice(separator.as_bytes());
        piece.extend_from_slice(b"{\"name\":\"");
        piece.extend_from_slice(name.as_bytes());
        piece.extend_from_slice(b"\"}");
        separator = ",";
    })
}

/// Writes the list as HTML (PEP 503), with links relative to a URL that ends in a slash.
///
/// # Errors
/// The writer's own.
pub fn render_list_html(names: &ProjectNames, to: &mut dyn io::Write) -> io::Result<()> {
    let head = format!(
        "<!DOCTYPE html>\n<html><head><meta name=\"pypi:repository-version\" content=\"{API_VERSION}\">\
         <title>Simple index</title></head><body>\n"
    );
    write_pieces(
        names,
        to,
        [&head, "</body></html>\n"],
        &mut |piece, name| {
            for part in ["<a href=\"", name, "/\">", name, "</a><br>\n"] {
                piece.extend_from_slice(part.as_bytes());
            }
        },
    )
}

fn write_pieces(
    names: &ProjectNames,
    to: &mut dyn io::Write,
    [head, foot]: [&str; 2],
    each: &mut dyn FnMut(&mut Vec<u8>, &str),
) -> io::Result<()> {
    let mut piece = Vec::with_capacity(PIECE_BYTES + 1024);
    piece.extend_from_slice(head.as_bytes());
    for name in names.iter() {
        each(&mut piece, name);
        if piece.len() >= PIECE_BYTES {
            to.write_all(&piece)?;
            piece.clear();
        }
    }
    piece.extend_from_slice(foot.as_bytes());
    to.write_all(&piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProjectName;
    use crate::page::parse_list::parse_project_list;
    use crate::page::sniff::Markup;

    fn names(count: usize) -> ProjectNames {
        let names: Vec<_> = (0..count)
            .map(|n| ProjectName::parse(&format!("project-{n}")).unwrap())
            .collect();
        names.iter().collect()
    }

    fn render(names: &ProjectNames) -> [String; 2] {
        let (mut json, mut html) = (Vec::new(), Vec::new());
        render_list_json(names, &mut json).unwrap();
        render_list_html(names, &mut html).unwrap();
        [json, html].map(|bytes| String::from_utf8(bytes).unwrap())
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
            let [json, html] = render(&names);
            assert_eq!(
                parse_project_list(Markup::Json, json.as_bytes()).unwrap(),
                names
            );
            assert_eq!(
                parse_project_list(Markup::Html, html.as_bytes()).unwrap(),
                names
            );
        }
    }

    #[test]
    fn a_list_leaves_in_pieces() {
        struct Largest(usize);
        impl io::Write for Largest {
            fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
                self.0 = self.0.max(piece.len());
                Ok(piece.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut largest = Largest(0);
        render_list_html(&names(100_000), &mut largest).unwrap();
        assert!(
            largest.0 > 0 && largest.0 < PIECE_BYTES + 1024,
            "{}",
            largest.0
        );
    }
}
