//! A TCP proxy on loopback that fails on demand, between a client and a broker.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

/// Connections at a time; more are refused.
const CONNECTIONS_MAX: usize = 256;
/// Bytes that a direction of a connection holds; the rest waits with who sent it.
const CHUNK: usize = 16 << 10;
/// How long the server may take to accept.
const CONNECT: Duration = Duration::from_secs(5);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Connections are closed, new ones as soon as they are accepted.
    Cut,
    /// Connections stay, bytes are held in both directions.
    Stall,
    /// Requests pass, answers are held. With [`Fault::Cut`] after it, something was done and the client never learns it.
    HoldAnswers,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that reached the server.
    pub connections: u64,
    /// Connections that did not: cut, too many, or the server is away.
    pub refused: u64,
    /// Bytes to the server.
    pub requests: u64,
    /// Bytes to clients.
    pub answers: u64,
    /// How often a fault hit a live connection: closed it, or held bytes of it.
    pub hits: u64,
}

/// A proxy that runs. It ends when it is dropped, with all connections.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    closing: bool,
    counts: Counts,
    connections: BTreeMap<usize, Connection>,
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// Whether the fault of now has held bytes of it.
    held: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

impl Proxy {
    /// Listens on a port of loopback and passes on to `target`, which need not be there yet.
    pub fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
        let address = listener.local_addr().context("a listener has an address")?;
        let shared = Arc::new(Shared { target, state: Mutex::default(), changed: Condvar::new() });
        let accepting = thread::spawn({
            let shared = shared.clone();
            move || shared.accept(&listener)
        });
        Ok(Self { shared, address, accepting: Some(accepting) })
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Lets something go wrong from now on, in place of what went wrong before.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.shared.lock();
        state.fault = Some(fault);
        if fault == Fault::Cut {
            state.counts.hits += state.connections.len() as u64;
            state.close_all();
        }
        state.connections.values_mut().for_each(|connection| connection.held = false);
        self.shared.changed.notify_all();
    }

    /// Lets everything pass again, what was held first.
    pub fn join(&self) {
        self.shared.lock().fault = None;
        self.shared.changed.notify_all();
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        state.close_all();
        drop(state);
        self.shared.changed.notify_all();
        // So that the thread that accepts looks up.
        if TcpStream::connect_timeout(&self.address, CONNECT).is_ok()
            && let Some(accepting) = self.accepting.take()
        {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for (id, client) in listener.incoming().enumerate() {
            if self.lock().closing {
                return;
            }
            let admitted = client.and_then(|client| self.admit(id, client));
            let mut state = self.lock();
            match admitted {
                Ok(()) => state.counts.connections += 1,
                Err(_) => state.counts.refused += 1,
            }
        }
    }

    /// Connects a client to the server, or closes its connection.
    fn admit(self: &Arc<Self>, id: usize, client: TcpStream) -> io::Result<()> {
        let refused = |state: &State| -> io::Result<()> {
            let refused = state.fault == Some(Fault::Cut) || state.connections.len() >= CONNECTIONS_MAX;
            if refused { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(()) }
        };
        refused(&self.lock())?;
        let server = TcpStream::connect_timeout(&self.target, CONNECT)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (requests, answers) = (client.try_clone()?, server.try_clone()?);
        let (to_server, to_client) = (server.try_clone()?, client.try_clone()?);
        let mut state = self.lock();
        refused(&state)?;
        state.connections.insert(id, Connection { client, server, held: false });
        drop(state);
        self.clone().spawn_pump(id, Direction::Request, requests, to_server);
        self.clone().spawn_pump(id, Direction::Answer, answers, to_client);
        Ok(())
    }

    /// Passes on one direction of a connection; its end is the end of both.
    fn spawn_pump(self: Arc<Self>, id: usize, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
        thread::spawn(move || {
            let mut chunk = [0; CHUNK];
            while let Ok(length @ 1..) = from.read(&mut chunk) {
                if !self.pass(id, direction, length as u64) || to.write_all(&chunk[..length]).is_err() {
                    break;
                }
            }
            let mut state = self.lock();
            state.connections.remove(&id).inspect(Connection::close);
        });
    }

    /// Waits until a chunk may pass; false when the connection is closed.
    fn pass(&self, id: usize, direction: Direction, length: u64) -> bool {
        let mut state = self.lock();
        loop {
            let State { fault, counts, connections, .. } = &mut *state;
            let Some(connection) = connections.get_mut(&id) else { return false };
            let held = match fault {
                Some(Fault::Stall) => true,
                Some(Fault::HoldAnswers) => direction == Direction::Answer,
                Some(Fault::Cut) | None => false,
            };
            if !held {
                match direction {
                    Direction::Request => counts.requests += length,
                    Direction::Answer => counts.answers += length,
                }
                return true;
            }
            counts.hits += u64::from(!connection.held);
            connection.held = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    fn close_all(&mut self) {
        while let Some((_, connection)) = self.connections.pop_first() {
            connection.close();
        }
    }
}

impl Connection {
    fn close(&self) {
        // The other side may have closed it already.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}
