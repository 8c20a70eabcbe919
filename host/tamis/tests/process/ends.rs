//! Being told to end, whenever that is, and what prevents a start.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use crate::feed;
use crate::process::{Home, SERVE, Served, terminate, until};
use crate::results::records;

const ALERTS: &str = "alerts_fraud_payments";

#[test]
fn the_stream_ends_at_once_though_a_request_takes_its_time() {
    let home = Home::with(&["payment-direct-fraud"]);
    feed::append(home.path(), 0..100);
    let served = Served::start(&home);
    let token = served.token.clone().unwrap();
    served.until_ready();
    served.until("all is judged", |_| records(home.path(), ALERTS).len() == 1);
    let mut stuck = TcpStream::connect(served.url.trim_start_matches("http://")).unwrap();
    let head = format!(
        "POST /api/v1/rules HTTP/1.1\r\nhost: tamis\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    stuck.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let ending = std::thread::spawn(|| served.terminate());
    std::thread::sleep(Duration::from_secs(1));
    feed::append(home.path(), 100..200);
    let (status, took) = ending.join().unwrap();
    assert!(status.success(), "{status}");
    assert!((Duration::from_secs(4)..Duration::from_secs(30)).contains(&took), "it took {took:?} to end");
    assert_eq!(records(home.path(), ALERTS).len(), 1, "what came afterwards waits for the next start");
}

#[test]
fn a_host_that_is_told_to_end_while_it_starts_does() {
    let home = Home::with(&["payment-direct-fraud", "card-testing", "psp-error-rate", "payments-by-currency"]);
    home.forget_compiled();
    let mut child = home.command(&SERVE).spawn().unwrap();
    // It has begun, and now compiles the plugins.
    until("it has made the folders", || home.path().join("lake").is_dir());
    terminate(&child);
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    let served = Served::start(&home);
    assert!(served.token.is_some(), "nobody was let in, so nobody is locked out");
    served.terminate();
}

#[test]
fn a_host_whose_address_is_in_use_says_so_and_changes_nothing() {
    let home = Home::with(&["payment-direct-fraud"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = home.command(&["serve", "--listen", &address]).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    assert!(!home.path().join("tamis.db").exists(), "nothing was opened");
}

#[test]
fn a_run_of_the_streams_ends_on_sigterm_with_its_report() {
    let home = Home::with(&["payment-direct-fraud"]);
    feed::append(home.path(), 0..100);
    let child = home.command(&["run", "streams"]).spawn().unwrap();
    until("it has raised the alert", || records(home.path(), ALERTS).len() == 1);
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with(r#"{"topic":"payments","records":"#), "{said}");
    assert!(said.contains(r#"{"rule":"payment-direct-fraud","severity":"high","alerts":1}"#), "{said}");
}
