//! From a core module to a component.

use std::fs;
use std::path::Path;
use std::process;

use wit_component::ComponentEncoder;

use crate::{BuildError, Built, Package};

/// Makes a component of the module and puts it in `out_dir`, whole or not at all.
pub(crate) fn write(package: &Package, module: &Path, out_dir: &Path) -> Result<Built, BuildError> {
    let bytes = fs::read(module).map_err(file_error("read", module))?;
    let component = encode(&bytes).map_err(|message| BuildError::Component { name: package.name.clone(), message })?;
    let wasm_path = out_dir.join(format!("{}.wasm", package.name));
    fs::create_dir_all(out_dir).map_err(file_error("create", out_dir))?;
    // Somebody else may be building or reading the same file.
    let draft = out_dir.join(format!(".{}.{}.wasm", package.name, process::id()));
    fs::write(&draft, &component).map_err(file_error("write", &draft))?;
    fs::rename(&draft, &wasm_path).map_err(file_error("replace", &wasm_path))?;
    Ok(Built { name: package.name.clone(), wasm_path, size_bytes: component.len() as u64 })
}

fn encode(module: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    let encoded = encoder.module(module).and_then(|encoder| encoder.encode());
    encoded.map_err(|error| format!("{error:#}"))
}

fn file_error(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> BuildError {
    move |source| BuildError::File { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_module() {
        assert!(encode(b"\0asm").is_err());
    }
}
