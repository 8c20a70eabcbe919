//! What the hostile guests share; a module of each, because each has bindings of its own.

use std::cell::RefCell;
use std::hint::black_box;

use crate::tamis::plugin::{host, types};

/// The manifest: spaces after a mark, which a test overwrites with the JSON it wants this component to return.
/// `!loop` and `!trap` instead of JSON are obeyed.
#[used]
static MANIFEST: [u8; 4096] = {
    let mut bytes = [b' '; 4096];
    let mark = b"TAMIS TEST MANIFEST";
    let mut i = 0;
    while i < mark.len() {
        bytes[i] = mark[i];
        i += 1;
    }
    bytes
};

thread_local! {
    /// The manifest that the configuration wants: its last member, `"manifest"`.
    static CONFIGURED: RefCell<Option<String>> = const { RefCell::new(None) };
}

pub fn describe() -> String {
    // Read as if it could change, because in a patched component it has.
    let unconfigured = || String::from_utf8_lossy(black_box(&MANIFEST)).trim().to_owned();
    let text = CONFIGURED.with_borrow(Clone::clone).unwrap_or_else(unconfigured);
    if let Some(command) = text.strip_prefix('!') {
        misbehave(command);
    }
    text
}

pub fn configure(config: &str) -> Result<(), String> {
    std::panic::set_hook(Box::new(|panic| host::log(host::Level::Error, &panic.to_string())));
    for command in ["loop", "trap", "memory"] {
        if config.contains(&format!("\"configure\":\"{command}\"")) {
            misbehave(command);
        }
    }
    if let Some((_, manifest)) = config.split_once("\"manifest\":") {
        CONFIGURED.set(manifest.strip_suffix('}').map(|manifest| manifest.trim_matches('"').to_owned()));
    }
    if config.contains("\"configure\":\"refuse\"") {
        Err("this configuration is not to my taste".to_owned())
    } else {
        Ok(())
    }
}

/// What ends a call from inside; returns for every other command.
pub fn misbehave(command: &str) {
    match command {
        "loop" => loop {
            black_box(());
        },
        "trap" => std::process::abort(),
        "panic" => panic!("I panic on purpose"),
        "memory" => loop {
            std::mem::forget(black_box(vec![1u8; 1 << 20]));
        },
        "recurse" => {
            black_box(recurse(black_box(1)));
        }
        "log_flood" => (0..100_000).for_each(|i| host::log(host::Level::Info, &format!("message {i}"))),
        "hostile_offsets" => pseudonymize(&[0, u32::MAX], b"abc"),
        "falling_pseudonyms" => pseudonymize(&[2, 1, 3], b"abc"),
        "no_offsets" => pseudonymize(&[], b""),
        "binary_pseudonyms" => pseudonymize(&[0, 1], b"\xff"),
        _ => {}
    }
}

fn pseudonymize(offsets: &[u32], data: &[u8]) {
    let values = types::Strings { offsets: offsets.to_vec(), data: data.to_vec() };
    black_box(host::pseudonymize(&values, host::Pseudonym::Short));
}

#[allow(unconditional_recursion, reason = "that is the point")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[(depth % 64) as usize]
}

/// The texts of a column.
pub fn texts(column: &types::Column) -> Vec<String> {
    let types::Values::Text(strings) = &column.values else { panic!("the first column is text") };
    let value = |pair: &[u32]| String::from_utf8_lossy(&strings.data[pair[0] as usize..pair[1] as usize]).into_owned();
    strings.offsets.windows(2).map(value).collect()
}

#[allow(dead_code, reason = "the check returns no columns")]
pub fn strings<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> types::Strings {
    let mut strings = types::Strings { offsets: vec![0], data: Vec::new() };
    for value in values {
        strings.data.extend_from_slice(value);
        strings.offsets.push(strings.data.len() as u32);
    }
    strings
}

/// A text that is not UTF-8, which a guest in any language can send.
pub fn broken_text() -> String {
    // SAFETY: none; a guest that breaks its own rules is what this is.
    unsafe { String::from_utf8_unchecked(vec![b'a', 0xff]) }
}
