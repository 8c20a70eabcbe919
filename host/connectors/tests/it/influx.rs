//! Aggregates to a server that takes, refuses, is busy and stalls; and to a file.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tamis_connectors::influx::{Influx, InfluxCounts, InfluxSettings, InfluxTarget};
use tamis_engine::{Settle, Sink};
use tamis_model::aggregate::AggregateRow;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server does with a request.
#[derive(Clone, Copy)]
enum Does {
    Answers(&'static str),
    /// It says nothing until the client has gone.
    Stalls,
}

const TAKES: Does = Does::Answers("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
const BUSY: Does =
    Does::Answers("HTTP/1.1 503 Busy\r\nretry-after: 0\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
const REFUSES: Does = Does::Answers("HTTP/1.1 400 Bad\r\nconnection: close\r\ncontent-length: 4\r\n\r\nno: ");
const UNKNOWN: Does = Does::Answers("HTTP/1.1 401 Who\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");

/// A request: its first line, who it is from, and its body.
type Seen = (String, Option<String>, String);

/// A server that does one thing after the other, then takes everything. What it was asked.
fn server(script: &[Does]) -> (String, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (seen, requests) = channel();
    let script = script.to_vec();
    std::thread::spawn(move || {
        let script = script.into_iter().chain(std::iter::repeat(TAKES));
        for (stream, does) in listener.incoming().zip(script) {
            let mut stream = stream.unwrap();
            let _ = seen.send(request(&stream));
            match does {
                Does::Answers(answer) => stream.write_all(answer.as_bytes()).unwrap(),
                Does::Stalls => drop(stream.read(&mut [0])),
            }
        }
    });
    (url, requests)
}

fn request(stream: &TcpStream) -> Seen {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        head.iter().filter_map(|line| line.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    };
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    (head[0].clone(), header("authorization").map(str::to_owned), String::from_utf8(body).unwrap())
}

fn row(number: usize, shadow: bool) -> AggregateRow {
    AggregateRow {
        name: "payments_by_currency".to_owned(),
        window: "1m".to_owned(),
        window_start: 0,
        shadow,
        json: format!(r#"{{"key": "EUR", "count": {number}}}"#),
    }
}

fn line(number: usize) -> String {
    format!("payments_by_currency,key=EUR,window=1m count={number} 0\n")
}

fn settings(target: InfluxTarget) -> InfluxSettings {
    let pauses = (Duration::from_millis(10), Duration::from_millis(50));
    InfluxSettings { pauses, settle_max: PATIENCE, timeout: PATIENCE, ..InfluxSettings::new(target) }
}

fn until(influx: &Influx, holds: impl Fn(InfluxCounts) -> bool) {
    let began = Instant::now();
    while !holds(influx.counts()) {
        assert!(began.elapsed() < PATIENCE, "{:?}", influx.counts());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn points_are_delivered_whatever_the_server_does_at_first() {
    let check = |script: &[Does], timeout: Duration, tries: usize, expected: InfluxCounts| {
        let (url, requests) = server(script);
        let target = InfluxTarget::bucket(&url, Some("my org"), "b", Some("secret".to_owned()));
        let mut influx = Influx::start(InfluxSettings { timeout, ..settings(target) });
        influx.write(&[row(1, false), row(2, true), row(3, false)]).unwrap();
        influx.settle(Settle::All).unwrap();
        assert_eq!(influx.counts(), expected);
        let head = "POST /api/v2/write?org=my%20org&bucket=b&precision=ns HTTP/1.1".to_owned();
        let whole = (head, Some("Token secret".to_owned()), format!("{}{}", line(1), line(3)));
        let seen: Vec<Seen> = requests.try_iter().collect();
        assert_eq!(seen, vec![whole; tries], "the same points each time");
    };
    let written = |retries| InfluxCounts { written: 2, retries, ..InfluxCounts::default() };
    check(&[], PATIENCE, 1, written(0));
    check(&[BUSY, BUSY], PATIENCE, 3, written(2));
    check(&[UNKNOWN], PATIENCE, 2, written(1));
    check(&[Does::Stalls], Duration::from_secs(2), 2, written(1));
}

#[test]
fn only_what_is_bad_is_refused() {
    // All of them, their first half, the first point; then the second point, and the other half.
    let (url, requests) = server(&[REFUSES, REFUSES, REFUSES]);
    let mut influx = Influx::start(settings(InfluxTarget::database(&url, "tamis", None)));
    influx.write(&[1, 2, 3, 4].map(|number| row(number, false))).unwrap();
    influx.settle(Settle::All).unwrap();
    assert_eq!(influx.counts(), InfluxCounts { written: 3, refused: 1, ..InfluxCounts::default() });
    let bodies: Vec<String> = requests.try_iter().map(|(_, _, body)| body).collect();
    let of = |numbers: &[usize]| numbers.iter().map(|number| line(*number)).collect::<String>();
    assert_eq!(bodies, [of(&[1, 2, 3, 4]), of(&[1, 2]), of(&[1]), of(&[2]), of(&[3, 4])]);
}

#[test]
fn what_is_refused_does_not_keep_what_comes_behind_it() {
    let (url, requests) = server(&[REFUSES]);
    let mut influx = Influx::start(settings(InfluxTarget::database(&url, "tamis", None)));
    influx.write(&[row(1, false)]).unwrap();
    until(&influx, |counts| counts.refused == 1);
    influx.write(&[row(2, false)]).unwrap();
    influx.settle(Settle::All).unwrap();
    assert_eq!(influx.counts().written, 1);
    let (head, token, _) = requests.recv().unwrap();
    assert_eq!((&*head, token), ("POST /write?db=tamis&precision=ns HTTP/1.1", None));
}

#[test]
fn a_server_that_is_not_there_holds_nobody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let target = InfluxTarget::database(&url, "tamis", None);
    let settings = InfluxSettings { points_max: 10, settle_max: Duration::ZERO, ..settings(target) };
    let mut influx = Influx::start(settings);
    influx.write(&[row(0, false)]).unwrap();
    until(&influx, |counts| counts.retries > 0);
    let rows: Vec<_> = (1..=15).map(|number| row(number, false)).collect();
    influx.write(&rows).unwrap();
    influx.settle(Settle::All).unwrap();
    let InfluxCounts { written, dropped, queued, .. } = influx.counts();
    assert_eq!((written, dropped, queued), (0, 5, 11), "ten wait, and one is tried again and again");
}

#[test]
fn a_file_takes_the_lines_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aggregates.lp");
    for numbers in [[1, 2], [3, 4]] {
        let mut influx = Influx::start(settings(InfluxTarget::File(path.clone())));
        influx.write(&numbers.map(|number| row(number, false))).unwrap();
        influx.settle(Settle::All).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), [1, 2, 3, 4].map(line).concat());
}
