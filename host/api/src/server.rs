//! The API on a socket: plain or TLS, bounded in what it takes, and with an end within bounded time.

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
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
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

use crate::resources::Closing;

/// Connections at once.
const CONNECTIONS_MAX: usize = 1024;
/// Requests at once on one connection of HTTP/2.
const REQUESTS_PER_CONNECTION_MAX: u32 = 64;
/// How long somebody may take to shake hands, or to send the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// After an error of the socket: most are that there are too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long requests may take to end at the end.
const END_MAX: Duration = Duration::from_secs(5);

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
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
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
    let tls = tls.map(|files| files.acceptor()).transpose()?;
    let (closing, closed) = watch::channel(false);
    let server = Server { router, tls, closing: Closing(closed), http: http() };
    let (graceful, mut connections) = (GracefulShutdown::new(), JoinSet::new());
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
                    let (server, watcher) = (server.clone(), graceful.watcher());
                    connections.spawn(async move {
                        server.connection(stream, peer, watcher).await;
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
    if tokio::time::timeout(END_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were cut off that did not end within {END_MAX:?}");
    }
    connections.shutdown().await;
    Ok(())
}

fn http() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
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
    closing: Closing,
    http: Builder<TokioExecutor>,
}

impl Server {
    /// All of a connection. What goes wrong on it is the peer's: nobody here must look at it.
    async fn connection(self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        // Answers are small and written at once: waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        match self.tls.clone() {
            None => self.answer(stream, peer, watcher).await,
            Some(tls) => match tokio::time::timeout(HEAD_MAX, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.answer(stream, peer, watcher).await,
                Ok(Err(error)) => tracing::debug!(%peer, "no TLS: {error}"),
                Err(_) => tracing::debug!(%peer, "no TLS in time"),
            },
        }
    }

    async fn answer<S>(&self, stream: S, peer: SocketAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (router, closing) = (self.router.clone(), self.closing.clone());
        let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
            let (mut parts, body) = request.into_parts();
            parts.extensions.insert(closing.clone());
            let request = Request::from_parts(parts, Body::new(body));
            let answer: std::pin::Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>> =
                Box::pin(router.clone().oneshot(request));
            answer
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        if let Err(error) = watcher.watch(connection.into_owned()).await {
            tracing::debug!(%peer, "connection: {error}");
        }
    }
}
