//! A stream that really judges what is written to the topics of a home, by a rule that fires for every payment.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tamis_connectors::TopicReader;
use tamis_connectors::topics::ReaderSettings;
use tamis_engine::memory::{MemoryCheckpoints, MemorySink};
use tamis_engine::{
    Command, Commands, Report, RulePlan, RuleSet, Sinks, Stream, StreamParts, StreamSettings, SystemClock,
};
use tamis_model::Result;
use tamis_model::dead_letter::PluginRef;
use tamis_model::rule::{Finding, Judged, Keyed, Rule, Severity, Subject};
use tamis_model::topic::TopicSchema;

use crate::home::{Home, PAYMENTS};

/// The stream on its thread.
pub struct Judge {
    commands: Commands,
    thread: JoinHandle<Report>,
}

impl Home {
    /// Judges from now on.
    pub fn judge(&self) -> Judge {
        let mut stream = open(self, &self.folder.path().join("topics"));
        let (commands, received) = Commands::new(self.decisions.waker().clone());
        let thread = std::thread::spawn(move || stream.run(&received, &mut |_| {}).unwrap());
        Judge { commands, thread }
    }
}

impl Judge {
    /// Ends it. What it has done.
    pub fn end(self) -> Report {
        assert!(self.commands.send(Command::Stop));
        self.thread.join().unwrap()
    }
}

fn open(home: &Home, topics: &Path) -> Stream {
    Stream::open(StreamParts {
        settings: StreamSettings::default(),
        source: Box::new(TopicReader::new(topics, ReaderSettings::new(["payments"])).unwrap()),
        schemas: vec![TopicSchema::parse(PAYMENTS).unwrap()],
        rules: RuleSet { revision: 7, rules: vec![Arc::new(every())] },
        sinks: Sinks { records: Box::new(MemorySink::new()), alerts: Vec::new(), aggregates: None },
        checkpoints: Box::new(MemoryCheckpoints::new()),
        clock: Arc::new(SystemClock),
        decisions: home.decisions.clone(),
    })
    .unwrap()
}

struct Every;

impl Rule for Every {
    fn configure(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
        let finding = |row| Finding {
            subject: Subject::Row(row as u32),
            severity: Severity::High,
            criteria: 1,
            context: Vec::new(),
        };
        Ok(Judged { findings: (0..rows.rows).map(finding).collect(), ..Judged::default() })
    }

    fn advance(&mut self, _: &Keyed<'_>) -> Result<Judged> {
        panic!("it has no timers");
    }
}

fn every() -> RulePlan {
    let manifest = serde_json::from_value(serde_json::json!({
        "name": "every", "version": "1.2.3", "title": "Every payment", "world": "rule", "criteria": ["every"],
        "context": [{"name": "amount", "from": "row"}],
        "inputs": [{"topic": "payments", "columns": [{"name": "amount", "type": "decimal"}]}],
    }));
    let plugin = PluginRef { name: "every".to_owned(), version: "1.2.3".to_owned(), sha256: "5a".repeat(32) };
    let make = |_: &str| -> Result<Box<dyn Rule>> { Ok(Box::new(Every)) };
    RulePlan::new("every", plugin, Arc::new(manifest.unwrap()), "{}".to_owned(), Arc::new(make))
}
