//! A group whose positions are gone: it says so and passes over nothing by itself; and what mends it, as `docs/kafka.md` has it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use tamis_connectors::kafka::{KafkaConnection, KafkaTopics};
use tamis_connectors::topics::PartitionOverview;
use tamis_model::record::Record;
use tamis_services::kafka::{Cluster, Kafka, Options, Tool};

use crate::feed;
use crate::group::{SLICES, member};
use crate::kafka::{judged, send, write};
use crate::process::{Api, Home, Served};
use crate::results::results;
use crate::shared::is_delivered;

/// One without a key, one with a key.
const PLUGINS: [&str; 2] = ["payment-direct-fraud", "card-testing"];
const STOPPED: &str = "it has failed, and does not begin again before the next start";
/// What is raised, on its way to lake and warehouse.
const OUTCOMES: &str = "tamis.outcomes";
/// Records of a partition that retention leaves.
const LEFT: i64 = 5;

struct Group {
    cluster: Cluster,
    embedded: Home,
    home: Home,
    token: Option<String>,
    sent: u64,
}

impl Group {
    fn new() -> Self {
        let cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap();
        let (embedded, home) = (Home::with(&PLUGINS), member(&cluster, "at_least_once", &PLUGINS));
        home.configure("[archive]\ntopics = ['payments']\ninterval_ms = 30\n");
        feed::append(embedded.path(), 0..1_000);
        home.run(&["topics", "create"]);
        Self { cluster, embedded, home, token: None, sent: 0 }
    }

    fn send(&mut self, count: u64) {
        send(&self.embedded, &self.cluster, self.sent..self.sent + count);
        self.sent += count;
    }

    fn serve(&mut self) -> Served {
        let served = Served::start(&self.home);
        self.token = self.token.take().or(served.token.clone());
        served
    }

    fn judged(&self, served: &Api) -> u64 {
        judged(served, self.token.as_deref().unwrap())
    }

    /// Starts it, waits until it has judged so many, and that they are everywhere.
    fn goes_on_to(&mut self, records: u64) {
        let served = self.serve();
        served.until_ready();
        served.until("it judges them", |served| self.judged(served) >= records);
        served.until("they are delivered", |_| is_delivered(&self.cluster, &self.home, "tamis"));
        assert_eq!(self.judged(&served), records);
        assert!(served.terminate().0.success());
    }

    /// Starts it, and waits until parts of it say that they have failed, and alerts or events why.
    fn fails(&mut self, part: &str, reason: &str, words: &str) {
        let served = self.serve();
        served.until(&format!("the {part} has failed"), |served| served.lacks(part).as_deref() == Some(reason));
        served.until(words, |served| self.says(served).contains(words));
        assert!(served.terminate().0.success());
    }

    /// What it says to those who must look.
    fn says(&self, served: &Api) -> String {
        let token = self.token.as_deref().unwrap();
        let alerts = served.ask(token, "GET", "/api/v1/operational-alerts?limit=100", None, None).expect(200);
        alerts.to_string()
    }

    fn tool(&self, tool: Tool, arguments: &[&str]) -> String {
        self.cluster.tool(tool, arguments).unwrap()
    }

    fn remove(&self, folder: &str) {
        fs::remove_dir_all(self.home.path().join(folder)).unwrap();
    }

