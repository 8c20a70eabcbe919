//! What a home holds in the end: alerts as the topics have them.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The records of a topic, partition by partition in the order of their offsets.
pub fn records(home: &Path, topic: &str) -> Vec<Value> {
    let mut files = files(&home.join("topics").join(topic), "jsonl");
    files.sort();
    let text = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect::<String>();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The files below a folder with this ending.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found
}
