//! One point of an axis: a gateway of that size, what is asked of it, and what changes it.

use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Map, json};

use super::axis::Axis;
use crate::rig::asking::{page_of, succeed};
use crate::rig::content::TURNING;
use crate::rig::gateway::{Gateway, Launch, MIRROR, STAGE, STRICT, Strict, TOP};
use crate::rig::load::Shape;
use crate::rig::origin::Origin;
use crate::rig::plain::{Line, Request, fetch};
use crate::rig::process::Cores;
use crate::rig::turns::Contender;
use crate::rig::uploader::{PROJECT, Uploader};

/// Connections that ask for the hot page, as in `side_by_side`.
const CONNECTIONS: usize = 32;

/// Files of the project on the axes where it is not that which grows: those of an ordinary page.
const ORDINARY_FILES: usize = 32;

/// Until filling is given up: a project whose uploads grow with it may never get there.
const FILLING: Duration = Duration::from_secs(240);

/// How often, and how long apart, a long page is asked for until it has a tag.
const TAG_ATTEMPTS: usize = 20;
const UNTIL_WRITTEN: Duration = Duration::from_millis(20);

/// Where gateways are started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct House<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) origin: &'a Origin,
    pub(crate) cores: Cores,
}

/// A point, ready to be measured.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) size: usize,
    gateway: Rc<Gateway>,
    hot: Request,
    /// What is asked for after a change.
    changed: Request,
    change: Change,
    connections: usize,
    /// Whether so many connections are held while something changes.
    holds: bool,
}

/// What makes the next page another one.
#[derive(Debug)]
enum Change {
    /// A further release of a private project.
    Upload(Uploader),
    /// An upstream that has changed its page is to be asked again.
    Refresh(Line, Request),
}

/// What came of one change, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changed {
    /// Nothing where nothing was uploaded.
    pub(crate) upload: Option<f64>,
    pub(crate) first_page: f64,
}

impl Point {
    /// All points of an axis, filled.
    pub(crate) fn all(axis: Axis, sizes: &[usize], house: &House<'_>) -> anyhow::Result<Vec<Self>> {
        if axis == Axis::Connections {
            // Those of the turn before may still be closing.
            let most = 2 * sizes.iter().sum::<usize>();
            let launch = house.launch("connections").uploads().per_address(most);
            let gateway = Rc::new(launch.start()?);
            let point = |size: &usize| {
                let gateway = Rc::clone(&gateway);
                let connections = *size;
                let mirrored = Self::mirrored(*size, gateway, MIRROR)?;
                Ok(Self {
                    connections,
                    holds: true,
                    ..mirrored
                })
            };
            return sizes.iter().map(point).collect();
        }
        let point = |size: &usize| {
            let point = Self::of(axis, *size, house);
            point.with_context(|| format!("{size} {}", axis.name()))
        };
        sizes.iter().map(point).collect()
    }

    fn of(axis: Axis, size: usize, house: &House<'_>) -> anyhow::Result<Self> {
        let launch = house.launch(&format!("{}-{size}", axis.slug()));
        let strict = |whitelisted, rules| Strict { whitelisted, rules };
        match axis {
            Axis::Files => Self::staged(size, launch.uploads().start()?, STAGE, size),
            Axis::Projects => {
                let launch = launch.uploads_into_imported();
                launch.import(&export(house.folder, size)?)?;
                Self::staged(size, launch.start()?, STAGE, ORDINARY_FILES)
            }
            Axis::Indexes => {
                let index = if size > 1 { TOP } else { STAGE };
                let gateway = launch.uploads().stacked(size).start()?;
                Self::staged(size, gateway, index, ORDINARY_FILES)
            }
            Axis::Rules => {
                let gateway = launch.uploads().strict(strict(0, size)).start()?;
                Self::mirrored(size, Rc::new(gateway), STRICT)
            }
            Axis::Whitelist => {
                let gateway = launch.uploads().strict(strict(size, 0)).start()?;
                Self::mirrored(size, Rc::new(gateway), STRICT)
            }
            Axis::Connections => anyhow::bail!("they share a gateway"),
        }
    }

    /// Asked for a private project through an index.
    fn staged(
        size: usize,
        gateway: Gateway,
        index: &'static str,
        files: usize,
    ) -> anyhow::Result<Self> {
        let mut uploader = Uploader::to(&gateway, STAGE)?;
        uploader.fill(files, Instant::now() + FILLING)?;
        let page = page_of(index, PROJECT);
        let change = Change::Upload(uploader);
        Self::new(size, Rc::new(gateway), (page.clone(), page), change)
    }

