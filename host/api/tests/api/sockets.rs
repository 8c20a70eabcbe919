//! The API on a real socket: plain, by TLS, and when it ends.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tamis_api::TlsFiles;
use tamis_catalog::roles::Role;
use tamis_model::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::home::Home;

/// A server at work.
struct Served {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

async fn serve(home: &Home, tls: Option<TlsFiles>) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    let shutdown = async {
        let _ = ended.await;
    };
    let task = tokio::spawn(tamis_api::serve(listener, tls, home.router.clone(), shutdown));
    Served { address, end, task }
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it ends in time")
}

/// Sends a request without a body, and gives the answer as far as it goes.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str, token: &str) -> String {
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: tamis\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// A certificate for `localhost` in two files.
fn certificate(folder: &Path) -> (TlsFiles, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificates: folder.join("chain.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.certificates, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (files, roots)
}

#[tokio::test]
async fn it_answers_on_a_socket_and_ends_when_told() {
    let home = Home::new().await;
    let served = serve(&home, None).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let answer = in_time(ask(&mut stream, "/healthz", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("{\"alive\":true}"), "{answer}");
    served.end.send(()).unwrap();
    in_time(served.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody is there any more");
}

#[tokio::test]
async fn it_speaks_tls_when_it_has_a_certificate() {
    let home = Home::new().await;
    let (files, roots) = certificate(home.folder.path());
    files.check().unwrap();
    let served = serve(&home, Some(files)).await;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(served.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = in_time(TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap();
    let answer = in_time(ask(&mut stream, "/healthz", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");

    let mut plain = TcpStream::connect(served.address).await.unwrap();
    let request = plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: tamis\r\n\r\n");
    request.await.unwrap();
    let mut answer = Vec::new();
    let _ = in_time(plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "nothing is said in the clear");
}

#[tokio::test]
async fn files_that_are_no_certificate_are_refused_at_once() {
    let home = Home::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let ((files, _), (others, _)) = (certificate(home.folder.path()), certificate(elsewhere.path()));
    let check = async |files: TlsFiles, says: &str| {
        let error = files.check().unwrap_err().chain();
        assert!(error.contains(says), "{error}");
        assert!(serve(&home, Some(files)).await.task.await.unwrap().is_err());
    };
    let nowhere = home.folder.path().join("nowhere.pem");
    check(TlsFiles { certificates: nowhere.clone(), ..files.clone() }, "cannot read certificates").await;
    check(TlsFiles { key: nowhere, ..files.clone() }, "cannot read key").await;
    check(TlsFiles { key: others.key, ..files }, "cannot use certificate").await;
}

#[tokio::test]
async fn event_streams_end_at_once_and_what_does_not_end_is_cut_off() {
    let home = Home::new().await;
    let token = home.token("vic", Role::Viewer).await;
    let served = serve(&home, None).await;
    let mut looking_on = TcpStream::connect(served.address).await.unwrap();
    let looked = tokio::spawn(async move { ask(&mut looking_on, "/api/v1/events", &token).await });
    let mut stuck = TcpStream::connect(served.address).await.unwrap();
    let editor = home.token("ada", Role::Admin).await;
    let head = format!(
        "POST /api/v1/rules HTTP/1.1\r\nhost: tamis\r\nauthorization: Bearer {editor}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{"
    );
    stuck.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;

    let began = Instant::now();
    served.end.send(()).unwrap();
    let seen = in_time(looked).await.unwrap();
    assert!(seen.contains(": tamis") && began.elapsed() < Duration::from_secs(4), "{seen}");
    in_time(served.task).await.unwrap().unwrap();
    assert!((Duration::from_secs(4)..Duration::from_secs(30)).contains(&began.elapsed()), "{:?}", began.elapsed());
}
