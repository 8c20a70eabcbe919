//! Which rules run, from the host with the catalogue to all others, through a compacted topic.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tamis_connectors::kafka::{KafkaConnection, KafkaSource, KafkaSourceSettings, KafkaTopics, KafkaTransactions};
use tamis_engine::rules::RuleSet;
use tamis_engine::{Chunk, Clock, Read, Source, SystemClock};
use tamis_model::Result;
use tamis_model::error::Context as _;
use tamis_model::position::{Partition, Positions};
use tamis_model::record::Record;
use tamis_plugin::Sandbox;

use super::Topics;
use super::book::{Book, Pages, component_of, parts, set};
use crate::kafka::KafkaPlan;
use crate::plan::Plan;

/// Between two looks at what is on its way.
const ARRIVAL_PAUSE: Duration = Duration::from_millis(2);

/// Tells a group which rules run. Of two hosts that do, the later one fences the other.
pub(crate) struct Publisher {
    transactions: KafkaTransactions,
    topic: String,
    /// Where components lie.
    components: PathBuf,
    /// The parts of components that are in the topic, by key.
    there: BTreeSet<Vec<u8>>,
    revision: Option<u64>,
}

impl Publisher {
    /// Takes the word.
    pub fn open(plan: &Plan, kafka: &KafkaPlan) -> Result<Self> {
        let topic = Topics::of(kafka).rules;
        KafkaTopics::new(kafka.connection.clone()).create_compacted(&topic, kafka.topics.replication)?;
        let transactions = KafkaTransactions::open(&kafka.connection, &topic, kafka.transaction_max)?;
        let mut reader = Reader::open(&kafka.connection, &topic)?;
        while !reader.read()? {
            std::thread::sleep(ARRIVAL_PAUSE);
        }
        let there = reader.pages.parts().map(<[u8]>::to_vec).collect();
        Ok(Self { transactions, topic, components: plan.home.components(), there, revision: None })
    }

    /// Says that these rules run from now on, with the components that they need; nothing when that was said last. Those that
    /// nobody needs any more are taken out.
    pub fn publish(&mut self, rules: &RuleSet) -> Result<()> {
        if self.revision == Some(rules.revision) {
            return Ok(());
        }
        let book = Book::of(rules);
        let needed = book.components();
        let is_needed = |key: &[u8]| component_of(key).is_some_and(|sha256| needed.contains(sha256));
        let (mut there, gone): (BTreeSet<_>, BTreeSet<_>) =
            std::mem::take(&mut self.there).into_iter().partition(|key| is_needed(key));
        let mut records = Vec::new();
        let known: BTreeSet<String> = there.iter().filter_map(|key| component_of(key)).map(str::to_owned).collect();
        for sha256 in needed.iter().filter(|sha256| !known.contains(**sha256)) {
            let path = self.components.join(format!("{sha256}.wasm"));
            let component = std::fs::read(&path).outage("read component", path.display())?;
            for (key, value) in parts(sha256, &component)? {
                there.insert(key.clone());
                records.push(self.record(key, Some(value)));
            }
        }
        let (key, value) = set(&book)?;
        records.push(self.record(key, Some(value)));
        records.extend(gone.into_iter().map(|key| self.record(key, None)));
        self.transactions.write(&records)?;
        self.transactions.commit()?;
        (self.there, self.revision) = (there, Some(rules.revision));
        Ok(())
    }

    fn record(&self, key: Vec<u8>, value: Option<Vec<u8>>) -> Record {
        Record {
            topic: self.topic.clone(),
            partition: Some(0),
            timestamp: SystemClock.now(),
            key: Some(key),
            value,
            value_is_json: false,
            headers: Vec::new(),
        }
    }
}

/// The rules of a group, as they are said.
pub(super) struct RuleReader {
    reader: Reader,
    sandbox: Arc<Sandbox>,
}

impl RuleReader {
    pub fn open(plan: &Plan, kafka: &KafkaPlan) -> Result<Self> {
        let topic = Topics::of(kafka).rules;
        Ok(Self { reader: Reader::open(&kafka.connection, &topic)?, sandbox: Arc::clone(&plan.sandbox) })
    }

    /// The rule set, when another one was said since the last look.
    pub fn look(&mut self) -> Result<Option<RuleSet>> {
        if !self.reader.read()? || !std::mem::take(&mut self.reader.has_news) {
            return Ok(None);
        }
        let book = self.reader.pages.book()?;
        book.map(|book| self.reader.pages.rule_set(&book, &self.sandbox)).transpose()
    }
}

/// Reads the topic of rules.
struct Reader {
    source: KafkaSource,
    partition: Partition,
    pages: Pages,
    /// Whether anything came since somebody looked.
    has_news: bool,
}

impl Reader {
    fn open(connection: &KafkaConnection, topic: &str) -> Result<Self> {
        let settings = KafkaSourceSettings::new([topic.to_owned()], topic);
        let mut source = KafkaSource::new(connection.clone(), settings);
        source.open(&Positions::default())?;
        let partition = Partition { topic: topic.to_owned(), number: 0 };
        Ok(Self { source, partition, pages: Pages::default(), has_news: false })
    }

    /// Reads what is there. Whether that is all, so that what belongs together is there as a whole.
    fn read(&mut self) -> Result<bool> {
        let mut chunk = Chunk::default();
        loop {
            match self.source.read(&self.partition, &mut chunk)? {
                Read::Records => {
                    self.has_news = true;
                    for record in chunk.framed() {
                        self.pages.take(record.key.unwrap_or_default(), record.value);
                    }
                }
                Read::Waiting | Read::Passed(_) => return Ok(false),
                Read::CaughtUp | Read::Ended => return Ok(true),
            }
        }
    }
}
