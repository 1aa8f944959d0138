//! `cargo bench --bench parse_page`: reading an upstream's page, JSON and HTML.

mod micro;

use std::sync::Arc;

use cheesecloth::testing::model::IndexName;
use cheesecloth::testing::page::{
    Decided, FileLinks, PageForm, Ruling, filter, merge, parse_json, read_project_page, render_html,
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
        let list = || Decided {
            ruling: Ruling::List,
            next_change: None,
        };
        let filtered = filter(&merged, &mut |_| list());
        let html = render_html(&filtered, &FileLinks::new(PageForm::Simple, &index));
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
