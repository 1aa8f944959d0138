//! What people at five installations type, with the real clients, and what has to come of it.
//!
//! Each row of the deployments' table is typed as written, with other hosts and ports. The rows of
//! one deployment run in order, since later ones need what earlier ones created. At the end one
//! table of all is printed: row, client, result. Rows that no client can show are listed with what
//! covers them instead.

mod company;
mod images;
mod laptop;
mod publishing;
mod stages;
mod table;
mod teams;

use std::fs;
use std::thread;

use super::support::{Client, FakeIndex, Project, Setup, Tool, Wheel, sdist};
use table::Table;

#[test]
fn every_row_of_the_five_deployments() {
    let table = Table::default();
    thread::scope(|scope| {
        for rows in [
            stages::rows,
            company::rows,
            laptop::rows,
            teams::rows,
            images::rows,
            publishing::rows,
        ] {
            let table = &table;
            scope.spawn(move || rows(table));
        }
    });
    table.finish();
}

/// Stands for the public index.
fn upstream() -> FakeIndex {
    Setup::default()
        .project(Project::new("simplejson").wheel("3.20.1"))
        .project(Project::new("lxml").wheel("6.0"))
        .project(Project::new("flask").wheel("3.1"))
        .start()
}

/// A client with the two files of a release in its folder.
fn with_release(tool: Tool) -> Client {
    let client = Client::fresh(tool);
    let wheel = Wheel::new("acme-tool", "1.0");
    fs::write(client.folder().join(wheel.filename()), wheel.build()).unwrap();
    let (name, content) = sdist("acme-tool", "1.0");
    fs::write(client.folder().join(name), content).unwrap();
    client
}

/// The files of a release in a client's folder.
fn release(client: &Client) -> Vec<String> {
    let entries = fs::read_dir(client.folder()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names
        .filter(|name| name.ends_with(".whl") || name.ends_with(".gz"))
        .collect();
    names.sort();
    names
}

/// A command line as people type it, with the release's files appended.
fn typed<'a>(words: &[&'a str], files: &'a [String]) -> Vec<&'a str> {
    let files = files.iter().map(String::as_str);
    words.iter().copied().chain(files).collect()
}

/// A setuptools project from the days of `setup.py`, with the commands that distutils still had
/// then.
fn legacy_project(name: &str) -> Client {
    let client = Client::fresh(Tool::Setuptools);
    let module = name.replace('-', "_");
    let setup = format!(
        "from setuptools import setup\n\
         from distutils.command.register import register\n\
         from distutils.command.upload import upload\n\
         setup(name={name:?}, version='1.0', py_modules=[{module:?}],\n\
         cmdclass={{'register': register, 'upload': upload}})\n"
    );
    client.write("setup.py", &setup);
    client.write(&format!("{module}.py"), "__version__ = '1.0'\n");
    client
}

/// Writes a file into the home directory of a client's user.
fn write_at_home(client: &Client, name: &str, text: &str) {
    let path = client.home().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// `url` with the name of this machine, without the trailing slash.
fn localhost(url: &str) -> String {
    url.trim_end_matches('/').replace("127.0.0.1", "localhost")
}
