//! What a plugin may ask of its host (`log`, `pseudonymize`), and what the host keeps of each instance.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tamis_model::error::Context;
use tamis_model::manifest::Limits;
use tamis_model::pseudonym::{Form, Pepper};
use tamis_model::rule::FailureReason;
use tamis_model::{Result, strings};
use wasmtime::component::{Linker, WasmList, WasmStr};
use wasmtime::{Engine, ResourceLimiter, StoreContextMut};

use crate::wire::{Level, Pseudonym, StringsBuf};

/// The functions that a plugin may import.
pub(crate) const HOST_INTERFACE: &str = "tamis:plugin/host@1.0.0";
/// Types only: nothing is called.
pub(crate) const TYPES_INTERFACE: &str = "tamis:plugin/types@1.0.0";
/// The functions of [`HOST_INTERFACE`].
pub(crate) const HOST_FUNCTIONS: [&str; 2] = ["log", "pseudonymize"];

/// Messages of one plugin that are written in one second.
const MESSAGES_PER_SECOND_MAX: u32 = 20;
/// Bytes of a message that are kept.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Values between two looks at the clock: about 0.1 ms of HMAC.
const PSEUDONYMS_PER_LOOK: usize = 256;

/// A reason to stop a guest that the host itself found.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Stopped {
    pub reason: FailureReason,
    pub message: String,
}

/// What the host keeps of an instance.
pub(crate) struct HostState {
    plugin: Arc<str>,
    pepper: Pepper,
    limits: Limits,
    log: Arc<LogGate>,
    memory_bytes: usize,
    deadline: Instant,
    last_error: Option<String>,
}

impl HostState {
    pub fn new(plugin: Arc<str>, pepper: Pepper, limits: Limits, log: Arc<LogGate>) -> Self {
        Self { plugin, pepper, limits, log, memory_bytes: 0, deadline: Instant::now(), last_error: None }
    }

    /// A call begins; it has its whole time before it.
    pub fn begin_call(&mut self) {
        self.deadline = Instant::now() + Duration::from_millis(u64::from(self.limits.deadline_ms));
        self.last_error = None;
    }

    /// The last error that the plugin logged in this call; a panic says there what it was.
    pub fn take_last_error(&mut self) -> Option<String> {
        self.last_error.take()
    }
}

impl ResourceLimiter for HostState {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if u64::try_from(wanted).is_ok_and(|wanted| wanted <= self.limits.memory_bytes) {
            self.memory_bytes = wanted;
            return Ok(true);
        }
        // An error rather than a refusal, so that the cause survives: a guest told "no" would only abort.
        Err(Stopped {
            reason: FailureReason::Memory,
            message: format!("wanted {wanted} bytes of memory, its limit is {}", self.limits.memory_bytes),
        }
        .into())
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true) // the pool bounds tables
    }
}

/// Everything that a plugin may import.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    let mut define = || -> wasmtime::Result<()> {
        linker.instance(TYPES_INTERFACE)?;
        let mut host = linker.instance(HOST_INTERFACE)?;
        host.func_wrap("log", |mut store: StoreContextMut<'_, HostState>, (level, message): (Level, WasmStr)| {
            let text = shortened(&message.to_str(&store)?);
            store.data_mut().log(level, text);
            Ok(())
        })?;
        host.func_wrap("pseudonymize", |store: StoreContextMut<'_, HostState>, (values, form): (Texts, Pseudonym)| {
            let state = store.data();
            let values = strings::Strings { offsets: &values.offsets, data: values.data.as_le_slice(&store) };
            Ok((state.pseudonymize(values, form)?,))
        })
    };
    define().invalid("define", "what plugins may import")?;
    Ok(linker)
}

/// The argument of `pseudonymize`: the text is read where it lies in the guest's memory.
#[derive(wasmtime::component::ComponentType, wasmtime::component::Lift)]
#[component(record)]
struct Texts {
    offsets: Vec<u32>,
    data: WasmList<u8>,
}

impl HostState {
    fn log(&mut self, level: Level, text: String) {
        match self.log.admit(Instant::now()) {
            Admission::Dropped => {}
            Admission::Admitted { suppressed } => {
                if suppressed > 0 {
                    tracing::warn!(plugin = %self.plugin, suppressed, "plugin logs too much");
                }
                match level {
                    Level::Debug => tracing::debug!(plugin = %self.plugin, "{text}"),
                    Level::Info => tracing::info!(plugin = %self.plugin, "{text}"),
                    Level::Warn => tracing::warn!(plugin = %self.plugin, "{text}"),
                    Level::Error => tracing::error!(plugin = %self.plugin, "{text}"),
                }
            }
        }
        if matches!(level, Level::Error) {
            self.last_error = Some(text);
        }
    }

    /// Bounded by the call's deadline and output limit: a guest does not stop while its host works for it.
    fn pseudonymize(&self, values: strings::Strings<'_>, form: Pseudonym) -> Result<StringsBuf, Stopped> {
        let contract = |message: String| Stopped { reason: FailureReason::Contract, message };
        check_offsets(values.offsets, values.data.len())
            .map_err(|e| contract(format!("pseudonymize was given {e}")))?;
        let form = match form {
            Pseudonym::Short => Form::Short,
            Pseudonym::Email => Form::Email,
        };
        let mut result = StringsBuf { offsets: Vec::with_capacity(values.len() + 1), data: Vec::new() };
        result.offsets.push(0);
        for i in 0..values.len() {
            if i % PSEUDONYMS_PER_LOOK == 0 {
                self.check_progress(result.data.len())?;
            }
            let text = std::str::from_utf8(values.get(i))
                .map_err(|e| contract(format!("pseudonymize was given a value {i} that is not UTF-8: {e}")))?;
            if !text.trim().is_empty() {
                self.pepper.append(text, form, &mut result.data);
            }
            result.offsets.push(u32::try_from(result.data.len()).map_err(|e| contract(e.to_string()))?);
        }
        Ok(result)
    }

