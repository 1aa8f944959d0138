//! The least a server can do for a request: one `recv`, one `send`, the same answer for everyone.
//!
//! It reads no request beyond its end, and forgets no connection but by closing it. What it does per
//! second is what sockets and `epoll` allow on this core, and no server that uses them does more.

use std::io::{ErrorKind, Read as _, Write as _};

use anyhow::{Context as _, bail};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// The listener among the connections, which are counted from 0.
const LISTENER: Token = Token(usize::MAX);

/// Most events of one look.
const EVENTS: usize = 256;

/// Longer than any request here: a shorter read has emptied the socket.
const REQUEST: usize = 16 << 10;

/// Answers until it is ended; tells its address in a line, `listening ADDRESS`.
pub(crate) fn serve(answer: &[u8], tell: impl FnOnce(&str)) -> anyhow::Result<()> {
    let mut poll = Poll::new().context("open epoll")?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).context("listen")?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    tell(&format!("listening {}", listener.local_addr()?));
    let mut connections: Vec<Option<TcpStream>> = Vec::new();
    let mut events = Events::with_capacity(EVENTS);
    let mut buffer = vec![0; REQUEST];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut connections)?;
                continue;
            }
            let connection = &mut connections[event.token().0];
            if let Some(stream) = connection
                && !serve_once(stream, answer, &mut buffer)?
            {
                *connection = None;
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Vec<Option<TcpStream>>,
) -> anyhow::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nodelay(true)?;
                let token = Token(connections.len());
                poll.registry()
                    .register(&mut stream, token, Interest::READABLE)?;
                connections.push(Some(stream));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("accept"),
        }
    }
}

/// Whether the connection stays.
fn serve_once(stream: &mut TcpStream, answer: &[u8], buffer: &mut [u8]) -> anyhow::Result<bool> {
    match stream.read(buffer) {
        Ok(0) => Ok(false),
        Ok(length) if buffer[..length].ends_with(b"\r\n\r\n") => {
            // A client here waits for its answer, so there is room for one.
            if stream.write(answer)? != answer.len() {
                bail!("an answer of {} bytes did not fit", answer.len());
            }
            Ok(true)
        }
        Ok(length) => bail!("{length} bytes that are no request"),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
        // wrk resets what it has no use for at its end.
        Err(_) => Ok(false),
    }
}
