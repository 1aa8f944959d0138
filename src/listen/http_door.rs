//! A door's two ways in: HTTP/1.1 by [`http1`](crate::listen::http1), HTTP/2 by Pingora.

use std::sync::Arc;

use pingora::apps::{HttpServerApp, HttpServerOptions, ServerApp};
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::protocols::tls::TlsStream;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;

use crate::listen::head_guard::HeadGuard;
use crate::listen::http1::{Wire, serve};
use crate::listen::service::HttpService;
use crate::listen::socket::Socket;

/// The application of every door.
pub(super) struct HttpDoor {
    service: HttpService,
    pingora: Arc<HttpProxy<HttpService>>,
}

impl HttpDoor {
    pub(super) fn new(service: HttpService, conf: &Arc<ServerConf>) -> Self {
        let limits = service.limits();
        let mut options = HttpServerOptions::default();
        // Pingora counts how often a connection is used again.
        options.keepalive_request_limit = Some(limits.requests_per_connection.saturating_sub(1));
        options.h2_idle_timeout = Some(limits.idle_timeout);
        // It is refused by the door, in the door's own words.
        options.allow_connect_method_proxying = true;
        let mut http2 = default_h2_options();
        http2.max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX));
        let mut pingora = HttpProxy::new(service.clone(), Arc::clone(conf));
        pingora.server_options = Some(options);
        pingora.h2_options = Some(http2);
        pingora.handle_init_modules();
        Self {
            service,
            pingora: Arc::new(pingora),
        }
    }

    /// Serves a connection of HTTP/1.1 to its end.
    pub(super) async fn serve<S: Wire>(&self, guard: HeadGuard<S>, stopping: &ShutdownWatch) {
        serve(&self.service, &self.pingora, guard, stopping).await;
    }

    /// Serves one of HTTP/2.
    pub(super) async fn serve_streams(
        &self,
        guard: HeadGuard<TlsStream<Socket>>,
        ending: &ShutdownWatch,
    ) {
        self.pingora.process_new(Box::new(guard), ending).await;
    }

    /// Closes idle connections.
    pub(super) async fn close(&self) {
        self.pingora.http_cleanup().await;
    }
}