    /// Asked for projects of the mirror through an index.
    fn mirrored(size: usize, gateway: Rc<Gateway>, index: &str) -> anyhow::Result<Self> {
        let refresh = Request::post(format!("/{index}/+simple/{TURNING}/refresh"), Vec::new());
        let change = Change::Refresh(Line::to(gateway.manage()?), refresh);
        let pages = (page_of(index, "small"), page_of(index, TURNING));
        Self::new(size, gateway, pages, change)
    }

    fn new(
        size: usize,
        gateway: Rc<Gateway>,
        (hot, changed): (Request, Request),
        change: Change,
    ) -> anyhow::Result<Self> {
        let point = Self {
            size,
            gateway,
            hot,
            changed,
            change,
            connections: CONNECTIONS,
            holds: false,
        };
        point.page()?;
        Ok(point)
    }

    /// The hot page: its length and its tag. Asking also warms, and a long page that was cold has no tag
    /// before it is written as a whole.
    fn page(&self) -> anyhow::Result<(usize, String)> {
        for _ in 0..TAG_ATTEMPTS {
            let answer = succeed(fetch(self.gateway.public(), &self.hot)?)?;
            if let Some(tag) = answer.header("etag") {
                return Ok((answer.body.len(), tag.to_owned()));
            }
            thread::sleep(UNTIL_WRITTEN);
        }
        bail!("a page without ETag")
    }

    /// How long the hot page is.
    pub(crate) fn page_bytes(&self) -> anyhow::Result<usize> {
        Ok(self.page()?.0)
    }

    /// Who is loaded with the hot page.
    pub(crate) fn hot(&self) -> Contender<'_> {
        self.contender("hot page", self.hot.clone())
    }

    /// The same for somebody who has the page.
    pub(crate) fn not_modified(&self) -> anyhow::Result<Contender<'_>> {
        let request = self.hot.clone().header("If-None-Match", self.page()?.1);
        Ok(self.contender("304", request))
    }

    fn contender(&self, name: &'static str, request: Request) -> Contender<'_> {
        Contender {
            name,
            server: self.gateway.server(),
            address: self.gateway.public(),
            request,
        }
    }

    pub(crate) fn shape(&self) -> Shape {
        Shape {
            connections: self.connections,
            tls: false,
            both_cores: false,
        }
    }

    /// Connections that are open while something changes, each after an answer.
    pub(crate) fn hold(&self) -> anyhow::Result<Vec<Line>> {
        let held = if self.holds { self.connections } else { 0 };
        let open = |_| {
            let mut line = Line::to(self.gateway.public());
            succeed(line.ask(&self.hot)?)?;
            Ok(line)
        };
        (0..held).map(open).collect()
    }

    /// Changes something, and asks for the page at once.
    pub(crate) fn change(&mut self) -> anyhow::Result<Changed> {
        let upload = match &mut self.change {
            Change::Upload(uploader) => Some(uploader.upload()?),
            Change::Refresh(line, request) => {
                let status = line.ask(request)?.status;
                anyhow::ensure!(status == 302, "a refresh is answered {status}, not 302");
                None
            }
        };
        let answer = succeed(fetch(self.gateway.public(), &self.changed)?)?;
        Ok(Changed {
            upload,
            first_page: answer.elapsed.as_secs_f64() * 1e3,
        })
    }
}

impl House<'_> {
    fn launch(&self, name: &str) -> Launch {
        Launch::new(&self.folder.join(name), self.origin.address(), self.cores)
    }
}

/// An export whose stage has so many projects, each with a release that is registered and has no file.
fn export(folder: &Path, projects: usize) -> anyhow::Result<std::path::PathBuf> {
    let folder = folder.join(format!("export-{projects}"));
    fs::create_dir_all(&folder)?;
    let project = |number: usize| {
        let name = format!("project-{number}");
        let release = json!({ "1.0": { "name": name, "version": "1.0" } });
        (name, release)
    };
    let projects: Map<_, _> = (0..projects).map(project).collect();
    let index = json!({
        "indexconfig": { "type": "stage", "bases": [], "acl_upload": [":ANONYMOUS:"] },
        "projects": projects,
        "files": [],
    });
    let data = json!({
        "dumpversion": "2",
        "users": { "root": { "username": "root" } },
        "indexes": { STAGE: index },
    });
    fs::write(folder.join("dataindex.json"), serde_json::to_vec(&data)?)?;
    Ok(folder)
}
