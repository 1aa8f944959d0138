//! nginx as an expert would tune it: a worker per core, nothing logged, everything ready.
//!
//! Five servers over the same workers: files from disk by `sendfile`, the same through buffers (the
//! faster way on loopback), the same under TLS 1.3, a caching proxy in front of the origin, and one
//! whose pages expire within a second, to be answered stale while the origin is away. Pages are on
//! disk with their compressed form beside them and under their own URLs: a hit in `proxy_cache`
//! costs nginx more, and so would choosing the form by `Accept`. The configuration is `nginx.conf`
//! beside this file.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::rig::gateway::Certificate;
use crate::rig::process::Server;

/// How long it may take to accept connections.
const START: Duration = Duration::from_secs(10);

/// Time between two attempts to connect.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The configuration, with `@…@` in place of addresses and paths.
const TEMPLATE: &str = include_str!("nginx.conf");

/// What an nginx serves, and with how many workers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    /// The folder of the files.
    pub(crate) root: &'a Path,
    /// The server whose answers are cached.
    pub(crate) origin: SocketAddr,
    pub(crate) certificate: &'a Certificate,
    pub(crate) workers: usize,
}

#[derive(Debug)]
pub(crate) struct Nginx {
    server: Server,
    ports: Ports,
}

/// The addresses of its servers.
#[derive(Debug, Clone, Copy)]
struct Ports {
    sendfile: SocketAddr,
    buffers: SocketAddr,
    tls: SocketAddr,
    proxy: SocketAddr,
    stale: SocketAddr,
}

impl Nginx {
    /// Starts `command`, which is nginx, in a new folder.
    pub(crate) fn start(
        mut command: Command,
        folder: &Path,
        site: Site<'_>,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder.join("temporary"))?;
        let ports = Ports {
            sendfile: free_address()?,
            buffers: free_address()?,
            tls: free_address()?,
            proxy: free_address()?,
            stale: free_address()?,
        };
        let configuration = folder.join("nginx.conf");
        fs::write(&configuration, configure(site, ports))?;
        let log = folder.join("error.log");
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

    /// The caching proxy whose pages expire.
    pub(crate) fn stale(&self) -> SocketAddr {
        self.ports.stale
    }
}

/// An address where nobody listens. nginx cannot choose a port and report it.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?)
}

fn configure(site: Site<'_>, ports: Ports) -> String {
    // If root starts it, the worker would otherwise be `nobody`, who cannot read a home directory.
    let is_root = rustix::process::geteuid().is_root();
    let user = if is_root { "user root;" } else { "" };
    // Each worker accepts connections from its own queue; with a shared one, one worker takes most
    // of them.
    let shared = if site.workers > 1 { " reuseport" } else { "" };
    let values = [
        ("user", user.to_owned()),
        ("workers", site.workers.to_string()),
        ("root", site.root.display().to_string()),
        ("cert", site.certificate.cert.display().to_string()),
        ("key", site.certificate.key.display().to_string()),
        ("origin", site.origin.to_string()),
        ("sendfile", format!("{}{shared}", ports.sendfile)),
        ("buffers", format!("{}{shared}", ports.buffers)),
        ("tls", ports.tls.to_string()),
        ("proxy", ports.proxy.to_string()),
        ("stale", ports.stale.to_string()),
    ];
    let fill = |text: String, (name, value)| text.replace(&format!("@{name}@"), value);
    values
        .iter()
        .fold(TEMPLATE.to_owned(), |text, (name, value)| {
            fill(text, (name, value))
        })
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
            stale: address(6),
        };
        let certificate = Certificate {
            cert: "/c.pem".into(),
            key: "/k.pem".into(),
        };
        let site = |workers| Site {
            root: Path::new("/pages"),
            origin: address(5),
            certificate: &certificate,
            workers,
        };
        let text = configure(site(2), ports);
        assert!(
            text.contains("worker_processes 2;") && text.contains("listen 127.0.0.1:1 reuseport;")
        );
        let text = configure(site(1), ports);
        for line in [
            "listen 127.0.0.1:1;",
            "root /pages;",
            "listen 127.0.0.1:3 ssl;",
            "ssl_certificate /c.pem;",
            "server 127.0.0.1:5;",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        assert!(!lines.any(|line| line.contains('@')), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
