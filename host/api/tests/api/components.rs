//! Plugins that say of themselves what a test wants.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use tamis_model::pseudonym::Pepper;
use tamis_plugin::{Sandbox, SandboxSettings};

/// Where the hostile guests keep their manifest: a mark, then spaces.
const MARK: &[u8] = b"TAMIS TEST MANIFEST";
const MANIFEST_BYTES: usize = 4096;

/// One for all tests; what was compiled is kept from run to run.
pub static SANDBOX: LazyLock<Arc<Sandbox>> = LazyLock::new(|| {
    let cache_dir = Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("api-components"));
    let settings = SandboxSettings::new(Pepper::new(b"pepper"));
    Sandbox::new(SandboxSettings { instances_max: 64, cache_dir, ..settings }).unwrap()
});

/// The component of a rule over payments with this name and version.
pub fn rule(name: &str, version: &str) -> Vec<u8> {
    describing(&manifest(name, version))
}

/// The component of a rule that says this of itself.
pub fn describing(manifest: &Value) -> Vec<u8> {
    let mut component = component("hostile-rule");
    let manifest = manifest.to_string();
    let at = component.windows(MARK.len()).position(|window| window == MARK).expect("the mark is in the component");
    let place = &mut component[at..at + MANIFEST_BYTES];
    place.fill(b' ');
    place[..manifest.len()].copy_from_slice(manifest.as_bytes());
    component
}

/// What such a rule says of itself: it has a limit, and a list.
pub fn manifest(name: &str, version: &str) -> Value {
    json!({
        "name": name, "version": version, "title": "Obeys its rows", "world": "rule",
        "inputs": [{"topic": "payments", "columns": [{"name": "payment_id", "type": "text"}]}],
        "criteria": ["commanded"], "context": [{"name": "payment_id"}],
        "limits": {"deadline_ms": 5000, "memory_bytes": 16 << 20, "output_bytes": 1 << 20},
        "config": {
            "schema": {
                "type": "object", "additionalProperties": false,
                "properties": {
                    "limit": {"type": "integer", "minimum": 0},
                    "bins": {"type": "array", "items": {"type": "string"}, "x-list": "fraud_bins"},
                },
            },
            "defaults": {"limit": 3, "bins": ["411111"]},
        },
    })
}

/// The bytes of a built test plugin.
pub fn component(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("TAMIS_TEST_PLUGINS").expect(
        "TAMIS_TEST_PLUGINS names the folder of built test plugins; `cargo xtask test` builds them and sets it",
    );
    let path = PathBuf::from(folder).join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{} (built by `cargo xtask test`): {error}", path.display()))
}
