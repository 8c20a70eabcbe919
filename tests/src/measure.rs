//! What benchmarks of whole streams have in common.

use std::fs;

use serde_json::Value;
use tamis_engine::Sink;
use tamis_model::Result;
use tamis_model::record::Record;

/// Keeps nothing: output is not what is measured.
pub struct Nowhere;

impl Sink<Record> for Nowhere {
    fn write(&mut self, _output: &[Record]) -> Result<()> {
        Ok(())
    }

    fn stage(&mut self) -> Result<Value> {
        Ok(Value::Null)
    }

    fn commit(&mut self, _staged: &Value) -> Result<()> {
        Ok(())
    }
}

/// Resident memory of this process, KiB.
pub fn resident_kib() -> u64 {
    number("/proc/self/status", "VmRSS:")
}

/// What this process has written to disks, bytes.
pub fn written_bytes() -> u64 {
    number("/proc/self/io", "write_bytes:")
}

/// The number behind a name in a file of the kernel.
fn number(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).expect("this is Linux");
    let line = text.lines().find(|line| line.starts_with(name)).expect("every process has it");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}
