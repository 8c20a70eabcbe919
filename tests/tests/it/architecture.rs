//! What Cargo and the compiler cannot check: the walls of design 7, the form of the files, and that
//! ARCHITECTURE.md describes the tree there is.

mod document;
mod files;
mod walls;

use tamis_tests::checkout::root;

/// Fails with one line for each finding, all of them at once.
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
