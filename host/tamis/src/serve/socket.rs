//! Where the API listens.

use std::net::SocketAddr;

use tamis_api::TlsFiles;
use tamis_model::Result;
use tamis_model::error::Context;
use tokio::net::TcpListener;

use crate::cli::Serve;

/// A socket on which nobody answers yet.
pub(crate) struct Socket {
    pub listener: TcpListener,
    pub tls: Option<TlsFiles>,
    pub address: SocketAddr,
}

impl Socket {
    /// Opens it, with a certificate that can be used if there is to be one.
    pub async fn open(serve: &Serve) -> Result<Self> {
        let tls = match (&serve.tls_certificates, &serve.tls_key) {
            (Some(certificates), Some(key)) => Some(TlsFiles { certificates: certificates.clone(), key: key.clone() }),
            _ => None,
        };
        if let Some(files) = &tls {
            files.check()?;
        }
        let (listener, address) = listen(&serve.listen).await?;
        if tls.is_none() && !address.ip().is_loopback() {
            tracing::warn!("{address} is not loopback, and without a certificate tokens travel in the clear");
        }
        Ok(Self { listener, tls, address })
    }

    /// The address as people type it.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// Opens a listener; with port 0 at a free one.
pub(crate) async fn listen(wanted: &str) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(wanted).await.invalid("listen on", wanted)?;
    let address = listener.local_addr().outage("listen on", wanted)?;
    Ok((listener, address))
}
