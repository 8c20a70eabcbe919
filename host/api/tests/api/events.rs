//! What happens, as it happens.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures::StreamExt;
use serde_json::{Value, json};
use tamis_catalog::roles::Role;
use tokio::time::timeout;

use crate::home::{Home, NOON};

/// An event stream, read message by message.
struct Messages {
    body: BodyDataStream,
    read: String,
    /// The id that a reader comes again with who has had no event.
    id: i64,
}

/// A message as it was sent.
#[derive(Debug, PartialEq)]
struct Message {
    id: Option<i64>,
    event: String,
    data: Value,
}

impl Messages {
    async fn open(home: &Home, token: &str, last: Option<i64>) -> Self {
        let request = home.get("/events").token(token);
        let request = last.into_iter().fold(request, |request, id| request.header("last-event-id", id.to_string()));
        let response = request.begin().await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut messages = Self { body: response.into_body().into_data_stream(), read: String::new(), id: 0 };
        let hello = messages.frame().await.unwrap();
        messages.id = hello.strip_prefix(": tamis\nretry: 2000\nid: ").unwrap().parse().unwrap();
        messages
    }

    /// What stands before the next empty line; none at the end.
    async fn frame(&mut self) -> Option<String> {
        loop {
            if let Some((frame, rest)) = self.read.split_once("\n\n") {
                let frame = frame.to_owned();
                self.read = rest.to_owned();
                return Some(frame);
            }
            let chunk = timeout(Duration::from_secs(5), self.body.next()).await.expect("something must come");
            self.read += std::str::from_utf8(&chunk?.unwrap()).unwrap();
        }
    }

    async fn next(&mut self) -> Message {
        let frame = self.frame().await.expect("the stream goes on");
        let fields = frame.lines().filter_map(|line| line.split_once(": "));
        let field = |name: &str| fields.clone().find(|(found, _)| *found == name).map(|(_, value)| value);
        Message {
            id: field("id").map(|id| id.parse().unwrap()),
            event: field("event").unwrap().to_owned(),
            data: serde_json::from_str(field("data").unwrap()).unwrap(),
        }
    }
}

#[tokio::test]
async fn who_looks_on_is_told_what_happens_from_then_on() {
    let home = Home::populated().await;
    let (viewer, analyst) = (home.token("vic", Role::Viewer).await, home.token("alice", Role::Analyst).await);
    let mut messages = Messages::open(&home, &viewer, None).await;
    let disable = json!({"mode": "disabled", "why": "the desk drowns"});
    home.patch("/rules/card-testing").token(&analyst).if_match("*").json(disable).send().await.is(200);
    let message = messages.next().await;
    assert_eq!(message.event, "rule.disable");
    assert_eq!(message.id.map(Value::from), Some(message.data["id"].clone()));
    assert_eq!(message.data["object"], "card-testing");
    assert_eq!(message.data["data"]["why"], "the desk drowns");
    assert_eq!(message.data["data"]["after"]["mode"], "disabled");
    // What others than the API append comes too.
    home.catalog().append_event("stream.halted", "streams", &json!({"why": "a rule failed"}), NOON).await.unwrap();
    assert_eq!(messages.next().await.event, "stream.halted");
}

#[tokio::test]
async fn who_comes_again_goes_on_where_they_were() {
    let home = Home::populated().await;
    let viewer = home.token("vic", Role::Viewer).await;
    let mut all = Messages::open(&home, &viewer, Some(0)).await;
    let newest = home.catalog().last_event_id().await.unwrap();
    for id in 1..=newest {
        assert_eq!(all.next().await.id, Some(id), "each once, and in order");
    }
    let mut rest = Messages::open(&home, &viewer, Some(newest - 2)).await;
    assert_eq!([rest.next().await.id, rest.next().await.id], [Some(newest - 1), Some(newest)]);

    // Of another life of the host.
    let mut stranger = Messages::open(&home, &viewer, Some(newest + 10)).await;
    let missed = stranger.next().await;
    let expected = json!({"after": newest + 10, "before": newest + 1});
    assert_eq!(stranger.id, newest);
    assert_eq!(missed, Message { id: Some(newest), event: "missed".to_owned(), data: expected });
    home.catalog().append_event("run.finish", "nightly", &json!({}), NOON).await.unwrap();
    assert_eq!(stranger.next().await.id, Some(newest + 1));

    for id in ["x", "-1", "1.5"] {
        home.get("/events").token(&viewer).header("last-event-id", id).send().await.is(400);
    }
}

#[tokio::test]
async fn who_breaks_off_before_the_first_event_misses_none() {
    let home = Home::populated().await;
    let viewer = home.token("vic", Role::Viewer).await;
    let newest = home.catalog().last_event_id().await.unwrap();
    let broken_off = Messages::open(&home, &viewer, None).await.id;
    assert_eq!(broken_off, newest);
    home.catalog().append_event("stream.halted", "streams", &json!({}), NOON).await.unwrap();
    let mut again = Messages::open(&home, &viewer, Some(broken_off)).await;
    assert_eq!(again.next().await.id, Some(newest + 1));
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let home = Home::new().await;
    let (id, viewer) = home.issue("vic", Role::Viewer, None).await;
    let admin = home.token("ada", Role::Admin).await;
    let mut messages = Messages::open(&home, &viewer, None).await;
    home.request("DELETE", &format!("/tokens/{id}")).token(&admin).send().await.is(200);
    assert_eq!(messages.frame().await, None);
}

#[tokio::test]
async fn so_many_may_look_on_at_once() {
    let home = Home::new().await;
    let viewer = home.token("vic", Role::Viewer).await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(Messages::open(&home, &viewer, None).await);
    }
    let refused = home.get("/events").token(&viewer).send().await.is(503);
    assert_eq!((refused.slug().as_str(), refused.text("retry-after")), ("unavailable", "1"));
    open.pop();
    Messages::open(&home, &viewer, None).await;
}
