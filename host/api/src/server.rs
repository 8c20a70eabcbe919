//! The API on a socket: plain or TLS, bounded in what it takes, and with an end within bounded time.
//!
//! Which version of HTTP a connection speaks is known before its first byte: it is 1.1 in the clear, and what was
//! negotiated under TLS. Whoever is silent is not waited for: see [`Limits`].

mod requests;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tower::ServiceExt;

use self::requests::Requests;
use crate::resources::Closing;

/// Requests at once on one connection of HTTP/2.
const REQUESTS_PER_CONNECTION_MAX: u32 = 64;
/// The protocol of HTTP/2, as TLS negotiates it.
const H2: &[u8] = b"h2";
/// After an error of the socket: most are that there are too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long requests may take to end at the end.
const END_MAX: Duration = Duration::from_secs(5);

/// What a server bears.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections at once.
    connections: usize,
    /// How long somebody may take to shake hands, or to send the head of a request: also of the next one on a connection
    /// of HTTP/1.
    head: Duration,
    /// How long nobody may ask for anything on a connection of HTTP/2.
    idle: Duration,
}

const LIMITS: Limits = Limits { connections: 1024, head: Duration::from_secs(10), idle: Duration::from_secs(60) };

/// The server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, PEM, the server's own first.
    pub certificates: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Whether they can be read and belong together: what [`serve`] would find out later.
    pub fn check(&self) -> Result<()> {
        self.acceptor().map(drop)
    }

    fn acceptor(&self) -> Result<TlsAcceptor> {
        let Self { certificates, key } = self;
        let chain = CertificateDer::pem_file_iter(certificates).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.invalid("read certificates", certificates.display())?;
        let private = PrivateKeyDer::from_pem_file(key).invalid("read key", key.display())?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
        let mut config = config.invalid("use certificate", certificates.display())?;
        config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Answers requests until `shutdown` is over; then it takes no more, closes event streams and lets the others end for
/// five seconds.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsFiles>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    serve_within(LIMITS, listener, tls, router, shutdown).await
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    tls: Option<TlsFiles>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let tls = tls.map(|files| files.acceptor()).transpose()?;
    let (closing, closed) = watch::channel(false);
    let server = Server { router, tls, limits, closing: Closing(closed), http: http(limits) };
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (accepted, place) = accepted => match (accepted, place) {
                (Ok((stream, peer)), Ok(place)) => {
                    let server = server.clone();
                    connections.spawn(async move {
                        server.connection(stream, peer).await;
                        drop(place);
                    });
                }
                (Err(error), _) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (_, Err(error)) => return Err(Error::new(Kind::Corrupt, "bound", "connections").because(error)),
            }
        }
    }
    drop(listener);
    closing.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(END_MAX, ended).await.is_err() {
        tracing::warn!("requests were cut off that did not end within {END_MAX:?}");
    }
    connections.shutdown().await;
    Ok(())
}

fn http(limits: Limits) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(limits.head);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .max_concurrent_streams(REQUESTS_PER_CONNECTION_MAX);
    http
}

#[derive(Clone)]
struct Server {
    router: Router,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    closing: Closing,
    http: Builder<TokioExecutor>,
}

impl Server {
    /// All of a connection. What goes wrong on it is the peer's: nobody here must look at it.
    async fn connection(self, stream: TcpStream, peer: SocketAddr) {
        // Answers are small and written at once: waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        let http = self.http.clone();
        match self.tls.clone() {
            None => self.answer(http.http1_only(), stream, peer).await,
            Some(tls) => match tokio::time::timeout(self.limits.head, tls.accept(stream)).await {
                Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(H2) => {
                    self.answer(http.http2_only(), stream, peer).await;
                }
                Ok(Ok(stream)) => self.answer(http.http1_only(), stream, peer).await,
                Ok(Err(error)) => tracing::debug!(%peer, "no TLS: {error}"),
                Err(_) => tracing::debug!(%peer, "no TLS in time"),
            },
        }
    }

    async fn answer<S>(&self, http: Builder<TokioExecutor>, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (router, closing, requests) = (self.router.clone(), self.closing.clone(), Requests::default());
        let at_work = requests.clone();
        let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
            let open = at_work.begin();
            let (mut parts, body) = request.into_parts();
            parts.extensions.insert(closing.clone());
            let response = router.clone().oneshot(Request::from_parts(parts, Body::new(body)));
            let answer: std::pin::Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>> =
                Box::pin(async move { response.await.map(|response| open.answered(response)) });
            answer
        });
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut connection = std::pin::pin!(connection);
        let mut closing = self.closing.0.clone();
        let closed = async move { drop(closing.wait_for(|closing| *closing).await) };
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = requests.idle(self.limits.idle) => None,
            () = closed => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    // The peer does not want to know that it is over.
                    () = requests.idle(self.limits.head) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, "connection: {error}");
        }
    }
}
