//! What benchmarks of whole streams have in common.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use tamis_engine::Sink;
use tamis_model::Result;
use tamis_model::record::Record;

/// The kernel counts in hundredths of a second for every program.
const MS_PER_TICK: u64 = 10;

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

/// The processor time, of user and system, of this process's children that have ended.
pub fn children_cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").expect("this is Linux");
    // The name of the program, in brackets, may hold anything; the sixteenth and the seventeenth field are the fourteenth behind it.
    let (_, fields) = text.rsplit_once(')').expect("it has a name");
    let ticks = fields.split_whitespace().skip(13).take(2).map(|field| field.parse::<u64>().expect("a number"));
    Duration::from_millis(ticks.sum::<u64>() * MS_PER_TICK)
}
