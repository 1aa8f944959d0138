//! The public door's two ways in: HTTP/1.1 by `http1`, HTTP/2 by the machinery.

use std::sync::Arc;

use pingora::apps::{HttpServerApp, ServerApp};
use pingora::protocols::ALPN;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use crate::listen::door::{Connection, DoorApp};
use crate::listen::http1::{Wire, serve};
use crate::listen::public::PublicApp;

/// The public door's application.
pub(super) struct PublicDoor {
    app: PublicApp,
    machinery: Arc<HttpProxy<PublicApp>>,
}

impl PublicDoor {
    /// Answers by `app`, alone or through the machinery that was made of it.
    pub(super) fn new(app: PublicApp, machinery: Arc<HttpProxy<PublicApp>>) -> Self {
        Self { app, machinery }
    }
}

impl DoorApp for PublicDoor {
    async fn serve<S: Wire>(self: &Arc<Self>, connection: Connection<S>, stopping: &ShutdownWatch) {
        if connection.stream.selected_alpn_proto() == Some(ALPN::H2) {
            let stream = Box::new(connection.stream);
            self.machinery.process_new(stream, stopping).await;
        } else {
            let guard = connection.guarded();
            serve(&self.app, &self.machinery, guard, stopping).await;
        }
    }

    async fn close(&self) {
        self.machinery.http_cleanup().await;
    }
}
