//! `diff --markdown`: a table for a merge request.

use crate::app::{Replay, ReplayedRelease};
use crate::cli::diff::{LINES_MAX, asked_by, kinds, release_name, sum, then, title, versions, why};

/// The differences as GitHub, GitLab and Gitea show them.
pub(super) fn as_markdown(replay: &Replay, replayed: &str) -> String {
    let mut text = format!("### {}\n", escaped(&sum(replay)));
    for kind in kinds(replay) {
        let asked = kind
            .asked
            .iter()
            .map(|release| row(release, &release_name(release), &asked_by(release)));
        let others = kind.others.iter().filter_map(|releases| {
            let first = releases.first()?;
            let name = match releases.len() {
                1 => release_name(first),
                _ => format!("{} {}", first.project, versions(releases)),
            };
            Some(row(first, &name, "nobody"))
        });
        let rows: Vec<String> = asked.chain(others).collect();
        if rows.is_empty() {
            continue;
        }
        let title = title(kind.turn);
        text.push_str(&format!("\n**{title}**\n\n"));
        text.push_str("| release | index | why | asked by | then |\n|---|---|---|---|---|\n");
        let left = rows.len().saturating_sub(LINES_MAX);
        for row in rows.into_iter().take(LINES_MAX) {
            text.push_str(&row);
        }
        if left > 0 {
            text.push_str(&format!(
                "\n… and {left} more; `diff --json` has them all.\n"
            ));
        }
    }
    text.push_str(&format!("\n{}", escaped(replayed)));
    text
}

fn row(release: &ReplayedRelease, name: &str, asked: &str) -> String {
    let cells = [
        name,
        release.index.as_str(),
        &why(release),
        asked,
        &then(release).unwrap_or_default(),
    ];
    let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// Text that stays text: names and reasons are other people's words, and must neither break the table nor
/// link, mention or embed anything.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(character);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            ':' if out.ends_with("http") || out.ends_with("https") => out.push_str("&#58;"),
            other if other.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_peoples_words_stay_words() {
        let table = [
            ("a|b", "a\\|b"),
            ("<img src=x>", "&lt;img src=x&gt;"),
            (
                "[x](https://upstream.example)",
                "\\[x\\](https&#58;//upstream.example)",
            ),
            ("@everyone\n# top", "&#64;everyone \\# top"),
        ];
        for (text, expected) in table {
            assert_eq!(escaped(text), expected, "{text:?}");
        }
    }
}
