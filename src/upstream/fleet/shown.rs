//! Whether devpi shows an index's files to everybody.
//!
//! A devpi-server serves files of some indexes only to some logins (`pkg_read`). A file that was fetched
//! before that changed is still held, so the server is asked, once per index and serial. It is only asked
//! whether a stranger would get the file (`+authcheck`, docs/protocol/devpi.md §19).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use crate::upstream::fleet::servers::Fleet;

/// Most indexes remembered; beyond that all are asked about again.
const INDEXES_MAX: usize = 4096;

const X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");

/// devpi's answer for each index, and its tag.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<HashMap<String, Said>>);

#[derive(Debug, Clone)]
struct Said {
    tag: String,
    withheld: Option<StatusCode>,
}

impl Fleet {
    /// The 401 or 403 that a stranger gets for a file; `None` if everybody may have it. While no server
    /// can be asked, the last answer counts: what is held was once public.
    pub(in crate::upstream) async fn withholds(&self, file: &Url) -> Option<StatusCode> {
        let below = file.as_str().strip_prefix(self.url().as_str())?;
        let index: String = below.split('/').take(2).collect::<Vec<_>>().join("/");
        let known = self.shown.known(&index);
        if let Some(known) = &known
            && self.still_holds(&known.tag).await
        {
            return known.withheld;
        }
        let mut headers = HeaderMap::new();
        headers.insert(X_ORIGINAL_URI, HeaderValue::from_str(file.as_str()).ok()?);
        let Ok(answer) = self.read(&Method::GET, "/+authcheck", &headers).await else {
            return known.and_then(|known| known.withheld);
        };
        let refuses = matches!(answer.status().as_u16(), 401 | 403);
        let withheld = refuses.then(|| answer.status());
        if let Some(tag) = self.tag(answer.headers()) {
            self.shown.learn(index, Said { tag, withheld });
        }
        withheld
    }
}

impl Shown {
    fn known(&self, index: &str) -> Option<Said> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.get(index).cloned()
    }

    fn learn(&self, index: String, one: Said) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= INDEXES_MAX {
            said.clear();
        }
        said.insert(index, one);
    }
}
