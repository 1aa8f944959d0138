//! Everything needed before the first figure: tools, content, origin, and the servers side by side.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use super::cold::LARGE_PAGES;
use super::nginx::{Nginx, Site};
use super::options::{Options, Scenario};
use super::resources::{Page, Resource, ask_page};
use crate::rig::asking::succeed;
use crate::rig::content::Content;
use crate::rig::gateway::{Certificate, Gateway, Launch, MIRROR, Strict};
use crate::rig::load::{self, Load};
use crate::rig::origin::Origin;
use crate::rig::plain::{Answer, Request, fetch, fetch_over_tls};
use crate::rig::process::{Cores, Server};
use crate::rig::tools::Tools;
use crate::rig::turns::ATTEMPTS;

/// The policy whose cost is measured.
const LARGE_POLICY: Strict = Strict {
    whitelisted: 100_000,
    rules: 50,
};

/// What all scenarios share. The servers end before their folder is removed.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) options: Options,
    pub(crate) cores: Cores,
    pub(crate) tools: Tools,
    pub(crate) content: Arc<Content>,
    pub(crate) origin: Origin,
    pub(crate) nginx: Nginx,
    certificate: Certificate,
    subject: Subject,
    trust: Arc<ClientConfig>,
    results: PathBuf,
    pub(crate) folder: PathBuf,
    _folder: TempDir,
}

/// What is compared with nginx.
#[derive(Debug)]
enum Subject {
    /// The gateway, once in plain text and once with TLS on its public door.
    Gateway {
        plain: Box<Gateway>,
        tls: Box<Gateway>,
    },
    /// A second nginx.
    Calibration(Nginx),
}

impl Stage {
    /// Generates, fetches and starts everything.
    pub(crate) fn set(options: &Options, cores: Cores) -> anyhow::Result<Self> {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let target = scratch.parent().context("the target directory")?;
        let results = target.join("side_by_side");
        fs::create_dir_all(&results)?;
        let tools = Tools::find(target)?;
        let temporary = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&results)?;
        let folder = temporary.path().to_owned();
        load::prepare(&folder)?;
        let (certificate, trust) = certify(&folder)?;
        eprintln!("making pages and files");
        let content = Arc::new(Content::make(cold_files(options), large_pages(options))?);
        let root = folder.join("root");
        place_files(&content, &root)?;
        let pages = options.calibrate.then(|| own_pages(&content)).transpose()?;
        let origin = Origin::start(Arc::clone(&content))?;
        eprintln!("starting the servers");
        let nginx = |name: &str| {
            let folder = folder.join(name);
            let site = Site {
                root: &root,
                origin: origin.address(),
                certificate: &certificate,
                workers: 1,
            };
            Nginx::start(cores.server(&tools.nginx), &folder, site)
        };
        let subject = match pages {
            Some(pages) => {
                place_pages(&root, &pages)?;
                Subject::Calibration(nginx("second")?)
            }
            None => {
                let launch = |name: &str| Launch::new(&folder.join(name), origin.address(), cores);
                let plain = launch("plain").strict(LARGE_POLICY).start()?;
                place_pages(&root, &pages_of(&plain)?)?;
                let tls = launch("tls").tls(&certificate).start()?;
                Subject::Gateway {
                    plain: Box::new(plain),
                    tls: Box::new(tls),
                }
            }
        };
        let nginx = nginx("nginx")?;
        let options = options.clone();
        Ok(Self {
            options,
            cores,
            tools,
            content,
            origin,
            nginx,
            certificate,
            subject,
            trust,
            results,
            folder,
            _folder: temporary,
        })
    }

    /// The load of every turn.
    pub(crate) fn load(&self) -> Load<'_> {
        let options = &self.options;
        Load {
            tools: &self.tools,
            cores: self.cores,
            folder: &self.folder,
            seconds: options.seconds,
            rounds: options.rounds,
            attempts: if options.quick { 1 } else { ATTEMPTS },
        }
    }

    /// Where raw figures go.
    pub(crate) fn results(&self) -> &Path {
        &self.results
    }

    /// The gateway with the plain public door.
    pub(crate) fn gateway(&self) -> anyhow::Result<&Gateway> {
        match &self.subject {
            Subject::Gateway { plain, .. } => Ok(plain),
            Subject::Calibration(_) => bail!("there is no gateway while nginx is calibrated"),
        }
    }

    /// Which server to load, and where it is.
    pub(crate) fn subject(&self, over_tls: bool) -> (&Server, SocketAddr) {
        match &self.subject {
            Subject::Gateway { tls, .. } if over_tls => (tls.server(), tls.public()),
            Subject::Gateway { plain, .. } => (plain.server(), plain.public()),
            Subject::Calibration(nginx) if over_tls => (nginx.server(), nginx.tls()),
            Subject::Calibration(nginx) => (nginx.server(), nginx.sendfile()),
        }
    }

    /// Sends one request to the subject.
    pub(crate) fn fetch(&self, over_tls: bool, request: &Request) -> anyhow::Result<Answer> {
        let (_, address) = self.subject(over_tls);
        if over_tls {
            fetch_over_tls(address, request, &self.trust)
        } else {
            fetch(address, request)
        }
    }

    /// The request for the subject.
    pub(crate) fn ask(&self, resource: Resource) -> anyhow::Result<Request> {
        match &self.subject {
            Subject::Gateway { .. } => resource.ask_gateway(self),
            Subject::Calibration(_) => Ok(resource.ask_nginx()),
        }
    }

    /// Another gateway, with its own data.
    pub(crate) fn launch(&self, name: &str) -> Launch {
        self.launch_before(name, &self.origin)
    }

    /// The same before another origin.
    pub(crate) fn launch_before(&self, name: &str, origin: &Origin) -> Launch {
        Launch::new(&self.folder.join(name), origin.address(), self.cores)
    }

    /// Another nginx in front of an origin, with its own cache; a second worker also gets the
    /// second core.
    pub(crate) fn nginx_before(
        &self,
        name: &str,
        origin: &Origin,
        workers: usize,
    ) -> anyhow::Result<Nginx> {
        let site = Site {
            root: &self.folder.join("root"),
            origin: origin.address(),
            certificate: &self.certificate,
            workers,
        };
        let command = if workers > 1 {
            self.cores.both(&self.tools.nginx)
        } else {
            self.cores.server(&self.tools.nginx)
        };
        Nginx::start(command, &self.folder.join(name), site)
    }
}

