//! A package index over real HTTP/1.1 on a loopback port, with a thread and a runtime of its own.
//!
//! Layout: `/simple/`, `/simple/{project}/`, `/files/{project}/{filename}` and its `.metadata`.
//! [`Setup`] determines what it holds and how much it states; [`Fault`]s determine how it
//! misbehaves, by path prefix, and can be changed at any time; the journal records the requests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use cheesecloth::testing::model::Sha256;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use url::Url;

use super::answer::answer;
use super::journal::Journal;
use super::{Content, Fault, Gate, Listed, Project};

/// What an index holds and how much it states. By default everything: JSON 1.4 and HTML, ETags,
/// sidecars, hashes, sizes, upload times and ranges.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(super) projects: Vec<Project>,
    pub(super) json: bool,
    pub(super) api_minor: u32,
    pub(super) etags: bool,
    pub(super) sidecars: bool,
    pub(super) hashes: Digests,
    pub(super) sizes: bool,
    pub(super) upload_times: bool,
    pub(super) ranges: bool,
    /// By filename: what ranges are cut from in place of the file.
    pub(super) told_in_ranges: HashMap<String, Content>,
    pub(super) gzip: bool,
    pub(super) credentials: Option<(String, String)>,
    pub(super) files_at: Option<String>,
    pub(super) redirects: Vec<(String, String)>,
    pub(super) canned: HashMap<String, Canned>,
}

/// Which digests an index states for its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digests {
    None,
    Md5,
    Only(&'static str),
    Sha256,
    Both,
}

/// An answer made by the test.
#[derive(Debug, Clone)]
pub(crate) struct Canned {
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content: Content,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            projects: Vec::new(),
            json: true,
            api_minor: 4,
            etags: true,
            sidecars: true,
            hashes: Digests::Sha256,
            sizes: true,
            upload_times: true,
            ranges: true,
            told_in_ranges: HashMap::new(),
            gzip: false,
            credentials: None,
            files_at: None,
            redirects: Vec::new(),
            canned: HashMap::new(),
        }
    }
}

impl Setup {
    pub(crate) fn project(mut self, project: Project) -> Self {
        self.projects.push(project);
        self
    }

    /// Offers HTML only.
    pub(crate) fn html_only(mut self) -> Self {
        self.json = false;
        self
    }

    /// Offers JSON API 1.`minor`; before 1.1 there are no sizes, upload times and versions.
    pub(crate) fn api_minor(mut self, minor: u32) -> Self {
        self.api_minor = minor;
        self
    }

    /// Sends no ETags and ignores conditional headers.
    pub(crate) fn without_etags(mut self) -> Self {
        self.etags = false;
        self
    }

    /// Has and announces no sidecars.
    pub(crate) fn without_sidecars(mut self) -> Self {
        self.sidecars = false;
        self
    }

    /// States no hashes.
    pub(crate) fn without_hashes(mut self) -> Self {
        self.hashes = Digests::None;
        self
    }

    /// States only the md5 of files.
    pub(crate) fn with_md5(mut self) -> Self {
        self.hashes = Digests::Md5;
        self
    }

    /// States only this digest of files.
    pub(crate) fn with_only(mut self, algorithm: &'static str) -> Self {
        self.hashes = Digests::Only(algorithm);
        self
    }

    /// States the md5 of files besides their sha256.
    pub(crate) fn with_md5_too(mut self) -> Self {
        self.hashes = Digests::Both;
        self
    }

    /// States no sizes.
    pub(crate) fn without_sizes(mut self) -> Self {
        self.sizes = false;
        self
    }

    /// States no upload times.
    pub(crate) fn without_upload_times(mut self) -> Self {
        self.upload_times = false;
        self
    }

    /// Ignores ranges and sends whole files.
    pub(crate) fn without_ranges(mut self) -> Self {
        self.ranges = false;
        self
    }

    /// Cuts ranges of this file from other content.
    pub(crate) fn telling_in_ranges(mut self, filename: &str, content: Content) -> Self {
        self.told_in_ranges.insert(filename.to_owned(), content);
        self
    }

    /// Compresses pages.
    pub(crate) fn gzip(mut self) -> Self {
        self.gzip = true;
        self
    }

