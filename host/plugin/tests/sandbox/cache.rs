//! The cache of compiled components: used when it is sealed, never when it is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tamis_model::pseudonym::Pepper;
use tamis_model::rule::Rule;
use tamis_plugin::{Plugin, Sandbox, SandboxSettings};

use crate::fixture::*;

fn load_in(dir: &Path, pepper: &[u8]) -> Arc<Plugin> {
    let settings = SandboxSettings { cache_dir: Some(dir.to_owned()), pepper: Pepper::new(pepper), ..settings() };
    let bytes = describing(component("hostile-rule"), &rule_manifest().to_string());
    Sandbox::new(settings).unwrap().load(&bytes).unwrap()
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

fn check_works(plugin: &Arc<Plugin>) {
    let judged = plugin.rule("{}").unwrap().apply(&Rows::of(&["a"]).view()).unwrap();
    assert_eq!(found(&judged), [0]);
}

#[test]
fn a_second_load_takes_the_file_and_a_spoiled_file_is_compiled_anew() {
    let dir = tempfile::tempdir().unwrap();
    check_works(&load_in(dir.path(), b"pepper"));
    let [code] = &files(dir.path(), "cwasm")[..] else { panic!() };
    let [seal] = &files(dir.path(), "seal")[..] else { panic!() };
    let (compiled, sealed) = (fs::read(code).unwrap(), fs::read(seal).unwrap());
    let written = || fs::metadata(code).unwrap().modified().unwrap();

    let first = written();
    check_works(&load_in(dir.path(), b"pepper"));
    assert_eq!(written(), first, "a sealed file is used as it is");

    let spoil: [(&str, &dyn Fn()); 4] = [
        ("a flipped bit", &|| {
            let mut bytes = compiled.clone();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(code, bytes).unwrap();
        }),
        ("a part of the file", &|| fs::write(code, &compiled[..compiled.len() / 2]).unwrap()),
        ("a forged seal", &|| fs::write(seal, "0".repeat(64)).unwrap()),
        ("no seal", &|| fs::remove_file(seal).unwrap()),
    ];
    for (what, spoil) in spoil {
        spoil();
        check_works(&load_in(dir.path(), b"pepper"));
        assert_eq!((fs::read(seal).unwrap(), sealed.len()), (sealed.clone(), 64), "{what}");
        assert!(fs::read(code).unwrap() == compiled, "{what}");
    }
    check_works(&load_in(dir.path(), b"another pepper"));
    assert_ne!(fs::read(seal).unwrap(), sealed, "another host's seal counts for nothing");
    assert_eq!(files(dir.path(), "tmp"), Vec::<PathBuf>::new());
}
