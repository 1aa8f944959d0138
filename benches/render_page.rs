//! `cargo bench --bench render_page`: from parsed pages to the bytes of an answer, step by step.

mod micro;

use std::sync::Arc;

use cheesecloth::testing::model::{IndexName, Timestamp};
use cheesecloth::testing::page::{
    Decided, FileLinks, Markup, PageForm, PageWriter, Ruling, StoredMeta, filter, from_stored,
    merge, parse_json, to_stored,
};

use micro::{PAGE_URL, PAGES, json_page, measure, project};

fn main() -> anyhow::Result<()> {
    let project = project();
    let index = IndexName::parse("root/pypi")?;
    let links = FileLinks::new(PageForm::Simple, &index);
    let list = || Decided {
        ruling: Ruling::List,
        next_change: None,
    };
    for (size, files) in PAGES {
        let page = Arc::new(parse_json(&json_page(files), PAGE_URL, &project)?);
        anyhow::ensure!(
            page.files.len() == files,
            "{} files were left out",
            page.dropped
        );
        // A stage above a mirror is the shortest stack in which there is something to merge.
        let layers = || vec![(0, Arc::clone(&page)), (1, Arc::clone(&page))];
        measure(&format!("merge two layers, {size}"), files, || {
            merge(project.clone(), layers())
        });
        let merged = merge(project.clone(), layers());
        let entries: Vec<_> = merged.entries().collect();
        measure(&format!("filter without rules, {size}"), files, || {
            filter(&entries, &mut |_| list()).files.len()
        });
        for (form, markup) in [("JSON", Markup::Json), ("HTML", Markup::Html)] {
            let writer = PageWriter::new(markup, links.clone());
            measure(&format!("filter and write {form}, {size}"), files, || {
                writer.stretch(&entries, &mut |_| list(), Timestamp::UNIX_EPOCH)
            });
        }
        let meta = StoredMeta {
            final_url: PAGE_URL.to_owned(),
            fetched_at: "2026-01-01T00:00:00Z".parse()?,
            etag: None,
            last_modified: None,
            max_age_seconds: Some(600),
            vanished_at: None,
        };
        let stored = to_stored(&page, &meta);
        measure(&format!("read a kept page, {size}"), files, || {
            from_stored(&stored, &project).map(|(page, _)| page.files.len())
        });
    }
    Ok(())
}
