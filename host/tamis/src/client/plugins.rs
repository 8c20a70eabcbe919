//! `tamis plugin push`: a component to the host.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tamis_model::Result;
use tamis_model::error::Context;
use ureq::http::Method;

use super::http::{Body, Client};
use super::show;

/// Upload a component to a running host, which checks and compiles it.
#[derive(Args, Debug)]
pub struct Push {
    /// The component.
    pub file: PathBuf,
    /// Which host.
    #[command(flatten)]
    pub server: super::Server,
}

pub(super) fn push(client: &Client, push: &Push, json: bool) -> Result<ExitCode> {
    let bytes = std::fs::read(&push.file).invalid("read component", push.file.display())?;
    let mut body = client.call(Method::POST, "/plugins", Body::Component(bytes), None)?.body;
    if let (false, Some(members)) = (json, body.as_object_mut()) {
        // `tamis plugin inspect` shows it as people read it.
        members.remove("manifest");
    }
    show::one(&body, json)
}
