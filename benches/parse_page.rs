//! `cargo bench --bench parse_page`: reading an upstream's page, JSON and HTML.

mod micro;

use std::sync::Arc;

use cheesecloth::testing::model::{IndexName, Timestamp};
use cheesecloth::testing::page::{
    Decided, FileLinks, Markup, PageForm, PageWriter, Ruling, merge, parse_json, read_project_page,
};

use micro::{PAGE_URL, PAGES, json_page, measure, project};

fn main() -> anyhow::Result<()> {
    let project = project();
    let index = IndexName::parse("root/pypi")?;
    for (size, files) in PAGES {
        let json = json_page(files);
        let page = parse_json(&json, PAGE_URL, &project)?;
        anyhow::ensure!(
            page.files.len() == files,
            "{} files were left out",
            page.dropped
        );
        measure(&format!("parse JSON, {size}"), files, || {
            parse_json(&json, PAGE_URL, &project)
        });

        let merged = merge(project.clone(), vec![(0, Arc::new(page))]);
        let entries: Vec<_> = merged.entries().collect();
        let list = &mut |_: &_| Decided {
            ruling: Ruling::List,
            next_change: None,
        };
        let links = FileLinks::new(PageForm::Simple, &index);
        let writer = PageWriter::new(Markup::Html, links);
        let frame = writer.frame(&merged.heading());
        let stretch = writer.stretch(&entries, list, Timestamp::UNIX_EPOCH);
        let html = [&frame.head, stretch.text(), &frame.middle].concat();
        let read = read_project_page(usize::MAX, None, &html, PAGE_URL, &project)?;
        anyhow::ensure!(
            read.files.len() == files,
            "{} files were left out",
            read.dropped
        );
        measure(&format!("parse HTML, {size}"), files, || {
            read_project_page(usize::MAX, None, &html, PAGE_URL, &project)
        });
    }
    Ok(())
}
