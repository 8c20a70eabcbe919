//! `tamis plugin new`: the crate of a new plugin, a working example that is there to be changed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tamis_model::error::Context;
use tamis_model::{Error, Result};

use super::print;

/// Write the crate of a new plugin.
#[derive(Args, Debug)]
pub struct New {
    /// Its name: lower-case words joined by `-`.
    pub name: String,
    /// What it begins as.
    #[arg(long, value_enum, default_value_t = Kind::Rule)]
    pub kind: Kind,
    /// The folder of the crate, which must not exist yet [default: ./NAME].
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// The crate `tamis-sdk` [default: sdk/rust of the checkout that this program was built from].
    #[arg(long, value_name = "DIR")]
    pub sdk: Option<PathBuf>,
}

/// The examples that a plugin can begin as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A rule that judges each event by itself.
    Rule,
    /// A rule that counts the events of a key in the time before each.
    Sliding,
    /// A rule that judges each key once per interval.
    Tumbling,
    /// A row for each key and interval.
    Aggregate,
    /// A transform: rows of a file to rows of a table.
    Transform,
    /// A check of a table.
    Check,
}

/// The name in the templates.
const NAME: &str = "my-plugin";
/// The place of the SDK in the templates, a TOML string.
const SDK: &str = "\"SDK\"";
const CARGO_TOML: &str = include_str!("../../templates/Cargo.toml");
const README: &str = include_str!("../../templates/README.md");

impl Kind {
    /// `src/lib.rs` and `cases/basic.jsonl`.
    fn example(self) -> (&'static str, &'static str) {
        macro_rules! example {
            ($folder:literal) => {
                (
                    include_str!(concat!("../../templates/", $folder, "/lib.rs")),
                    include_str!(concat!("../../templates/", $folder, "/basic.jsonl")),
                )
            };
        }
        match self {
            Self::Rule => example!("rule"),
            Self::Sliding => example!("sliding"),
            Self::Tumbling => example!("tumbling"),
            Self::Aggregate => example!("aggregate"),
            Self::Transform => example!("transform"),
            Self::Check => example!("check"),
        }
    }
}

pub(super) fn run(new: &New, out: &mut dyn Write) -> Result<ExitCode> {
    let folder = new_plugin(new)?;
    let shown = folder.display();
    print(out, format_args!("{shown} is written: an example that works, there to be changed. Next:"))?;
    print(out, format_args!("  cd {shown}"))?;
    print(out, "  cargo test            # its unit tests, native")?;
    print(out, "  tamis plugin test     # its cases, in the sandbox")?;
    print(out, "  tamis plugin build    # the component")?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the crate and returns its folder.
pub fn new_plugin(new: &New) -> Result<PathBuf> {
    check_name(&new.name)?;
    let sdk = sdk(new.sdk.as_deref())?;
    let folder = new.path.clone().unwrap_or_else(|| PathBuf::from(&new.name));
    if folder.exists() {
        return Err(Error::invalid("write plugin", folder.display(), "there is something already"));
    }
    let (lib, cases) = new.kind.example();
    let sdk = toml::Value::String(sdk.display().to_string()).to_string();
    let named =
        |text: &str| text.replace(NAME, &new.name).replace(&NAME.replace('-', "_"), &new.name.replace('-', "_"));
    for (file, text) in [
        ("Cargo.toml", named(CARGO_TOML).replace(SDK, &sdk)),
        ("README.md", named(README)),
        (".gitignore", "/target\n".to_owned()),
        ("src/lib.rs", named(lib)),
        ("cases/basic.jsonl", named(cases)),
    ] {
        let path = folder.join(file);
        let parent = path.parent().expect("the files lie in the folder");
        fs::create_dir_all(parent).outage("create", parent.display())?;
        fs::write(&path, text).outage("write", path.display())?;
    }
    Ok(folder)
}

/// The name becomes a crate and a function.
fn check_name(name: &str) -> Result<()> {
    const RESERVED: [&str; 16] = [
        "as", "const", "crate", "else", "enum", "fn", "for", "if", "impl", "in", "loop", "match", "mod", "test",
        "type", "use",
    ];
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts_well || !name.split('-').all(is_word) || name.len() > 64 {
        return Err(Error::invalid(
            "write plugin",
            name,
            "a name is lower-case words joined by `-`, at most 64 letters",
        ));
    }
    if RESERVED.contains(&name) {
        return Err(Error::invalid("write plugin", name, "that word is reserved; take two words"));
    }
    Ok(())
}

/// The SDK that the new crate is to be built on.
fn sdk(given: Option<&Path>) -> Result<PathBuf> {
    let built_from = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/rust"));
    let sdk = given.unwrap_or(built_from);
    if !sdk.join("Cargo.toml").exists() {
        let reason = "there is no Rust SDK; name the folder `sdk/rust` of a Tamis checkout with `--sdk DIR`";
        return Err(Error::invalid("write plugin for the SDK in", sdk.display(), reason));
    }
    sdk.canonicalize().outage("find", sdk.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str, kind: Kind, folder: &Path) -> New {
        New { name: name.to_owned(), kind, path: Some(folder.to_owned()), sdk: None }
    }

    #[test]
    fn every_example_gets_its_name_everywhere() {
        let scratch = tempfile::tempdir().unwrap();
        for kind in Kind::value_variants() {
            let folder = scratch.path().join(format!("{kind:?}"));
            new_plugin(&new("night-owl", *kind, &folder)).unwrap();
            let lib = fs::read_to_string(folder.join("src/lib.rs")).unwrap();
            assert!(lib.contains("pub fn night_owl"), "{kind:?}\n{lib}");
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            assert!(manifest.parse::<toml::Table>().unwrap()["dependencies"]["tamis-sdk"]["path"].as_str().is_some());
            for file in ["Cargo.toml", "README.md", "src/lib.rs", "cases/basic.jsonl"] {
                let text = fs::read_to_string(folder.join(file)).unwrap();
                assert!(!text.contains("my-plugin") && !text.contains("my_plugin"), "{kind:?} {file}\n{text}");
            }
        }
    }

    #[test]
    fn bad_names_and_taken_folders_are_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let check = |name: &str, folder: &str, expected: &str| {
            let error = new_plugin(&new(name, Kind::Rule, &scratch.path().join(folder))).unwrap_err().chain();
            assert!(error.contains(expected), "{error}");
        };
        for name in ["", "Night", "9owls", "-night", "night-", "night--owl", "night_owl", "a/b"] {
            check(name, "x", "lower-case words joined by `-`");
        }
        check("match", "x", "reserved");
        check("night-owl", ".", "there is something already");
        assert_eq!(scratch.path().read_dir().unwrap().count(), 0, "a refusal writes nothing");
    }

    #[test]
    fn a_missing_sdk_is_explained() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("x");
        let new = New { sdk: Some(scratch.path().to_owned()), ..new("night-owl", Kind::Rule, &folder) };
        assert!(new_plugin(&new).unwrap_err().chain().contains("--sdk DIR"));
    }
}
