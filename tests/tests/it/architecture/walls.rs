//! Who may depend on whom.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::{assert_none, root};

/// Our crates, and which of ours each may be built on.
const OURS: [(&str, &[&str]); 18] = [
    ("tamis-model", &[]),
    ("tamis-plugin", &["tamis-model"]),
    ("tamis-engine", &["tamis-model"]),
    ("tamis-connectors", &["tamis-model", "tamis-engine"]),
    ("tamis-catalog", &["tamis-model"]),
    ("tamis-registry", &["tamis-model", "tamis-plugin", "tamis-engine", "tamis-catalog"]),
    (
        "tamis-jobs",
        &["tamis-model", "tamis-plugin", "tamis-engine", "tamis-connectors", "tamis-catalog", "tamis-registry"],
    ),
    (
        "tamis-api",
        &[
            "tamis-model",
            "tamis-plugin",
            "tamis-engine",
            "tamis-connectors",
            "tamis-catalog",
            "tamis-registry",
            "tamis-jobs",
        ],
    ),
    ("tamis", ANY_HOST),
    ("tamis-sdk-macros", &[]),
    ("tamis-sdk", &["tamis-sdk-macros"]),
    ("tamis-build", &[]),
    ("tamis-services", &[]),
    ("xtask", &["tamis-build", "tamis-services"]),
    ("tamis-tests", ANY),
    // Built on the interface alone: a guest of the tests misbehaves in ways that the SDK does not offer.
    ("hostile-check", &[]),
    ("hostile-rule", &[]),
    ("hostile-transform", &[]),
];

/// The binary puts the host's parts together.
const ANY_HOST: &[&str] = &[
    "tamis-model",
    "tamis-plugin",
    "tamis-engine",
    "tamis-connectors",
    "tamis-catalog",
    "tamis-registry",
    "tamis-jobs",
    "tamis-api",
    "tamis-build",
];

/// The tests look at everything from outside.
const ANY: &[&str] = &["*"];

/// What a plugin may be built on, our crates and others.
const PLUGIN_MAY: [&str; 3] = ["tamis-sdk", "serde", "serde_json"];

/// What single plugins may be built on besides.
const PLUGIN_MAY_BESIDES: [(&str, &[&str]); 2] = [("bot-checkout", &["regex"]), ("expression", &["cel", "regex"])];

/// Dependencies that are walled in, and by which of our crates.
const WALLED: [(&str, &[&str]); 6] = [
    ("wasmtime", &["tamis-plugin"]),
    ("deltalake", &["tamis-connectors"]),
    ("rdkafka", &["tamis-connectors"]),
    ("sqlx", &["tamis-connectors", "tamis-catalog"]),
    ("datafusion", &["tamis-jobs"]),
    ("axum", &["tamis-api"]),
];

/// What the tests of a crate may look into from outside, through a wall: the databases of a process that was killed, or that fails.
const TESTS_SEE: [(&str, &str); 2] = [("tamis", "sqlx"), ("tamis-tests", "sqlx")];

/// A crate of the workspace.
#[derive(Clone, Debug, Default)]
struct Member {
    /// Its folder, from the root.
    folder: String,
    /// What it is built on.
    dependencies: Vec<String>,
    /// What its tests need besides.
    dev_dependencies: Vec<String>,
}

#[test]
fn the_walls_stand() {
    assert_none(&breaches(&workspace()));
}

fn breaches(workspace: &BTreeMap<String, Member>) -> Vec<String> {
    let mut breaches = Vec::new();
    for (name, member) in workspace {
        let listed = OURS.iter().find(|(ours, _)| ours == name);
        let is_plugin = member.folder.starts_with("plugins/");
        if listed.is_none() && !is_plugin {
            breaches.push(format!("{name}: give it a place among the crates in {}", file!()));
        }
        for dependency in &member.dependencies {
            let allowed = match listed {
                Some((_, allowed)) => {
                    *allowed == ANY || !workspace.contains_key(dependency) || allowed.contains(&dependency.as_str())
                }
                None => {
                    let besides = PLUGIN_MAY_BESIDES.iter().filter(|(plugin, _)| plugin == name);
                    let mut allowed = besides.flat_map(|(_, besides)| *besides).chain(&PLUGIN_MAY);
                    allowed.any(|allowed| allowed == dependency)
                }
            };
            if !allowed {
                breaches.push(format!("{name} may not be built on {dependency}"));
            }
        }
        let unseen = |dependency: &&String| !TESTS_SEE.contains(&(name.as_str(), dependency.as_str()));
        for dependency in member.dependencies.iter().chain(member.dev_dependencies.iter().filter(unseen)) {
            let walled = WALLED.iter().find(|(walled, _)| walled == dependency);
            if walled.is_some_and(|(_, by)| !by.contains(&name.as_str())) {
                breaches.push(format!("{name} may not know {dependency}"));
            }
        }
    }
    breaches
}

fn workspace() -> BTreeMap<String, Member> {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|package| (package["name"].as_str().unwrap().to_owned(), member(package))).collect()
}

fn member(package: &Value) -> Member {
    let root = root().canonicalize().unwrap();
    let folder = std::path::Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap();
    let folder = folder.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
    let mut member = Member { folder, ..Member::default() };
    for dependency in package["dependencies"].as_array().unwrap() {
        let name = dependency["name"].as_str().unwrap().to_owned();
        let list = if dependency["kind"] == "dev" { &mut member.dev_dependencies } else { &mut member.dependencies };
        list.push(name);
    }
    member
}

#[test]
fn a_hole_in_a_wall_is_seen() {
    let check = |name: &str, dependency: &str, expected: &str| {
        let mut workspace = workspace();
        assert_none(&breaches(&workspace));
        workspace.get_mut(name).unwrap().dependencies.push(dependency.to_owned());
        assert_eq!(breaches(&workspace), [expected], "{name} on {dependency}");
    };
    check("tamis-engine", "tamis-plugin", "tamis-engine may not be built on tamis-plugin");
    check("tamis-model", "tamis-engine", "tamis-model may not be built on tamis-engine");
    check("card-testing", "tamis-model", "card-testing may not be built on tamis-model");
    check("card-testing", "rand", "card-testing may not be built on rand");
    check("card-testing", "cel", "card-testing may not be built on cel");
    check("expression", "rand", "expression may not be built on rand");
    check("tamis-engine", "wasmtime", "tamis-engine may not know wasmtime");
    check("tamis-jobs", "deltalake", "tamis-jobs may not know deltalake");
}
