//! Compiled components on disk: native code, so only what this host compiled may ever be loaded.
//!
//! A file is named by the component's SHA-256 and the engine's compatibility hash. Beside it stands a seal, an
//! HMAC under the pepper over the code's SHA-256; a file whose seal does not fit is compiled anew.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use tamis_model::error::Context;
use tamis_model::pseudonym::{Form, Pepper};
use tamis_model::{Error, Kind, Result};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Compiled components by SHA-256; without a folder every component is compiled.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: Option<PathBuf>,
    pepper: Pepper,
    compatibility: u64,
    /// Tells the temporary files of this process apart.
    written: AtomicU64,
}

impl Cache {
    pub fn new(engine: &Engine, dir: Option<PathBuf>, pepper: Pepper) -> Result<Self> {
        if let Some(dir) = &dir {
            fs::create_dir_all(dir).outage("create", dir.display())?;
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { dir, pepper, compatibility: hasher.finish(), written: AtomicU64::new(0) })
    }

    /// The compiled component of `bytes`, whose SHA-256 is `sha256`.
    pub fn component(&self, engine: &Engine, bytes: &[u8], sha256: &str) -> Result<Component> {
        let Some(dir) = &self.dir else {
            return Component::new(engine, bytes).map_err(|e| refused(sha256, &e));
        };
        let path = dir.join(format!("{sha256}-{:016x}.cwasm", self.compatibility));
        if self.sealed(&path) {
            match load(engine, &path) {
                Ok(component) => return Ok(component),
                Err(error) => tracing::warn!(file = %path.display(), %error, "cached component is compiled anew"),
            }
        }
        let code = engine.precompile_component(bytes).map_err(|e| refused(sha256, &e))?;
        let seal = self.seal(&code);
        self.replace(&path, &code)?;
        self.replace(&seal_path(&path), seal.as_bytes())?;
        load(engine, &path).map_err(|e| Error::new(Kind::Corrupt, "load", path.display()).because(e))
    }

    /// Whether the file is there and this host has written all of it.
    fn sealed(&self, path: &Path) -> bool {
        let (Ok(code), Ok(seal)) = (fs::read(path), fs::read(seal_path(path))) else { return false };
        let fits = seal == self.seal(&code).as_bytes();
        if !fits {
            tracing::warn!(file = %path.display(), "cached component does not fit its seal and is compiled anew");
        }
        fits
    }

    fn seal(&self, code: &[u8]) -> String {
        self.pepper.pseudo(&format!("tamis compiled component {}", hex_sha256(code)), Form::Email)
    }

    /// Readers see the old file or the new one, never a part.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
        let write = || {
            let mut file = fs::File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&temporary))).outage("write", path.display())
    }
}

fn seal_path(path: &Path) -> PathBuf {
    path.with_extension("cwasm.seal")
}

fn load(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file holds what `precompile_component` of this host returned: `component` has just written it, or
    // `sealed` has checked its seal. Files are replaced by rename, so the mapped one does not change.
    unsafe { Component::deserialize_file(engine, path) }
}

fn refused(sha256: &str, error: &wasmtime::Error) -> Error {
    Error::invalid("compile", format!("component {sha256}"), format!("{error:#}"))
}

/// Lower-case hex of SHA-256 (FIPS 180-4).
pub(crate) fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
