//! A proxy between a client and a server that answers with what it got.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use tamis_services::proxy::{Counts, Fault, Proxy};

use crate::eventually;

/// A server that sends back what it receives. It ends with the test.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port())).unwrap()
}

fn send(client: &mut TcpStream, text: &str) {
    client.write_all(text.as_bytes()).unwrap();
}

/// So many bytes, or what came before the end.
fn receive(client: &mut TcpStream, length: u64) -> String {
    let mut text = String::new();
    // A connection that is reset ends too.
    let _ = client.take(length).read_to_string(&mut text);
    text
}

fn wait_for(proxy: &Proxy, holds: impl Fn(Counts) -> bool) {
    eventually("the counts of the proxy", || holds(proxy.counts()));
}

#[test]
fn a_cut_closes_what_is_there_and_refuses_what_comes() {
    let proxy = Proxy::start(echo()).unwrap();
    let (mut first, mut second) = (connect(&proxy), connect(&proxy));
    for client in [&mut first, &mut second] {
        send(client, "before");
        assert_eq!(receive(client, 6), "before");
    }
    proxy.fail(Fault::Cut);
    for client in [&mut first, &mut second, &mut connect(&proxy)] {
        assert_eq!(receive(client, 1), "");
    }
    wait_for(&proxy, |counts| counts == Counts { connections: 2, refused: 1, requests: 12, answers: 12, hits: 2 });
    proxy.fail(Fault::Cut);
    assert_eq!(proxy.counts().hits, 2, "nothing was there to be hit");
    proxy.join();
    let mut third = connect(&proxy);
    send(&mut third, "after");
    assert_eq!(receive(&mut third, 5), "after");
}

#[test]
fn a_stall_holds_bytes_until_it_is_over() {
    let proxy = Proxy::start(echo()).unwrap();
    let (mut busy, _idle) = (connect(&proxy), connect(&proxy));
    wait_for(&proxy, |counts| counts.connections == 2);
    proxy.fail(Fault::Stall);
    send(&mut busy, "held");
    wait_for(&proxy, |counts| counts.hits == 1);
    assert_eq!(proxy.counts(), Counts { connections: 2, hits: 1, ..Counts::default() });
    proxy.join();
    assert_eq!(receive(&mut busy, 4), "held");
    assert_eq!(proxy.counts(), Counts { connections: 2, requests: 4, answers: 4, hits: 1, ..Counts::default() });
}

#[test]
fn a_request_is_done_and_its_answer_lost() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut client = connect(&proxy);
    proxy.fail(Fault::HoldAnswers);
    send(&mut client, "do");
    wait_for(&proxy, |counts| counts.hits == 1);
    assert_eq!(proxy.counts().requests, 2);
    proxy.fail(Fault::Cut);
    assert_eq!(receive(&mut client, 1), "");
    assert_eq!((proxy.counts().answers, proxy.counts().hits), (0, 2));
}

#[test]
fn a_server_that_is_away_is_a_refusal() {
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(away).unwrap();
    assert_eq!(receive(&mut connect(&proxy), 1), "");
    wait_for(&proxy, |counts| counts == Counts { refused: 1, ..Counts::default() });
}

#[test]
fn a_proxy_ends_with_its_connections() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut client = connect(&proxy);
    send(&mut client, "before");
    assert_eq!(receive(&mut client, 6), "before");
    let port = proxy.port();
    proxy.fail(Fault::Stall);
    send(&mut client, "held");
    drop(proxy);
    assert_eq!(receive(&mut client, 1), "");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}
