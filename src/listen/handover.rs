//! The listening sockets on their way from a running process to the one that replaces it.
//!
//! The new process waits at a Unix socket in the run folder. The old one, on SIGQUIT, connects and
//! sends its listening sockets by name. Nothing is lost by that: both hold the same sockets now, and
//! only when the new one says that it serves does the old one close its doors. A new one that ends
//! without a word has changed nothing. The connection stays open until the old process has ended, which
//! is how the new one learns of it.

use std::io;
use std::io::{IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, IntoRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

/// How long a new process waits for the sockets: time to signal the old one by hand.
const SOCKETS_WITHIN: Duration = Duration::from_secs(30);

/// How long the old process waits until the new one serves; asking devpi-servers that do not answer
/// takes a while.
const SERVES_WITHIN: Duration = Duration::from_secs(60);

/// Most sockets handed over: three doors of a few addresses each.
const SOCKETS_MAX: usize = 16;

/// Most bytes of their names: the path of a Unix socket has about a hundred.
const NAMES_BYTES_MAX: usize = 4 << 10;

/// What the new process says when it serves.
const SERVES: &[u8] = b"!";

/// The sockets that the next process may have, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Offered(Arc<Mutex<Vec<(String, OwnedFd)>>>);

/// The sockets that the previous process has left, by name.
#[derive(Debug, Default)]
pub(super) struct Inherited(Vec<(String, OwnedFd)>);

/// The process that this one replaces, once it has handed its sockets over.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
    /// Where both met; removed when the old process may leave, for those who watch an upgrade.
    meeting: PathBuf,
}

impl Offered {
    pub(super) fn add(&self, name: String, socket: OwnedFd) {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.push((name, socket));
    }

    /// Closes them: a socket that nobody accepts from must not take connections.
    pub(super) fn withdraw(&self) {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.clear();
    }

    /// Hands them to the process that waits at `path`, and waits until it serves.
    ///
    /// On an error no process has taken this one's place.
    pub(super) async fn hand_over(&self, path: &Path) -> io::Result<()> {
        let stream = UnixStream::connect(path)?;
        self.send(&stream)?;
        stream.set_nonblocking(true)?;
        let mut stream = tokio::net::UnixStream::from_std(stream)?;
        let mut word = [0];
        let said = timeout(SERVES_WITHIN, stream.read(&mut word)).await;
        match said.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {
                // Closed when this process ends and not before: that is what the other waits for.
                let _ = stream.into_std()?.into_raw_fd();
                Ok(())
            }
        }
    }

    fn send(&self, stream: &UnixStream) -> io::Result<()> {
        let sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<&str> = sockets.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join("\n");
        let handles: Vec<BorrowedFd<'_>> =
            sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if names.len() > NAMES_BYTES_MAX || !control.push(SendAncillaryMessage::ScmRights(&handles))
        {
            return Err(io::Error::other("too many sockets to hand over"));
        }
        let text = [IoSlice::new(names.as_bytes())];
        sendmsg(stream, &text, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl Inherited {
    /// Takes the socket of this name.
    pub(super) fn take(&mut self, name: &str) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// Waits at `path` for the sockets of the process that is to be replaced.
pub(super) fn await_sockets(path: &Path) -> io::Result<(Inherited, Predecessor)> {
    // Created under another name and renamed: whoever sees it finds a listener.
    let beside = path.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&beside)?;
    std::fs::rename(&beside, path)?;
    sockopt::set_socket_timeout(&listener, sockopt::Timeout::Recv, Some(SOCKETS_WITHIN))?;
    let (stream, _) = listener.accept().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })?;
    stream.set_read_timeout(Some(SOCKETS_WITHIN))?;
    let inherited = receive(&stream)?;
    let meeting = path.to_owned();
    Ok((inherited, Predecessor { stream, meeting }))
}

fn receive(stream: &UnixStream) -> io::Result<Inherited> {
    let mut names = [0; NAMES_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = [IoSliceMut::new(&mut names)];
    let received = recvmsg(stream, &mut text, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(handles) = message {
            sockets.extend(handles);
        }
    }
    let names = String::from_utf8_lossy(&names[..received.bytes]);
    Ok(Inherited(
        names.lines().map(str::to_owned).zip(sockets).collect(),
    ))
}

impl Predecessor {
    /// Tells it that this process serves, so that it closes its doors.
    ///
    /// # Errors
    /// When it no longer waits for that, and so continues to serve itself.
    pub fn take_over(&mut self) -> io::Result<()> {
        self.stream.write_all(SERVES)?;
        std::fs::remove_file(&self.meeting)
    }

    /// Waits until it has ended, with everything it had under way.
    pub async fn ended(self) {
        let stream = self.stream.set_nonblocking(true);
        let stream = stream.and_then(|()| tokio::net::UnixStream::from_std(self.stream));
        match stream {
            // It says nothing more: anything readable is the end.
            Ok(mut stream) => drop(stream.read(&mut [0]).await),
            Err(error) => tracing::warn!(%error, "cannot see when the process before ends"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    fn offered() -> (Offered, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let offered = Offered::default();
        offered.add("public=here".to_owned(), listener.into());
        let unix = UnixStream::pair().unwrap().0;
        offered.add("manage=unix:/a b".to_owned(), unix.into());
        (offered, address)
    }

    /// Hands over once somebody waits.
    async fn hand_over(offered: &Offered, path: &Path) -> io::Result<()> {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
        offered.hand_over(path).await
    }

    #[tokio::test]
    async fn sockets_go_by_name_and_the_old_one_waits_for_the_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meeting");
        let (offered, address) = offered();
        let waiting = path.clone();
        let new = thread::spawn(move || {
            let (mut inherited, mut before) = await_sockets(&waiting).unwrap();
            assert!(inherited.take("metrics=here").is_none());
            assert!(inherited.take("manage=unix:/a b").is_some());
            let socket = inherited.take("public=here").unwrap();
            before.take_over().unwrap();
            (socket, before)
        });
        hand_over(&offered, &path).await.unwrap();
        let (socket, _before) = new.join().unwrap();
        assert!(!path.exists());
        drop(offered);
        let _client = TcpStream::connect(address).unwrap();
        TcpListener::from(socket).accept().unwrap();
    }

    #[tokio::test]
    async fn a_new_process_that_says_nothing_has_not_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meeting");
        let (offered, _) = offered();
        let missing = offered.hand_over(&path).await.unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let waiting = path.clone();
        let new = thread::spawn(move || drop(await_sockets(&waiting).unwrap()));
        let silent = hand_over(&offered, &path).await.unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::UnexpectedEof);
        new.join().unwrap();
        let refused = offered.hand_over(&path).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn the_end_of_the_process_before_is_seen() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let meeting = PathBuf::new();
        let before = Predecessor {
            stream: ours,
            meeting,
        };
        let ended = tokio::spawn(before.ended());
        drop(theirs);
        ended.await.unwrap();
    }
}
