//! A room is reached only through its door, and a door exports nothing that nobody outside uses.

use super::source::{none, sources};

/// Whether a part of a path is a module's name rather than a type's or a constant's.
fn is_module(part: &str) -> bool {
    part.starts_with(|first: char| first.is_ascii_lowercase())
}

#[test]
fn no_path_goes_past_a_door() {
    let sources = sources();
    // To everybody outside, a folder within a room is a room of its own.
    let folders: Vec<String> = sources
        .iter()
        .filter(|source| source.path.ends_with("mod.rs"))
        .map(|source| source.path.parent().unwrap().display().to_string())
        .collect();
    let mut wrong = Vec::new();
    for source in &sources {
        let own = source.path.display().to_string();
        for (number, line) in source.code() {
            for (at, _) in line.match_indices("crate::") {
                let rest = &line[at + "crate::".len()..];
                let end = rest.find(|next: char| !(next.is_alphanumeric() || "_:".contains(next)));
                let path = &rest[..end.unwrap_or(rest.len())];
                let parts: Vec<&str> = path.split("::").filter(|part| !part.is_empty()).collect();
                for depth in 1..parts.len() {
                    let folder = parts[..depth].join("/");
                    let is_within = own.starts_with(&format!("{folder}/"));
                    let is_last = depth + 1 == parts.len() && !path.ends_with("::");
                    if folders.contains(&folder)
                        && !is_within
                        && is_module(parts[depth])
                        && !is_last
                    {
                        wrong.push(format!(
                            "{own}:{number}: {path} goes past the door of {folder}"
                        ));
                    }
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn no_module_is_public() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.room == "testing" {
            continue;
        }
        for (number, line) in source.code() {
            let item = line.trim_start();
            let is_testing =
                source.room == "lib" && item == "pub mod testing;" || item.contains(" mod tests");
            if item.starts_with("pub") && item.contains(" mod ") && !is_testing {
                wrong.push(format!("{}:{number}: {item}", source.path.display()));
            }
        }
    }
    none(&wrong);
}

#[test]
fn imports_are_grouped_one_use_for_each_module() {
    let mut wrong = Vec::new();
    for source in sources() {
        let own = source.path.display();
        let text = source.without_tests();
        let lines = text.lines().count();
        let mut seen: Vec<(String, bool)> = Vec::new();
        for item in source.uses() {
            if item.indent > 0 || item.line > lines {
                continue;
            }
            let first = &item.paths[0];
            let module = first
                .rsplit_once("::")
                .map_or("", |(module, _)| module)
                .to_owned();
            for path in &item.paths {
                let of = path.rsplit_once("::").map_or("", |(module, _)| module);
                if of != module {
                    let line = item.line;
                    wrong.push(format!(
                        "{own}:{line}: {path} beside {first}: one `use` for each module"
                    ));
                }
            }
            let key = (module, item.is_public);
            if is_behind_cfg(text, item.line) {
                continue;
            }
            if !key.0.is_empty() && seen.contains(&key) {
                wrong.push(format!("{own}:{}: a second `use {}::…`", item.line, key.0));
            }
            seen.push(key);
        }
    }
    none(&wrong);
}

/// Whether the line before a line is an attribute.
fn is_behind_cfg(text: &str, line: usize) -> bool {
    line >= 2
        && text
            .lines()
            .nth(line - 2)
            .is_some_and(|before| before.trim_start().starts_with("#["))
}
