//! Places are for those who ask for something: a server with few of them.

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;

const SMALL: Limits = Limits { connections: 2, head: Duration::from_millis(300), idle: Duration::from_millis(300) };
/// How a client of HTTP/2 begins, with no settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A server with few places.
async fn serve_small(tls: Option<TlsFiles>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let slow = || async {
        tokio::time::sleep(SMALL.idle * 3).await;
        "slow"
    };
    let router = Router::new().route("/", get(|| async { "here" })).route("/slow", get(slow));
    tokio::spawn(serve_within(SMALL, listener, tls, router, std::future::pending()));
    address
}

/// Asks, and gives the answer as far as it goes; fails when there is none in time.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: tamis\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let asked = async {
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_end(&mut answer).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(10), asked).await.expect("it has a place");
    String::from_utf8(answer).unwrap()
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// A certificate for `localhost`, and what makes a client trust it.
fn certificate(folder: &std::path::Path) -> (TlsFiles, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificates: folder.join("chain.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.certificates, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (files, roots)
}

async fn shake_hands(address: SocketAddr, roots: &RootCertStore, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, connect(address).await).await.unwrap()
}

#[tokio::test]
async fn whoever_is_silent_does_not_keep_a_place() {
    let address = serve_small(None).await;
    let silent = [connect(address).await, connect(address).await];
    assert!(ask(connect(address).await, "/").await.ends_with("here"));
    drop(silent);
    let mut begun = [connect(address).await, connect(address).await];
    for stream in &mut begun {
        stream.write_all(b"GET / HT").await.unwrap();
    }
    assert!(ask(connect(address).await, "/").await.ends_with("here"));
}

#[tokio::test]
async fn whoever_is_silent_under_tls_does_not_keep_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let (files, roots) = certificate(folder.path());
    let address = serve_small(Some(files)).await;
    for protocol in [b"http/1.1".as_slice(), H2] {
        let silent = [shake_hands(address, &roots, protocol).await, shake_hands(address, &roots, protocol).await];
        assert!(ask(shake_hands(address, &roots, b"http/1.1").await, "/").await.ends_with("here"), "{protocol:?}");
        drop(silent);
    }
    // They speak HTTP/2, and ask for nothing.
    let mut begun = [shake_hands(address, &roots, H2).await, shake_hands(address, &roots, H2).await];
    for stream in &mut begun {
        stream.write_all(PREFACE).await.unwrap();
    }
    assert!(ask(shake_hands(address, &roots, b"http/1.1").await, "/").await.ends_with("here"));
}

#[tokio::test]
async fn a_request_at_work_keeps_its_place() {
    let address = serve_small(None).await;
    assert!(ask(connect(address).await, "/slow").await.ends_with("slow"));
}

#[tokio::test]
async fn in_the_clear_it_speaks_http_1() {
    let address = serve_small(None).await;
    let mut stream = connect(address).await;
    stream.write_all(PREFACE).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(!answer.starts_with(b"\0"), "{answer:?}");
}
