//! devpi's own configuration file: the blocks that something here acts on. The options of its programs
//! are the command line's; the directory of users is read here.

use std::path::Path;

use crate::config::environment::Environment;
use crate::config::files::read_text;
use crate::config::server::Server;
use crate::language::{Node, Notes, Value};
use crate::model::{Fault, Faults};

/// The block with options of devpi's programs.
pub const DEVPI_OPTIONS: &str = "devpi-server";

/// The block of the plugin that asks a directory.
const LDAP: &str = "devpi-ldap";

/// Adds what the file says about a directory.
pub(super) fn add(path: &Path, server: &mut Server, notes: &mut Notes) {
    let file = path.display().to_string();
    let read = read_text(path).map_err(|why| Fault::nowhere(format!("cannot read {file}: {why}")));
    let root = match read.and_then(|text| Node::parse(&file.into(), &text)) {
        Ok(root) => root,
        Err(fault) => return notes.note(fault),
    };
    let Value::Mapping(blocks) = &root.value else {
        return;
    };
    for block in blocks {
        match block.key.as_str() {
            DEVPI_OPTIONS => {}
            LDAP => server.add_ldap(&block.value, LDAP, notes),
            other => {
                let what = format!("{other}: nothing here acts on this block");
                let fault = Fault::at(&block.location, what);
                notes.note(fault.hint("remove it, or say what it says in a file of policies"));
            }
        }
    }
}

/// What is wrong with the file, except for options of programs.
#[must_use]
pub fn devpi_file_faults(path: &Path, env: Environment<'_>) -> Faults {
    let (mut server, mut notes) = (Server::default(), Notes::default());
    add(path, &mut server, &mut notes);
    drop(server.manage.settle(env, &mut notes));
    notes.faults
}