    /// Deletes all records of a topic but the last `left` of each partition, as retention does.
    fn forget(&self, topic: &str, left: i64) {
        let topics = KafkaTopics::new(KafkaConnection::plain(self.cluster.bootstrap())).overview().unwrap();
        let overview = topics.into_iter().find(|found| found.topic == topic).unwrap();
        let row = |partition: &PartitionOverview| {
            let offset = (partition.next_offset - left).max(partition.first_offset);
            format!(r#"{{"topic":"{topic}","partition":{},"offset":{offset}}}"#, partition.number)
        };
        let rows: Vec<_> = overview.partitions.iter().map(row).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!(r#"{{"partitions":[{}],"version":1}}"#, rows.join(","))).unwrap();
        self.tool(Tool::DeleteRecords, &["--offset-json-file", file.path().to_str().unwrap()]);
    }

    /// Writes what nobody of the group has written.
    fn write_junk(&self, topic: &str, partitions: u32) {
        let junk = |partition| Record {
            topic: topic.to_owned(),
            partition: Some(partition),
            timestamp: feed::NOON,
            key: None,
            value: Some(b"junk".to_vec()),
            value_is_json: false,
            headers: Vec::new(),
        };
        write(&self.cluster, &(0..partitions).map(junk).collect::<Vec<_>>());
    }

    fn delete_topics(&self, pattern: &str) {
        self.tool(Tool::Topics, &["--delete", "--topic", pattern]);
    }

    /// The ids of the alerts that the lake has, and those that the warehouse has. Each has one of each payment that is risky.
    async fn alerts(&self, risky: &[u64]) -> [Vec<String>; 2] {
        let results = results(self.home.path(), &["payments"]).await;
        ["lake", "warehouse"].map(|place| {
            let rows = &results[&format!("live alerts in the {place}")];
            let rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
            for number in risky {
                let payment = format!("p{number}");
                let is_its = |row: &&Value| row["rule"] == PLUGINS[0] && row.to_string().contains(&payment);
                assert!(rows.iter().any(|row| is_its(&row)), "{place} has no alert of {payment}");
            }
            rows.iter().map(|row| row["alert_id"].to_string()).collect()
        })
    }
}

/// Fails unless all are different.
fn assert_once(ids: &[String]) {
    let different: BTreeSet<_> = ids.iter().collect();
    assert_eq!(different.len(), ids.len());
}

#[tokio::test]
async fn what_is_gone_is_said_and_what_mends_it_does() {
    let mut group = Group::new();
    group.send(300);
    group.goes_on_to(300);
    // What a group is told is for tools: where it goes on stands elsewhere.
    group.tool(Tool::Groups, &["--delete", "--group", "tamis"]);
    group.send(100);
    group.goes_on_to(400);
    group.alerts(&[50, 350]).await.iter().for_each(|ids| assert_once(ids));
    retention_deletes_records(&mut group).await;
    retention_deletes_what_is_handed_on(&mut group).await;
    retention_deletes_what_is_to_be_delivered(&mut group).await;
}

async fn retention_deletes_records(group: &mut Group) {
    group.send(100);
    group.forget("payments", LEFT);
    group.fails("stream", "it is failed", "cannot go on reading payments/");
    group.fails("archive", STOPPED, "topics are not archived until the next start: cannot go on reading payments/");
    group.delete_topics(r"tamis\.unkeyed-.*\.changelog");
    group.remove("checkpoints/archive-kafka");
    let left = LEFT.cast_unsigned() * SLICES as u64;
    group.goes_on_to(left);
    group.send(100);
    group.goes_on_to(left + 100);
    group.alerts(&[50, 350, 500, 550]).await.iter().for_each(|ids| assert_once(ids));
}

async fn retention_deletes_what_is_handed_on(group: &mut Group) {
    let [before, _] = group.alerts(&[]).await;
    group.write_junk("tamis.exchange", SLICES as u32);
    group.forget("tamis.exchange", 0);
    group.fails("stream", "it is failed", "cannot go on reading tamis.exchange/");
    group.delete_topics(r"tamis\.(un)?keyed-.*\.changelog");
    group.goes_on_to(LEFT.cast_unsigned() * SLICES as u64 + 100);
    let [lake, warehouse] = group.alerts(&[50, 350, 500, 550]).await;
    assert_once(&warehouse);
    let ids = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<_>>();
    assert!(lake.len() > before.len() && ids(&lake) == ids(&before), "what is still there is judged again");
    assert_eq!(ids(&lake), ids(&warehouse));
}

async fn retention_deletes_what_is_to_be_delivered(group: &mut Group) {
    group.write_junk(OUTCOMES, 1);
    group.fails("delivery", STOPPED, "do not come to lake and warehouse until the next start: cannot deliver");
    group.forget(OUTCOMES, 0);
    group.send(100);
    group.fails("delivery", STOPPED, "cannot go on reading tamis.outcomes/0");
    group.remove("checkpoints/delivery");
    group.goes_on_to(LEFT.cast_unsigned() * SLICES as u64 + 200);
    let [_, warehouse] = group.alerts(&[50, 350, 500, 550, 600, 650]).await;
    assert_once(&warehouse);
}
