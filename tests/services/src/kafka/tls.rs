//! A certificate for the brokers of a cluster, by the `keytool` that comes with Java.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::text_of;

/// Of the key store, which lives as long as its cluster.
pub const PASSWORD: &str = "tamis-tests";
const LIMIT: Duration = Duration::from_secs(60);

/// A certificate for loopback that signs itself. It does not say that it is an authority: some clients refuse that of a server.
#[derive(Debug)]
pub struct Certificate {
    /// Key and certificate (PKCS #12).
    pub key_store: PathBuf,
    /// The certificate (PEM), which clients must trust.
    pub authority: PathBuf,
}

impl Certificate {
    /// Makes one in a folder.
    pub fn make(folder: &Path) -> Result<Self> {
        let made = Self { key_store: folder.join("broker.p12"), authority: folder.join("authority.pem") };
        made.keytool("-genkeypair", |keytool| {
            keytool.args(["-keyalg", "EC", "-groupname", "secp256r1", "-validity", "30", "-dname", "CN=tamis-tests"]);
            keytool.args(["-ext", "san=ip:127.0.0.1,dns:localhost"]);
        })?;
        made.keytool("-exportcert", |keytool| {
            keytool.args(["-rfc", "-file"]).arg(&made.authority);
        })?;
        Ok(made)
    }

    fn keytool(&self, task: &str, arguments: impl FnOnce(&mut Command)) -> Result<()> {
        let mut keytool = Command::new("keytool");
        keytool.args([task, "-alias", "broker", "-storetype", "PKCS12", "-storepass", PASSWORD, "-keystore"]);
        keytool.arg(&self.key_store);
        arguments(&mut keytool);
        text_of(keytool, "", LIMIT).context("cannot make a certificate")?;
        Ok(())
    }
}
