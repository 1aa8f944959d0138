//! What both servers answer, how to request it from either, and that they answer the same.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::Context as _;
use serde_json::Value;
use url::Url;

use super::stage::Stage;
use crate::rig::asking::{JSON, succeed};
use crate::rig::content::WARES;
use crate::rig::gateway::MIRROR;
use crate::rig::plain::{Request, fetch};

/// Something to request.
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

    /// Its name in a table.
    pub(crate) fn name(self) -> String {
        let size = match self.project {
            "large" => "2 MB page",
            _ => "small page",
        };
        let form = if self.html { "HTML" } else { "JSON" };
        let coding = if self.gzip { "gzip" } else { "identity" };
        format!("{size}, {form}, {coding}")
    }

    /// Its path below nginx's root; the compressed form is beside it with `.gz`.
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
    /// All resources that are files below nginx's root and not pages, with their paths there.
    pub(crate) const FILES: [(Self, &str); 4] = [
        (Self::Sidecar, "files/wares-1.0-py3-none-any.whl.metadata"),
        (Self::SmallFile, "files/wares-1.0-py3-none-any.whl"),
        (Self::MiddleFile, "files/wares-2.0-py3-none-any.whl"),
        (Self::LargeFile, "files/wares-3.0-py3-none-any.whl"),
    ];

    /// The request for nginx.
    pub(crate) fn ask_nginx(self) -> Request {
        match self {
            Self::Page(page) => page.headers(Request::new(format!("/{}", page.place()))),
            Self::Sidecar | Self::SmallFile | Self::MiddleFile | Self::LargeFile => {
                Request::new(format!("/{}", self.file()))
            }
        }
    }

    /// The request for the gateway. The page says where a file is.
    pub(crate) fn ask_gateway(self, stage: &Stage) -> anyhow::Result<Request> {
        match self {
            Self::Page(page) => Ok(ask_page(MIRROR, page)),
            Self::Sidecar | Self::SmallFile | Self::MiddleFile | Self::LargeFile => {
                let filename = self.filename();
                let wheel = filename.trim_end_matches(".metadata");
                let path = file_path(stage, WARES, wheel)?;
                let ending = filename.trim_start_matches(wheel);
                Ok(Request::new(format!("{path}{ending}")))
            }
        }
    }

    /// Its file name on the page of its project.
    pub(crate) fn filename(self) -> &'static str {
        self.file().trim_start_matches("files/")
    }

    fn file(self) -> &'static str {
        let found = Self::FILES.iter().find(|(resource, _)| *resource == self);
        found.map_or("", |(_, name)| *name)
    }
}

/// The request to the gateway for a page through an index.
pub(crate) fn ask_page(index: &str, page: Page) -> Request {
    page.headers(Request::new(format!("/{index}/+simple/{}/", page.project)))
}

/// The path of a file at the gateway, from its page.
pub(crate) fn file_path(stage: &Stage, project: &str, filename: &str) -> anyhow::Result<String> {
    path_of_file(stage.gateway()?.public(), project, filename)
}

/// The same for any gateway.
pub(crate) fn path_of_file(
    gateway: SocketAddr,
    project: &str,
    filename: &str,
) -> anyhow::Result<String> {
    let mut paths = paths_of_files(gateway, project)?;
    let path = paths.remove(filename);
    path.with_context(|| format!("{filename} is not on the page of {project}"))
}

/// The paths of all files of a project, by name.
pub(crate) fn paths_of_files(
    gateway: SocketAddr,
    project: &str,
) -> anyhow::Result<HashMap<String, String>> {
    let page = format!("/{MIRROR}/+simple/{project}/");
    let answer = succeed(fetch(gateway, &Request::new(&page).header("Accept", JSON))?)?;
    let json: Value = serde_json::from_slice(&answer.body).context("read a page")?;
    let files = json["files"].as_array().context("a page without files")?;
    let base = Url::parse(&format!("http://{gateway}{page}"))?;
    let path = |file: &Value| -> anyhow::Result<(String, String)> {
        let text = |key: &str| {
            file[key]
                .as_str()
                .with_context(|| format!("no {key}: {file}"))
        };
        let path = base.join(text("url")?)?.path().to_owned();
        Ok((text("filename")?.to_owned(), path))
    };
    files.iter().map(path).collect()
}
