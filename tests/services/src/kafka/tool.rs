//! Kafka's stock tools.

use std::time::Duration;

use anyhow::Result;

use super::Kafka;
use crate::process::text_of;

/// How long a tool may take.
const LIMIT: Duration = Duration::from_secs(120);
const HEAP_MB: u32 = 128;

/// One of the programs that come with Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `kafka-topics`
    Topics,
    /// `kafka-console-producer`; a line of input is a record
    Producer,
    /// `kafka-console-consumer`; give it `--max-messages` or `--timeout-ms`
    Consumer,
    /// `kafka-consumer-groups`
    Groups,
    /// `kafka-configs`
    Configs,
    /// `kafka-get-offsets`
    Offsets,
    /// `kafka-transactions`
    Transactions,
    /// `kafka-delete-records`
    DeleteRecords,
}

impl Tool {
    fn class(self) -> &'static str {
        match self {
            Self::Topics => "org.apache.kafka.tools.TopicCommand",
            Self::Producer => "org.apache.kafka.tools.ConsoleProducer",
            Self::Consumer => "org.apache.kafka.tools.consumer.ConsoleConsumer",
            Self::Groups => "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            Self::Configs => "kafka.admin.ConfigCommand",
            Self::Offsets => "org.apache.kafka.tools.GetOffsetShell",
            Self::Transactions => "org.apache.kafka.tools.TransactionsCommand",
            Self::DeleteRecords => "org.apache.kafka.tools.DeleteRecordsCommand",
        }
    }
}

impl Kafka {
    /// Runs a tool against a cluster, two minutes at most, and gives what it printed.
    pub fn run(&self, tool: Tool, bootstrap: &str, arguments: &[&str], input: &str) -> Result<String> {
        let mut java = self.java(HEAP_MB);
        java.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", tool.class(), "--bootstrap-server", bootstrap]);
        java.args(arguments);
        text_of(java, input, LIMIT)
    }
}
