//! Memory is bounded by the configuration, however many pages are requested.

use std::fmt::Write as _;

use super::support::{Canned, Content, Program, Setup, Web};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// The value of `cache.memory`.
const LIMIT: u64 = 64 << 20;

/// What a debug build may use beyond its caches, in bytes.
const BESIDE: u64 = 150 << 20;

/// Different pages.
const PAGES: usize = 600;

/// Files on each page: about 50 KB of text, kept as a source page and two renderings.
const FILES: usize = 150;

/// Requests under way at one time.
const AT_ONCE: usize = 8;

fn page(project: usize) -> Canned {
    let mut text =
        format!("{{\"meta\":{{\"api-version\":\"1.4\"}},\"name\":\"wheel-{project}\",\"files\":[");
    for file in 0..FILES {
        let comma = if file == 0 { "" } else { "," };
        let filename = format!("wheel_{project}-{file}.0-py3-none-any.whl");
        let digest = format!("{:064x}", project * FILES + file);
        let _ = write!(
            text,
            "{comma}{{\"filename\":\"{filename}\",\"url\":\"../../files/{filename}\",\
             \"hashes\":{{\"sha256\":\"{digest}\"}},\"size\":1000,\
             \"upload-time\":\"2024-01-02T03:04:05.000000Z\",\"requires-python\":\">=3.{file}\",\
             \"core-metadata\":{{\"sha256\":\"{digest}\"}},\"yanked\":false}}"
        );
    }
    text += "]}";
    Canned {
        content_type: JSON.to_owned(),
        headers: Vec::new(),
        content: Content::Bytes(text.into()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pages_stay_within_the_memory_that_is_given_to_them() {
    let with_page =
        |setup: Setup, project| setup.canned(&format!("/simple/wheel-{project}/"), page(project));
    let dairy = (0..PAGES).fold(Setup::default(), with_page).start();
    let url = dairy.url();
    let shop = Program::with_policies(&format!(
        "cache: {{ memory: {LIMIT} }}\n\
         indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\" }}\n"
    ))
    .start();
    let mut rendered_bytes = 0;
    for first in (0..PAGES).step_by(AT_ONCE) {
        let asked = (first..(first + AT_ONCE).min(PAGES)).map(|project| {
            let url = format!("{}wheel-{project}/", shop.index_url("root/dairy"));
            async move {
                let web = Web::new();
                let json = web.get_with(&url, &[("accept", JSON)]).await;
                let html = web.get_with(&url, &[("accept", "text/html")]).await;
                assert_eq!((json.status, html.status), (200, 200));
                json.body.len() + html.body.len()
            }
        });
        rendered_bytes += futures_util::future::join_all(asked)
            .await
            .iter()
            .sum::<usize>();
    }
    // Otherwise nothing had to be evicted, and the test showed nothing.
    let rendered_bytes = u64::try_from(rendered_bytes).unwrap();
    assert!(
        rendered_bytes > LIMIT,
        "only {rendered_bytes} bytes were rendered"
    );

    let name = "cheesecloth_cache_bytes{tier=\"memory\"}";
    shop.wait_for_metric(name, |held| held > 0.0);
    let held = shop.metric(name).unwrap();
    let resident = shop.memory_now_bytes();
    eprintln!(
        "{} MiB rendered, {} MiB held, {} MiB resident, {} MiB at the peak",
        rendered_bytes >> 20,
        held as u64 >> 20,
        resident >> 20,
        shop.memory_peak_bytes() >> 20
    );
    assert!(held <= LIMIT as f64, "{held} bytes held");
    assert!(
        shop.memory_peak_bytes() < LIMIT + BESIDE,
        "{resident} bytes resident"
    );
}
