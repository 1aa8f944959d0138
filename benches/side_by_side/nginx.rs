//! nginx as somebody who knows it would tune it: one worker, nothing logged, everything ready.
//!
//! Four servers over the same worker: files from disk by `sendfile`, the same through buffers (the
//! faster way on loopback), the same under TLS 1.3, and a caching proxy before the origin. Pages lie
//! on disk with their compressed form beside them and under URLs of their own: a hit in `proxy_cache`
//! costs nginx more, and so would choosing the form by `Accept`. The configuration is quoted in
//! `docs/performance.md`.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::process::{Server, on_server_core};

/// Until it accepts connections.
const START: Duration = Duration::from_secs(10);

/// Between two attempts to connect.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A certificate for TLS, in files that both servers read.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// A running nginx.
#[derive(Debug)]
pub(crate) struct Nginx {
    server: Server,
    ports: Ports,
}

/// Where its servers are.
#[derive(Debug, Clone, Copy)]
struct Ports {
    sendfile: SocketAddr,
    buffers: SocketAddr,
    tls: SocketAddr,
    proxy: SocketAddr,
}

impl Nginx {
    /// Starts one in a new folder, serving `root` and caching what `origin` answers.
    pub(crate) fn start(
        program: &Path,
        folder: &Path,
        root: &Path,
        origin: SocketAddr,
        certificate: &Certificate,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder.join("temporary"))?;
        let ports = Ports {
            sendfile: free_address()?,
            buffers: free_address()?,
            tls: free_address()?,
            proxy: free_address()?,
        };
        let configuration = folder.join("nginx.conf");
        fs::write(&configuration, configure(root, origin, certificate, ports))?;
        let log = folder.join("error.log");
        let mut command = on_server_core(program);
        command
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&configuration)
            .arg("-e")
            .arg(&log);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut server = Server::new(command.spawn().context("start nginx")?);
        let deadline = Instant::now() + START;
        while TcpStream::connect(ports.proxy).is_err() {
            if server.ended()?.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&log).unwrap_or_default();
                bail!(
                    "nginx does not start with {}: {said}",
                    configuration.display()
                );
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(Self { server, ports })
    }

    /// The process.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Files and pages by `sendfile`.
    pub(crate) fn sendfile(&self) -> SocketAddr {
        self.ports.sendfile
    }

    /// Files and pages through buffers.
    pub(crate) fn buffers(&self) -> SocketAddr {
        self.ports.buffers
    }

    /// Files and pages under TLS.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.ports.tls
    }

    /// The caching proxy.
    pub(crate) fn proxy(&self) -> SocketAddr {
        self.ports.proxy
    }
}

/// An address nobody listens on. nginx cannot pick a port and tell it.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?)
}

fn configure(root: &Path, origin: SocketAddr, certificate: &Certificate, ports: Ports) -> String {
    let Ports {
        sendfile,
        buffers,
        tls,
        proxy,
    } = ports;
    let (cert, key) = (certificate.cert.display(), certificate.key.display());
    let root = root.display();
    // Started by root, the worker would otherwise be nobody, who cannot read a home directory.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    format!(
        r#"{user}
daemon off;
pid nginx.pid;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path temporary/body;
    proxy_temp_path temporary/proxy;
    fastcgi_temp_path temporary/fastcgi;
    uwsgi_temp_path temporary/uwsgi;
    scgi_temp_path temporary/scgi;

    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 65s;
    keepalive_requests 1000000;
    open_file_cache max=10000 inactive=1h;
    open_file_cache_valid 1h;
    gzip_static on;
    gzip_vary on;

    types {{ }}
    default_type application/octet-stream;
    root {root};

    server {{
        listen {sendfile};
        sendfile on;
        location /json/ {{ default_type application/vnd.pypi.simple.v1+json; }}
        location /html/ {{ default_type "text/html; charset=utf-8"; }}
    }}
    server {{
        listen {buffers};
        sendfile off;
        output_buffers 2 256k;
        location /json/ {{ default_type application/vnd.pypi.simple.v1+json; }}
        location /html/ {{ default_type "text/html; charset=utf-8"; }}
    }}
    server {{
        listen {tls} ssl;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        ssl_session_cache shared:tls:10m;
        ssl_buffer_size 16k;
        sendfile off;
        output_buffers 2 256k;
        location /json/ {{ default_type application/vnd.pypi.simple.v1+json; }}
        location /html/ {{ default_type "text/html; charset=utf-8"; }}
    }}

    proxy_cache_path cache levels=1:2 keys_zone=cache:32m max_size=20g inactive=1d use_temp_path=off;
    upstream origin {{ server {origin}; keepalive 64; }}
    server {{
        listen {proxy};
        sendfile on;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffers 16 64k;
            proxy_buffer_size 64k;
            proxy_cache cache;
            proxy_cache_valid 200 1d;
            proxy_cache_lock on;
            proxy_cache_lock_age 60s;
            proxy_cache_lock_timeout 60s;
        }}
    }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_what_it_is_given() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let ports = Ports {
            sendfile: address(1),
            buffers: address(2),
            tls: address(3),
            proxy: address(4),
        };
        let certificate = Certificate {
            cert: "/c.pem".into(),
            key: "/k.pem".into(),
        };
        let text = configure(Path::new("/pages"), address(5), &certificate, ports);
        for line in [
            "root /pages;",
            "listen 127.0.0.1:3 ssl;",
            "ssl_certificate /c.pem;",
            "server 127.0.0.1:5;",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
