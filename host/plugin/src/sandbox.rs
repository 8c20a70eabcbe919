//! The engine: one for the host, with the pool that all instances come from.

use std::path::PathBuf;
use std::sync::Arc;

use tamis_model::Result;
use tamis_model::error::Context;
use tamis_model::manifest::Limits;
use tamis_model::pseudonym::Pepper;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::cache::Cache;
use crate::host::{self, HostState};
use crate::load;
use crate::plugin::Plugin;
use crate::schema::Schema;
use crate::ticker::Ticker;

/// Core instances of one component: JavaScript and Python guests are linked from many modules.
const CORE_INSTANCES_MAX: u32 = 40;
/// Linear memories of one component.
const MEMORIES_MAX: u32 = 2;
/// Tables of one component.
const TABLES_MAX: u32 = 8;
/// Elements of one table.
const TABLE_ELEMENTS_MAX: usize = 20_000;
/// What stays resident of an instance's memory for the next one, so that a fresh instance costs no page faults.
const KEEP_RESIDENT_BYTES: usize = 2 << 20;
/// The stack of a guest; more than this is a stack overflow, a trap.
const STACK_BYTES_MAX: usize = 512 << 10;

/// What a sandbox allows.
#[derive(Clone, Debug)]
pub struct SandboxSettings {
    /// Where compiled components are kept; none = every load compiles.
    pub cache_dir: Option<PathBuf>,
    /// The key of pseudonyms, and of the seals of cached files.
    pub pepper: Pepper,
    /// How many instances may live at once; with `limits_max.memory_bytes` the bound of all guests' memory.
    pub instances_max: u32,
    /// The host's upper bounds of what a manifest may ask for.
    pub limits_max: Limits,
    /// How large a component may be, in bytes.
    pub component_bytes_max: usize,
}

impl SandboxSettings {
    /// 2048 instances of at most 256 MiB, 10 s a call, components of at most 64 MiB, no cache.
    pub fn new(pepper: Pepper) -> Self {
        Self {
            cache_dir: None,
            pepper,
            instances_max: 2048,
            limits_max: Limits { deadline_ms: 10_000, memory_bytes: 256 << 20, output_bytes: 256 << 20 },
            component_bytes_max: 64 << 20,
        }
    }
}

/// The engine, its pool of instances, and what every plugin may import.
pub struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<HostState>,
    pub(crate) settings: SandboxSettings,
    pub(crate) cache: Cache,
    pub(crate) manifest_schema: Schema,
    _ticker: Ticker,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Reserves the pool and starts the clock of deadlines.
    pub fn new(settings: SandboxSettings) -> Result<Arc<Self>> {
        let engine = Engine::new(&config(&settings)?).invalid("set up", "the Wasm engine")?;
        let linker = host::linker(&engine)?;
        let cache = Cache::new(&engine, settings.cache_dir.clone(), settings.pepper.clone())?;
        let manifest_schema = Schema::of_manifests()?;
        let ticker = Ticker::start(&engine)?;
        Ok(Arc::new(Self { engine, linker, settings, cache, manifest_schema, _ticker: ticker }))
    }

    /// Makes a plugin of a component's bytes, or says why it refuses them. Compiles unless the cache knows it.
    pub fn load(self: &Arc<Self>, bytes: &[u8]) -> Result<Arc<Plugin>> {
        load::load(self, bytes)
    }
}

/// The settings that the prototype found to matter (design 3).
fn config(settings: &SandboxSettings) -> Result<Config> {
    let memory_bytes_max =
        usize::try_from(settings.limits_max.memory_bytes).invalid("set up", "the limit of a plugin's memory")?;
    let instances = settings.instances_max;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(instances.saturating_mul(MEMORIES_MAX))
        .total_tables(instances.saturating_mul(TABLES_MAX))
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_memory_size(memory_bytes_max)
        .max_unused_warm_slots(instances)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    // The default reservation of 4 GiB of address space a memory stays: it spares every bounds check.
    config
        .cranelift_opt_level(OptLevel::Speed)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(config)
}
