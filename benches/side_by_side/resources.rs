//! What both servers answer, how to ask either for it, and that they answer the same.

use anyhow::{Context as _, bail};
use serde_json::Value;
use url::Url;

use super::content::WARES;
use super::plain::{Answer, Request, fetch};
use super::stage::Stage;

/// The media type of a JSON page.
const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// The index that the gateway serves without any policy.
pub(crate) const MIRROR: &str = "root/pypi";

/// Something to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Page(Page),
    /// The metadata of a wheel.
    Sidecar,
    /// 20 KB.
    SmallFile,
    /// 1 MB.
    MiddleFile,
    /// 100 MB.
    LargeFile,
}

/// One form of a project's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// `small`, 15 KB, or `large`, 2 MB.
    pub(crate) project: &'static str,
    pub(crate) html: bool,
    pub(crate) gzip: bool,
}

impl Page {
    /// Every form of the two pages.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for project in ["small", "large"] {
            for html in [false, true] {
                for gzip in [true, false] {
                    all.push(Self {
                        project,
                        html,
                        gzip,
                    });
                }
            }
        }
        all
    }

    /// Where nginx has it below its root; the compressed form lies beside it with `.gz`.
    pub(crate) fn place(self) -> String {
        let form = if self.html { "html" } else { "json" };
        format!("{form}/{}", self.project)
    }

    fn headers(self, request: Request) -> Request {
        let request = request.header("Accept", if self.html { "text/html" } else { JSON });
        if self.gzip {
            request.header("Accept-Encoding", "gzip")
        } else {
            request
        }
    }
}

impl Resource {
    /// All that have a file below nginx's root and are no pages, with their names there.
    pub(crate) const FILES: [(Self, &str); 4] = [
        (Self::Sidecar, "files/wares-1.0-py3-none-any.whl.metadata"),
        (Self::SmallFile, "files/wares-1.0-py3-none-any.whl"),
        (Self::MiddleFile, "files/wares-2.0-py3-none-any.whl"),
        (Self::LargeFile, "files/wares-3.0-py3-none-any.whl"),
    ];

    /// How nginx is asked for it.
    pub(crate) fn ask_nginx(self) -> Request {
        match self {
            Self::Page(page) => page.headers(Request::new(format!("/{}", page.place()))),
            Self::Sidecar | Self::SmallFile | Self::MiddleFile | Self::LargeFile => {
                Request::new(format!("/{}", self.file()))
            }
        }
    }

    /// How the gateway is asked for it. Its page says where a file is.
    pub(crate) fn ask_gateway(self, stage: &Stage) -> anyhow::Result<Request> {
        match self {
            Self::Page(page) => Ok(ask_page(MIRROR, page)),
            Self::Sidecar | Self::SmallFile | Self::MiddleFile | Self::LargeFile => {
                let filename = self.file().trim_start_matches("files/");
                let wheel = filename.trim_end_matches(".metadata");
                let path = file_path(stage, WARES, wheel)?;
                let ending = filename.trim_start_matches(wheel);
                Ok(Request::new(format!("{path}{ending}")))
            }
        }
    }

    fn file(self) -> &'static str {
        let found = Self::FILES.iter().find(|(resource, _)| *resource == self);
        found.map_or("", |(_, name)| *name)
    }
}

/// How the gateway is asked for a page through an index.
pub(crate) fn ask_page(index: &str, page: Page) -> Request {
    page.headers(Request::new(format!("/{index}/+simple/{}/", page.project)))
}

/// The path under which the gateway has a file, as its page says.
pub(crate) fn file_path(stage: &Stage, project: &str, filename: &str) -> anyhow::Result<String> {
    let address = stage.gateway()?.public();
    let page = format!("/{MIRROR}/+simple/{project}/");
    let answer = succeed(fetch(address, &Request::new(&page).header("Accept", JSON))?)?;
    let json: Value = serde_json::from_slice(&answer.body).context("read a page")?;
    let files = json["files"].as_array().context("a page without files")?;
    let file = files.iter().find(|file| file["filename"] == filename);
    let url = file.and_then(|file| file["url"].as_str());
    let url = url.with_context(|| format!("{filename} is not on the page {page}"))?;
    let base = Url::parse(&format!("http://{address}{page}"))?;
    Ok(base.join(url)?.path().to_owned())
}

/// An answer that is 200.
pub(crate) fn succeed(answer: Answer) -> anyhow::Result<Answer> {
    if answer.status != 200 {
        let body = String::from_utf8_lossy(&answer.body);
        bail!("the answer is {}, not 200: {}", answer.status, body.trim());
    }
    Ok(answer)
}