/// Every round of a cold file needs one that nobody had before.
fn cold_files(options: &Options) -> usize {
    let wanted = Scenario::all().into_iter().filter(|scenario| {
        matches!(scenario, Scenario::ColdFile { .. }) && options.wants(scenario)
    });
    wanted.count() * options.rounds
}

/// Every round of cold large pages needs some that nobody had before.
fn large_pages(options: &Options) -> usize {
    if options.wants(&Scenario::ColdLargePage) {
        LARGE_PAGES * options.rounds
    } else {
        0
    }
}

/// A certificate for loopback on P-256, as public authorities issue them, and a client's trust in
/// it.
fn certify(folder: &Path) -> anyhow::Result<(Certificate, Arc<ClientConfig>)> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let certificate = Certificate {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    fs::write(&certificate.cert, made.cert.pem())?;
    fs::write(&certificate.key, made.signing_key.serialize_pem())?;
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let trust = client.with_root_certificates(roots).with_no_client_auth();
    Ok((certificate, Arc::new(trust)))
}

/// Puts the files where nginx serves them.
fn place_files(content: &Content, root: &Path) -> anyhow::Result<()> {
    for (_, place) in Resource::FILES {
        let filename = place.trim_start_matches("files/");
        let parts = content
            .file(filename)
            .with_context(|| format!("{filename} is not made"))?;
        write(&root.join(place), &parts)?;
    }
    Ok(())
}

type Pages = Vec<(Page, Vec<u8>)>;

/// Puts the pages where nginx serves them.
fn place_pages(root: &Path, pages: &Pages) -> anyhow::Result<()> {
    for (page, body) in pages {
        let ending = if page.gzip { ".gz" } else { "" };
        write(&root.join(format!("{}{ending}", page.place())), &[body])?;
    }
    Ok(())
}

/// The pages as the gateway answers them: nginx must serve the same bytes.
fn pages_of(gateway: &Gateway) -> anyhow::Result<Pages> {
    let ask = |page: Page| {
        let answer = succeed(fetch(gateway.public(), &ask_page(MIRROR, page))?)?;
        let is_gzip = answer.header("content-encoding") == Some("gzip");
        if is_gzip != page.gzip {
            bail!("{page:?} comes with the wrong content-encoding");
        }
        Ok((page, answer.body))
    };
    Page::all().into_iter().map(ask).collect()
}

/// The pages as the origin has them, for a comparison without the gateway.
fn own_pages(content: &Content) -> anyhow::Result<Pages> {
    let make = |page: Page| {
        let body = content
            .page(page.project)
            .context("a page is not made")?
            .to_vec();
        if !page.gzip {
            return Ok((page, body));
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&body)?;
        Ok((page, encoder.finish()?))
    };
    Page::all().into_iter().map(make).collect()
}

fn write(path: &Path, parts: &[impl AsRef<[u8]>]) -> anyhow::Result<()> {
    let put = || -> std::io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        let mut file = fs::File::create(path)?;
        parts
            .iter()
            .try_for_each(|part| file.write_all(part.as_ref()))
    };
    put().with_context(|| format!("write {}", path.display()))
}
