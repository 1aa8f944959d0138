//! Files are short and say what they are for.

use super::source::{none, sources};

const LINES_MAX: usize = 600;
const DOOR_LINES_MAX: usize = 80;

#[test]
fn files_hold_one_idea() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        let is_door = source.path.file_name().is_some_and(|name| name == "mod.rs");
        let most = if is_door { DOOR_LINES_MAX } else { LINES_MAX };
        if lines > most {
            wrong.push(format!(
                "{}: {lines} lines, at most {most}",
                source.path.display()
            ));
        }
        if !source.text.starts_with("//!") {
            wrong.push(format!(
                "{}: does not open with what it is for",
                source.path.display()
            ));
        }
    }
    none(&wrong);
}
