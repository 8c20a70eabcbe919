//! The paths that ARCHITECTURE.md names exist: those in `backticks` and those of its tree.
//!
//! The tree is the block under the heading "The tree": the first word of each line is a path from the root, the rest is
//! commentary. Paths of a running host are written `<home>/…` and are not looked for.

use std::fs;
use std::path::Path;

use super::{assert_none, root};

#[test]
fn the_paths_that_the_document_names_exist() {
    let document = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let (tree, named) = (tree(&document), named(&document));
    assert!(tree.len() >= 8, "the tree has only {} entries", tree.len());
    assert!(!named.is_empty(), "no paths are named in the text");
    let missing = tree.into_iter().chain(named).filter(|path| !exists(&root(), path));
    assert_none(&missing.map(|path| format!("ARCHITECTURE.md names {path}, which does not exist")).collect::<Vec<_>>());
}

/// The first words of the lines in the block under the heading "The tree".
fn tree(document: &str) -> Vec<String> {
    let section = document.split("\n## ").find(|section| section.starts_with("The tree\n")).unwrap_or_default();
    let block = section.split("```").nth(1).unwrap_or_default();
    let lines = block.lines().skip(1);
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// What stands in single backticks outside of blocks and looks like a path: a `/`, or a file name with an extension of ours.
fn named(document: &str) -> Vec<String> {
    const EXTENSIONS: [&str; 7] = [".md", ".rs", ".toml", ".wit", ".json", ".yml", ".sql"];
    let text = document.split("```").step_by(2);
    let quoted = text.flat_map(|text| text.split('`').skip(1).step_by(2));
    let is_path = |text: &&str| {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-*".contains(c));
        plain && (text.contains('/') || EXTENSIONS.iter().any(|extension| text.ends_with(extension)))
    };
    quoted.filter(is_path).map(str::to_owned).collect()
}

/// Whether the path is there; `*` stands for any one name.
fn exists(root: &Path, path: &str) -> bool {
    let mut found = vec![root.to_owned()];
    for name in path.trim_end_matches('/').split('/') {
        found = match name {
            "*" => {
                found.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten().map(|e| e.path()).collect()
            }
            name => found.iter().map(|folder| folder.join(name)).filter(|path| path.exists()).collect(),
        };
    }
    !found.is_empty()
}

#[test]
fn the_paths_of_a_document_are_read() {
    let document = "See `host/engine/src`, `Cargo.toml`, `<home>/lake`, `tamis demo`, `a::b`.\n\
        ```text\n`not/this` neither/this\n```\nand `plugins/*/*`\n\
        ## The tree\n\n```text\nhost/    what lies in host/\n.ci/run  the test\n```\n";
    assert_eq!(named(document), ["host/engine/src", "Cargo.toml", "plugins/*/*"]);
    assert_eq!(tree(document), ["host/", ".ci/run"]);
    assert!(exists(&root(), "host/model/src/lib.rs") && exists(&root(), "plugins/*/*/Cargo.toml"));
    assert!(!exists(&root(), "host/nowhere") && !exists(&root(), "plugins/*/nowhere"));
}
