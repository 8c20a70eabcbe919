//! What those who watch a host see of it: metrics as Prometheus takes them, the aggregates as a time series, log lines with traces.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write, stderr};
use std::process::Stdio;

use serde_json::Value;
use tamis_services::prometheus::promtool;

use crate::feed;
use crate::process::{Api, Home, SERVE, Served, terminate};

/// A page as it is.
pub fn page(url: &str) -> String {
    ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap()
}

/// The samples of a page by their name and labels. Fails on a line that is none, and on a sample without a head.
pub fn samples(page: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut family = "";
    for line in page.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["#", "HELP", name, _, ..] => family = name,
            ["#", "TYPE", name, "counter" | "gauge" | "histogram"] => assert_eq!(name, family),
            _ => {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(!family.is_empty() && name.starts_with(family), "{line} in {family}");
                let before = samples.insert(name.to_owned(), value.parse::<f64>().unwrap());
                assert_eq!(before, None, "{name} is there twice");
            }
        }
    }
    samples
}

fn samples_of(served: &Api) -> BTreeMap<String, f64> {
    samples(&page(&format!("http://{}/metrics", served.metrics.as_deref().expect("they are somewhere"))))
}

#[test]
fn metrics_are_what_prometheus_takes_and_aggregates_are_points() {
    let home = Home::with(&["payment-direct-fraud", "card-testing", "payments-by-currency"]);
    home.configure("[metrics]\nlisten = '127.0.0.1:0'\n[influx]\nfile = 'aggregates.lp'\n");
    feed::append(home.path(), 0..7_100);
    let served = Served::start(&home);
    served.until_ready();
    let url = format!("http://{}/metrics", served.metrics.as_deref().expect("they are somewhere"));
    let events = r#"tamis_events_total{topic="payments"}"#;
    served.until("all is judged", |served| samples_of(served).get(events) == Some(&7_100.0));
    let text = page(&url);
    match promtool() {
        Ok(promtool) => promtool.check_metrics(&text).unwrap(),
        // Nothing of ours is wrong on a machine that is no Debian; the format was read above.
        Err(reason) => _ = writeln!(stderr(), "METRICS WERE NOT CHECKED BY PROMTOOL: {reason:#}"),
    }
    let samples = samples(&text);
    let sum = |begins: &str| -> f64 {
        samples.iter().filter(|(name, _)| name.starts_with(begins)).map(|(_, value)| value).sum()
    };
    assert_eq!(sum("tamis_stream_up"), 1.0);
    assert_eq!(sum(r#"tamis_refused_events_total{topic="payments","#), 74.0, "each 97th cannot be decoded");
    assert_eq!(sum("tamis_dead_letters_total"), 74.0);
    assert_eq!(sum(r#"tamis_alerts_total{rule="payment-direct-fraud","#), 140.0, "each 50th is risky");
    assert!(sum("tamis_batches_total") > 0.0 && sum("tamis_checkpoint_seconds_count") > 0.0);
    assert!(sum(r#"tamis_watermark_lag_seconds{topic="payments"}"#) > 0.0);
    assert!(sum(r#"tamis_state_bytes{rule="card-testing","#) > 0.0);
    let calls = r#"tamis_rule_call_seconds_count{rule="card-testing","#;
    assert!(
        sum(calls) > 0.0
            && sum(calls) == sum(&calls.replace("_count{", "_bucket{").replace(",", r#",trial="false",le="+Inf"#))
    );
    let path = "/metrics";
    assert_eq!(served.ask("", "GET", path, None, None).status, 401, "beside the API it takes a token");
    let token = served.token.clone().unwrap();
    let same = served.ask(&token, "GET", path, None, None).expect(200);
    assert!(same.as_str().is_some_and(|same| same.contains(events)));
    served.terminate();
    let again = Served::start(&home);
    again.until_ready();
    let restored = samples_of(&again);
    let entries = restored["tamis_restored_entries"];
    assert!(entries > 0.0 && entries == restored["tamis_restorable_entries"], "{entries} entries were taken back");
    again.terminate();
    let points = fs::read_to_string(home.path().join("aggregates.lp")).unwrap();
    let point = points.lines().find(|line| line.starts_with("payments_by_currency,key=EUR,window=1m "));
    let point = point.unwrap_or_else(|| panic!("{points}"));
    assert!(point.contains("count=5938,") && point.ends_with(" 1773835200000000000"), "{point}");
}

#[test]
fn log_lines_say_the_trace_of_their_request() {
    let home = Home::with(&[]);
    let mut command = home.command(&SERVE);
    command.env("TAMIS_LOG_FORMAT", "json").env("TAMIS_LOG", "off,tamis=debug").stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let api = Api::said_by(child.stdout.as_mut().unwrap()).unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request =
        ureq::get(format!("{}/healthz", api.url)).header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let response = request.call().unwrap();
    let answered = response.headers()["traceresponse"].to_str().unwrap().to_owned();
    assert!(answered.starts_with(&format!("00-{trace}-")) && answered.ends_with("-01"), "{answered}");
    terminate(&child);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of_request: Vec<_> = lines.iter().filter(|line| line["trace_id"] == trace).collect();
    assert_eq!(of_request.len(), 1, "{said}");
    let line = of_request[0];
    assert_eq!(
        (&line["level"], &line["message"], &line["path"]),
        (&"DEBUG".into(), &"answered".into(), &"/healthz".into())
    );
}