    /// Answers 401 to everyone else.
    pub(crate) fn credentials(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Pages link files below this URL instead of `/files/`.
    pub(crate) fn files_at(mut self, base: &Url) -> Self {
        self.files_at = Some(base.as_str().trim_end_matches('/').to_owned());
        self
    }

    /// Redirects paths with this prefix; `*` in the target stands for the rest of the path.
    pub(crate) fn redirect(mut self, prefix: &str, target: &str) -> Self {
        self.redirects.push((prefix.to_owned(), target.to_owned()));
        self
    }

    /// Answers this path with the test's own bytes.
    pub(crate) fn canned(mut self, path: &str, canned: Canned) -> Self {
        self.canned.insert(path.to_owned(), canned);
        self
    }

    /// Starts an index with this setup.
    pub(crate) fn start(self) -> FakeIndex {
        FakeIndex::start(self)
    }

    pub(super) fn api_version(&self) -> String {
        format!("1.{}", self.api_minor)
    }

    /// The link to a file on its page.
    pub(super) fn file_href(&self, project: &Project, file: &Listed) -> String {
        let base = self.files_at.as_deref().unwrap_or("../../files");
        let filename = file.filename.replace('+', "%2B");
        format!("{base}/{}/{filename}", project.name)
    }

    /// The digests stated for a file, as (algorithm, hex).
    pub(super) fn digests(&self, file: &Listed) -> Vec<(&'static str, String)> {
        let md5 = || ("md5", file.content.md5());
        let sha256 = || ("sha256", file.sha256.to_hex());
        match self.hashes {
            Digests::None => Vec::new(),
            Digests::Md5 => vec![md5()],
            Digests::Only(algorithm) => vec![(algorithm, file.content.digest(algorithm))],
            Digests::Sha256 => vec![sha256()],
            Digests::Both => vec![sha256(), md5()],
        }
    }

    /// The digest of a file's sidecar, if there is one to announce.
    pub(super) fn sidecar_digest(&self, file: &Listed) -> Option<Sha256> {
        let metadata = file.metadata.as_ref().filter(|_| self.sidecars)?;
        Some(Sha256::of(metadata))
    }
}

/// A running index.
#[derive(Debug)]
pub(crate) struct FakeIndex {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// State shared by the test and the server.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) journal: Journal,
    setup: Mutex<Arc<Setup>>,
    faults: Mutex<Vec<(String, Fault)>>,
}

impl FakeIndex {
    fn start(setup: Setup) -> Self {
        let shared = Arc::new(Shared {
            journal: Journal::default(),
            setup: Mutex::new(Arc::new(setup)),
            faults: Mutex::default(),
        });
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let (address, running) = serve(any_port, Arc::clone(&shared));
        Self {
            address,
            shared,
            running: Some(running),
        }
    }

    /// The URL of a path on this index.
    pub(crate) fn at(&self, path: &str) -> Url {
        let text = format!("http://{}{path}", self.address);
        Url::parse(&text).expect("an address and a path are a URL")
    }

    /// The URL of its simple pages, with a trailing slash.
    pub(crate) fn url(&self) -> Url {
        self.at("/simple/")
    }

    /// The requests so far.
    pub(crate) fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// Misbehaves below this path from now on; replaces an earlier fault for the same path.
    pub(crate) fn misbehave(&self, prefix: &str, fault: Fault) {
        let mut faults = self.shared.faults();
        faults.retain(|(known, _)| known != prefix);
        faults.push((prefix.to_owned(), fault));
    }

    /// Removes all faults.
    pub(crate) fn behave(&self) {
        self.shared.faults().clear();
    }

    /// Holds bodies below this path back after this many bytes, until the gate is released or
    /// dropped.
    pub(crate) fn gate(&self, prefix: &str, after_bytes: u64) -> Gate {
        self.gate_before(prefix, after_bytes, Fault::new())
    }

    /// The same, and what goes on then misbehaves.
    pub(crate) fn gate_before(&self, prefix: &str, after_bytes: u64, fault: Fault) -> Gate {
        let gate = Gate::after(after_bytes);
        self.misbehave(prefix, fault.gate(&gate));
        gate
    }

    /// Changes its setup from now on.
    pub(crate) fn change(&self, change: impl FnOnce(Setup) -> Setup) {
        let mut setup = self.shared.setup.lock().expect("no panic while changing");
        *setup = Arc::new(change(Setup::clone(&setup)));
    }

    /// Stops listening and closes every connection.
    pub(crate) fn stop(&mut self) {
        let Some(Running { stop, thread }) = self.running.take() else {
            return;
        };
        // An error means that the thread has already ended, which `join` reports.
        let _ = stop.send(());
        if let Err(panic) = thread.join()
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }

    /// Listens again, on the same port.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let (_, running) = serve(self.address, Arc::clone(&self.shared));
        self.running = Some(running);
    }
}

impl Drop for FakeIndex {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    pub(super) fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.setup.lock().expect("no panic while changing"))
    }

    fn faults(&self) -> MutexGuard<'_, Vec<(String, Fault)>> {
        self.faults.lock().expect("no panic while changing")
    }

    /// The fault with the longest matching prefix that is not used up, or none.
    pub(super) fn fault_for(&self, path: &str) -> Fault {
        let mut faults = self.faults();
        let fitting = faults
            .iter_mut()
            .filter(|(prefix, fault)| path.starts_with(prefix.as_str()) && fault.times != Some(0));
        let Some((_, fault)) = fitting.max_by_key(|(prefix, _)| prefix.len()) else {
            return Fault::new();
        };
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        fault.clone()
    }
}

/// Binds, then serves on its own thread until told to stop.
fn serve(address: SocketAddr, shared: Arc<Shared>) -> (SocketAddr, Running) {
    let (stop, stopped) = oneshot::channel();
    let (bound, address_bound) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind(address).await.expect("a free port");
            let address = listener.local_addr().expect("a bound address");
            bound.send(address).expect("the test waits for it");
            tokio::select! {
                () = accept(listener, shared) => {}
                _ = stopped => {}
            }
        });
    });
    let address = address_bound.recv().expect("the server starts");
    (address, Running { stop, thread })
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("a connection");
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let service = service_fn(|request| answer(&shared, request));
                    let connection = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    // The client's side judges how it ended.
                    let _ = connection.await;
                });
            }
            Some(ended) = connections.join_next() => {
                let panic = ended.err().and_then(|error| error.try_into_panic().ok());
                if let Some(panic) = panic {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}
