//! nginx as somebody who knows it would tune it: one worker, nothing logged, everything ready.
//!
//! Four servers over the same worker: files from disk by `sendfile`, the same through buffers (the
//! faster way on loopback), the same under TLS 1.3, and a caching proxy before the origin. Pages lie
//! on disk with their compressed form beside them and under URLs of their own: a hit in `proxy_cache`
//! costs nginx more, and so would choosing the form by `Accept`. The configuration is `nginx.conf`
//! beside this file.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::process::Server;

/// Until it accepts connections.
const START: Duration = Duration::from_secs(10);

/// Between two attempts to connect.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The configuration, with `@…@` where an address or a path belongs.
const TEMPLATE: &str = include_str!("nginx.conf");

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
    /// Starts `command`, which is nginx, in a new folder, serving `root` and caching what `origin` answers.
    pub(crate) fn start(
        mut command: Command,
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
    // Started by root, the worker would otherwise be nobody, who cannot read a home directory.
    let is_root = rustix::process::geteuid().is_root();
    let user = if is_root { "user root;" } else { "" };
    let values = [
        ("user", user.to_owned()),
        ("root", root.display().to_string()),
        ("cert", certificate.cert.display().to_string()),
        ("key", certificate.key.display().to_string()),
        ("origin", origin.to_string()),
        ("sendfile", ports.sendfile.to_string()),
        ("buffers", ports.buffers.to_string()),
        ("tls", ports.tls.to_string()),
        ("proxy", ports.proxy.to_string()),
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
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        assert!(!lines.any(|line| line.contains('@')), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