    fn check_progress(&self, output_bytes: usize) -> Result<(), Stopped> {
        if Instant::now() > self.deadline {
            let message = format!("ran longer than {} ms, in pseudonymize", self.limits.deadline_ms);
            return Err(Stopped { reason: FailureReason::Deadline, message });
        }
        if u64::try_from(output_bytes).is_ok_and(|bytes| bytes > self.limits.output_bytes) {
            let message = format!("asked for more than {} bytes of pseudonyms at once", self.limits.output_bytes);
            return Err(Stopped { reason: FailureReason::Output, message });
        }
        Ok(())
    }
}

/// Whether `offsets` delimit values within `bytes` bytes: at least one, ascending, the last within.
pub(crate) fn check_offsets(offsets: &[u32], bytes: usize) -> Result<(), String> {
    let Some(last) = offsets.last() else { return Err("no offsets at all".to_owned()) };
    if let Some(i) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
        return Err(format!("offsets that fall from {} to {} at value {i}", offsets[i], offsets[i + 1]));
    }
    if *last as usize > bytes {
        return Err(format!("offsets up to {last} into {bytes} bytes"));
    }
    Ok(())
}

pub(crate) fn shortened(message: &str) -> String {
    message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
}

/// Bounds what one plugin writes into the log, over all its instances.
#[derive(Debug, Default)]
pub(crate) struct LogGate(Mutex<Option<LogSecond>>);

#[derive(Clone, Copy, Debug)]
struct LogSecond {
    began: Instant,
    messages: u32,
    suppressed: u64,
}

#[derive(Debug, PartialEq)]
enum Admission {
    /// Written; so many were not since the last time this was said.
    Admitted {
        suppressed: u64,
    },
    Dropped,
}

impl LogGate {
    fn admit(&self, now: Instant) -> Admission {
        let mut gate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *gate {
            Some(second) if now.duration_since(second.began) < Duration::from_secs(1) => {
                if second.messages < MESSAGES_PER_SECOND_MAX {
                    second.messages += 1;
                    return Admission::Admitted { suppressed: 0 };
                }
                second.suppressed += 1;
                Admission::Dropped
            }
            over => {
                let suppressed = over.map_or(0, |second| second.suppressed);
                *over = Some(LogSecond { began: now, messages: 1, suppressed: 0 });
                Admission::Admitted { suppressed }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(limits: Limits) -> HostState {
        let mut state = HostState::new("p".into(), Pepper::new(b"pepper"), limits, Arc::default());
        state.begin_call();
        state
    }

    fn pseudonymize(offsets: &[u32], data: &[u8]) -> Result<Vec<String>, FailureReason> {
        let limits = Limits { deadline_ms: 60_000, ..Limits::default() };
        let values = strings::Strings { offsets, data };
        let out = state(limits).pseudonymize(values, Pseudonym::Short).map_err(|e| e.reason)?;
        let out = strings::Strings { offsets: &out.offsets, data: &out.data };
        Ok((0..out.len()).map(|i| String::from_utf8(out.get(i).to_vec()).unwrap()).collect())
    }

    #[test]
    fn pseudonyms_keep_empty_values_empty() {
        let short = Pepper::new(b"pepper").pseudo("c1", Form::Short);
        assert_eq!(pseudonymize(&[0, 2, 2, 4], b"c1  "), Ok(vec![short, String::new(), String::new()]));
        assert_eq!(pseudonymize(&[0], b""), Ok(vec![]));
    }

    #[test]
    fn hostile_offsets_are_a_breach_of_contract() {
        for (offsets, data) in [(&[][..], &b""[..]), (&[0, 3], b"ab"), (&[2, 1], b"ab"), (&[0, u32::MAX], b"ab")] {
            assert_eq!(pseudonymize(offsets, data), Err(FailureReason::Contract), "{offsets:?}");
        }
        assert_eq!(pseudonymize(&[0, 1], b"\xff"), Err(FailureReason::Contract));
    }

    #[test]
    fn pseudonyms_count_as_output() {
        let state = state(Limits { deadline_ms: 60_000, output_bytes: 1024, ..Limits::default() });
        let offsets: Vec<u32> = (0..=4096).collect();
        let values = strings::Strings { offsets: &offsets, data: &[b'x'; 4096] };
        assert_eq!(state.pseudonymize(values, Pseudonym::Email).unwrap_err().reason, FailureReason::Output);
    }

    #[test]
    fn the_log_gate_opens_again_each_second_and_says_what_it_dropped() {
        let (gate, start) = (LogGate::default(), Instant::now());
        for _ in 0..MESSAGES_PER_SECOND_MAX {
            assert_eq!(gate.admit(start), Admission::Admitted { suppressed: 0 });
        }
        assert_eq!(gate.admit(start), Admission::Dropped);
        assert_eq!(gate.admit(start + Duration::from_secs(1)), Admission::Admitted { suppressed: 1 });
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        assert_eq!(shortened(&"é".repeat(1000)).len(), MESSAGE_BYTES_MAX);
        assert_eq!(shortened(&format!("a{}", "é".repeat(1000))).len(), MESSAGE_BYTES_MAX - 1);
    }
}
