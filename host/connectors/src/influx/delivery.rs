//! The thread that delivers points.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};
use ureq::Agent;
use ureq::http::{HeaderMap, StatusCode};

use super::{InfluxSettings, InfluxTarget, Queue};

/// Points of a request at most, as the server's makers advise.
const POINTS_PER_REQUEST_MAX: usize = 5_000;
/// How often a batch of which something is refused is halved: enough to find a few bad points.
const HALVINGS_MAX: u32 = 64;
/// A server that asks for more patience than this is asked again.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// Characters of what a server says of a refusal.
const REASON_CHARS_MAX: usize = 300;

pub(super) struct Delivery {
    settings: InfluxSettings,
    queue: Arc<Queue>,
    agent: Agent,
}

/// What became of a try.
enum Outcome {
    Written,
    /// It will never be taken.
    Refused(Error),
    /// It may be taken later, and not before that.
    Later(Error, Option<Duration>),
}

impl Delivery {
    pub fn new(settings: InfluxSettings, queue: Arc<Queue>) -> Self {
        let mut config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(settings.timeout));
        if matches!(&settings.target, InfluxTarget::Http { url, .. } if url.starts_with("http://")) {
            // A proxy would see the token.
            config = config.proxy(None);
        }
        Self { agent: config.build().into(), settings, queue }
    }

    /// Delivers until the queue is closed.
    pub fn run(self) {
        while let Some(lines) = self.queue.take(POINTS_PER_REQUEST_MAX) {
            self.deliver(&lines);
            self.queue.done();
        }
    }

    /// Delivers lines. Where they are refused each half is delivered by itself, until the bad ones are alone or so many requests are too
    /// many.
    fn deliver(&self, lines: &[String]) {
        let (mut parts, mut halvings) = (vec![lines], HALVINGS_MAX);
        while let Some(lines) = parts.pop() {
            let Some(error) = self.deliver_whole(lines) else { continue };
            if lines.len() > 1 && halvings > 0 {
                halvings -= 1;
                let (first, second) = lines.split_at(lines.len() / 2);
                parts.extend([second, first]);
            } else {
                tracing::error!(points = lines.len(), "{}", error.chain());
                self.queue.refused.fetch_add(lines.len() as u64, Ordering::Relaxed);
            }
        }
    }

    /// Tries until the points are taken or refused, or nobody waits for them. Why they are refused.
    fn deliver_whole(&self, lines: &[String]) -> Option<Error> {
        let (body, points) = (lines.concat(), lines.len() as u64);
        let (mut pause, pause_max) = self.settings.pauses;
        let mut said = false;
        loop {
            match self.attempt(&body) {
                Outcome::Written => {
                    self.queue.written.fetch_add(points, Ordering::Relaxed);
                    return None;
                }
                Outcome::Refused(error) => return Some(error),
                Outcome::Later(error, after) => {
                    // Once for each outage: it may last for hours.
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(points, "{}", error.chain());
                    }
                    // A server that says when may ask for more patience, and never for none.
                    let after = after.unwrap_or(pause).min(RETRY_AFTER_MAX).max(pause);
                    if !self.queue.pause(after) {
                        self.queue.dropped.fetch_add(points, Ordering::Relaxed);
                        return None;
                    }
                    self.queue.retries.fetch_add(1, Ordering::Relaxed);
                    pause = (pause * 2).min(pause_max);
                }
            }
        }
    }

    fn attempt(&self, body: &str) -> Outcome {
        match &self.settings.target {
            InfluxTarget::File(path) => match append(path, body) {
                Ok(()) => Outcome::Written,
                Err(error) => Outcome::Later(error, None),
            },
            InfluxTarget::Http { url, token } => self.post(url, token.as_deref(), body),
        }
    }

    fn post(&self, url: &str, token: Option<&str>, body: &str) -> Outcome {
        let mut request = self.agent.post(&format!("{url}&precision=ns")).content_type("text/plain; charset=utf-8");
        if let Some(token) = token {
            request = request.header("authorization", format!("Token {token}"));
        }
        let failed = |kind, reason: String| Error::new(kind, "write aggregates to", url).because(reason);
        let mut response = match request.send(body) {
            Ok(response) => response,
            Err(error) => return Outcome::Later(failed(Kind::Outage, error.to_string()), None),
        };
        let status = response.status();
        if status.is_success() {
            return Outcome::Written;
        }
        let text = response.body_mut().with_config().limit(1 << 16).read_to_string().unwrap_or_default();
        let reason = format!("{status}: {}", text.trim().chars().take(REASON_CHARS_MAX).collect::<String>());
        match may_be_taken_later(status) {
            true => Outcome::Later(failed(Kind::Outage, reason), retry_after(response.headers())),
            false => Outcome::Refused(failed(Kind::Invalid, reason)),
        }
    }
}

/// What is wrong with the points stays wrong. Who we are, and whether there is such a bucket, can be mended at the server.
fn may_be_taken_later(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::NOT_FOUND
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
        )
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get("retry-after")?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

fn append(path: &Path, lines: &str) -> Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path).outage("open file", path.display())?;
    file.write_all(lines.as_bytes()).outage("append aggregates to", path.display())
}
