//! Fills the cache with what lock files pin, by asking a running server as an installer would: what its
//! policies refuse stays refused, and the server decides what it keeps.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use url::Url;

use crate::language::Pin;
use crate::model::{File, IndexName, Kind, Limits, Version};
use crate::page::parse_json;
use crate::telemetry::WaitMeter;
use crate::upstream::{
    ByteRange, Decoding, FileAnswer, PageAnswer, Proxies, Upstream, UpstreamSettings,
};

/// Pages and files requested at the same time: enough to use the connection, too few to crowd out
/// installers.
const AT_ONCE: usize = 8;

/// Pause before a server is asked again whether it has a file by now.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The outcome.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Warmed {
    /// Files that the server has now.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What is unavailable, and why.
    pub failed: Vec<String>,
}

/// Progress reports.
pub trait Warming {
    /// This many files have been found so far.
    fn found(&self, files: u64);
    /// One of them has arrived, or will not.
    fn done(&self);
}

/// Asks the server at `door` for everything that the pins name on an index.
///
/// # Errors
/// When no server answers there.
pub fn warm(
    door: &Url,
    index: &IndexName,
    pins: &[Pin],
    limits: &Limits,
    progress: &dyn Warming,
) -> anyhow::Result<Warmed> {
    let work = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let url = door
        .join(&format!("{index}/+simple/"))
        .context("make the index's URL")?;
    let server = Upstream::new(UpstreamSettings {
        name: index.clone(),
        url,
        credentials: None,
        limits: limits.upstream.clone(),
        decoding: Decoding::of(&limits.work, WaitMeter::default()),
        proxies: Proxies::Direct,
        bounds: crate::upstream::Bounds::default(),
    })?;
    work.block_on(async {
        let mut warmed = Warmed::default();
        let looked_up = stream::iter(pins).map(|pin| look_up(&server, pin));
        let mut looked_up = looked_up.buffer_unordered(AT_ONCE);
        let mut files = Vec::new();
        while let Some(found) = looked_up.next().await {
            match found {
                Ok(found) => files.extend(found),
                Err(why) => warmed.failed.push(why),
            }
            progress.found(files.len() as u64);
        }
        let fetched = stream::iter(&files).map(|file| fetch(&server, file));
        let mut fetched = fetched.buffer_unordered(AT_ONCE);
        while let Some(outcome) = fetched.next().await {
            progress.done();
            match outcome {
                Ok(bytes) => {
                    warmed.files += 1;
                    warmed.bytes += bytes;
                }
                Err(why) => warmed.failed.push(why),
            }
        }
        warmed.failed.sort();
        Ok(warmed)
    })
}

/// The files of a pin, as the server lists them.
async fn look_up(server: &Upstream, pin: &Pin) -> Result<Vec<File>, String> {
    let project = &pin.project;
    let page = match server.page(project, None).await {
        Ok(PageAnswer::Found(page)) => page,
        Ok(PageAnswer::NotFound | PageAnswer::NotModified { .. }) => {
            return Err(format!("{project}: the server has no such project"));
        }
        Err(error) => return Err(format!("{project}: {error}")),
    };
    let page = parse_json(&page.body, page.final_url.as_str(), project);
    let page = page.map_err(|error| format!("{project}: {error}"))?;
    let found = chosen(pin, page.files);
    if found.is_empty() {
        let version = pin
            .version
            .as_ref()
            .map_or_else(String::new, |version| format!(" {version}"));
        return Err(format!(
            "{project}{version}: the server lists none of its files"
        ));
    }
    Ok(found)
}

/// The files that the pin names; for a release without names all of them; for a bare project its newest
/// release.
fn chosen(pin: &Pin, files: Vec<File>) -> Vec<File> {
    let names: BTreeSet<&str> = pin
        .files
        .iter()
        .filter_map(|file| file.filename.as_deref())
        .collect();
    let digests: BTreeSet<_> = pin.files.iter().filter_map(|file| file.sha256).collect();
    if !names.is_empty() || !digests.is_empty() {
        let is_named = |file: &File| {
            names.contains(file.filename.as_str())
                || file
                    .hashes
                    .sha256()
                    .is_some_and(|digest| digests.contains(&digest))
        };
        return files.into_iter().filter(is_named).collect();
    }
    let newest = || files.iter().map(|file| file.filename.version()).max();
    let Some(wanted) = pin.version.clone().or_else(newest) else {
        return Vec::new();
    };
    let is_wanted = |file: &File| -> bool { Version::eq(&file.filename.version(), &wanted) };
    files.into_iter().filter(is_wanted).collect()
}

/// Waits until the server has stored a file that it has just sent, which happens a moment later: readers do
/// not wait for its disk. `said` is what it told about its cache with the file.
async fn is_kept(server: &Upstream, url: &Url, said: Option<&str>) -> Result<(), String> {
    let mut said = said.map(str::to_owned);
    let mut is_first = true;
    loop {
        match said.as_deref() {
            // Not one of our servers: nothing is known about what it keeps.
            None => return Ok(()),
            Some(said) if said.contains("; hit") => return Ok(()),
            Some(said) if is_first || said.contains("; collapsed") => {}
            Some(_) => return Err("the server did not keep it".to_owned()),
        }
        if !is_first {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        is_first = false;
        let start = Some(ByteRange::Between(0, 0));
        said = match server.open(url, start).await {
            Ok(FileAnswer::Found(again)) => again.cache_status,
            // An empty file has no first byte.
            Ok(FileAnswer::NotSatisfiable) => None,
            Ok(FileAnswer::NotFound) => return Err("the server does not have it".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
    }
}

/// Downloads a file, and its sidecar if it is a wheel, and discards them; returns its size in bytes.
async fn fetch(server: &Upstream, file: &File) -> Result<u64, String> {
    let name = file.filename.as_str();
    let failed = |why: String| format!("{name}: {why}");
    let url = file.url.as_deref().and_then(|url| Url::parse(url).ok());
    let url = url.ok_or_else(|| failed("the server does not say where it is".to_owned()))?;
    let opened = server
        .open(&url, None)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let FileAnswer::Found(mut coming) = opened else {
        return Err(failed("the server does not have it".to_owned()));
    };
    let mut bytes = 0;
    while let Some(chunk) = coming
        .chunk()
        .await
        .map_err(|error| failed(error.to_string()))?
    {
        bytes += chunk.len() as u64;
    }
    is_kept(server, &url, coming.cache_status.as_deref())
        .await
        .map_err(failed)?;
    if file.filename.kind() == Kind::Wheel {
        let sidecar = server.sidecar(&url).await;
        sidecar.map_err(|error| format!("{name}.metadata: {error}"))?;
    }
    Ok(bytes)
}
