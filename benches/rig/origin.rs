//! The upstream: a small HTTP/1.1 server on loopback, as slow as told, that counts what it is asked.
//! It can be told to fall silent, or to go.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::content::{self, Content, WHOLE_LIST};

/// The content type of every page.
const PAGE_TYPE: &str = "application/vnd.pypi.simple.v1+json";

type Parts = stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

/// The running upstream. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

#[derive(Debug)]
struct Shared {
    content: Arc<Content>,
    delay_ms: AtomicU64,
    hangs: AtomicBool,
    asked: Mutex<HashMap<String, usize>>,
}

impl Origin {
    /// Starts it on a port that the system picks.
    pub(crate) fn start(content: Arc<Content>) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            content,
            delay_ms: AtomicU64::new(0),
            hangs: AtomicBool::new(false),
            asked: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("open the origin")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let serving = Arc::clone(&shared);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("origin".to_owned())
            .spawn(move || {
                let served = async {
                    tokio::select! {
                        served = serve(listener, &serving) => served,
                        _ = stopped => Ok(()),
                    }
                };
                if let Err(error) = runtime.block_on(served) {
                    eprintln!("the origin has ended: {error:#}");
                }
            })?;
        Ok(Self {
            address,
            shared,
            thread: Some((stop, thread)),
        })
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits this long before every answer from now on.
    pub(crate) fn set_delay(&self, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.shared.delay_ms.store(delay_ms, Ordering::Relaxed);
    }

    /// Answers nothing from now on, neither on open connections nor on new ones.
    pub(crate) fn hang(&self) {
        self.shared.hangs.store(true, Ordering::Relaxed);
    }

    /// Closes every connection and refuses new ones from now on.
    pub(crate) fn refuse(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            // The thread takes its runtime along, with the listener and all connections.
            drop(stop);
            let _ = thread.join();
        }
    }

    /// How often this path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.shared.asked().get(path).copied().unwrap_or(0)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.refuse();
    }
}

impl Shared {
    fn asked(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<StreamBody<Parts>>, Infallible> {
        let path = request.uri().path();
        *self.asked().entry(path.to_owned()).or_default() += 1;
        let delay = Duration::from_millis(self.delay_ms.load(Ordering::Relaxed));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let (status, content_type, parts) = self.find(path);
        let length: usize = parts.iter().map(Bytes::len).sum();
        let frames: Vec<_> = parts
            .into_iter()
            .map(|part| Ok(Frame::data(part)))
            .collect();
        let mut response = Response::new(StreamBody::new(stream::iter(frames)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static(content_type),
        );
        headers.insert(header::CONTENT_LENGTH, length.into());
        headers.insert(
            header::CACHE_CONTROL,
            header::HeaderValue::from_static("max-age=600"),
        );
        Ok(response)
    }

    fn find(&self, path: &str) -> (StatusCode, &'static str, Vec<Bytes>) {
        if path == "/simple/" {
            return (StatusCode::OK, PAGE_TYPE, vec![content::project_list()]);
        }
        if path == WHOLE_LIST {
            return (StatusCode::OK, PAGE_TYPE, vec![self.content.whole_list()]);
        }
        if let Some(name) = path.strip_prefix("/simple/")
            && let Some(page) = self.content.page(name.trim_end_matches('/'))
        {
            return (StatusCode::OK, PAGE_TYPE, vec![page]);
        }
        if let Some(filename) = path.strip_prefix("/files/")
            && let Some(parts) = self.content.file(filename)
        {
            return (StatusCode::OK, "application/octet-stream", parts);
        }
        (
            StatusCode::NOT_FOUND,
            "text/plain",
            vec![Bytes::from_static(b"not here\n")],
        )
    }
}

async fn serve(listener: std::net::TcpListener, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let service = service_fn(|request| shared.answer(request));
            // A client that goes away is no concern of the origin.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::plain::{Line, Request, fetch};
    use super::*;

    #[test]
    fn it_answers_late_when_told_and_counts() {
        let origin = Origin::start(Arc::default()).unwrap();
        let page = Request::new("/simple/page-1/");
        let quick = fetch(origin.address(), &page).unwrap();
        assert_eq!(quick.status, 200);
        assert_eq!(quick.body, Content::default().page("page-1").unwrap());
        origin.set_delay(Duration::from_millis(30));
        assert!(fetch(origin.address(), &page).unwrap().elapsed >= Duration::from_millis(30));
        assert_eq!(origin.asked("/simple/page-1/"), 2);
        assert_eq!(
            fetch(origin.address(), &Request::new("/simple/six/"))
                .unwrap()
                .status,
            404
        );
    }

    #[test]
    fn it_falls_silent_and_it_goes() {
        let mut origin = Origin::start(Arc::default()).unwrap();
        let address = origin.address();
        let mut kept = Line::to(address);
        let page = Request::new("/simple/page-1/");
        assert_eq!(kept.ask(&page).unwrap().status, 200);
        origin.hang();
        let asking = thread::spawn(move || kept.ask(&page));
        let deadline = Instant::now() + Duration::from_secs(60);
        while origin.asked("/simple/page-1/") < 2 {
            assert!(Instant::now() < deadline, "the second request never came");
            thread::yield_now();
        }
        assert!(!asking.is_finished());
        origin.refuse();
        // Nobody has answered: the connection has ended instead.
        assert!(asking.join().unwrap().is_err());
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}
