//! One instance of a plugin: its store, its exports, and why a call failed.
//!
//! A failed call leaves an instance in an unknown state (a trap kills its whole store), so it is thrown away and
//! the next call makes a new one: about 30 µs from the pool.

use std::marker::PhantomData;
use std::sync::Arc;

use tamis_model::manifest::Limits;
use tamis_model::rule::FailureReason;
use tamis_model::{Error, Kind, Result};
use wasmtime::component::{ComponentNamedList, Func, Instance, InstancePre, Lift, Lower, TypedFunc};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

use crate::host::{HostState, LogGate, Stopped, shortened};
use crate::plugin::Plugin;
use crate::sandbox::Sandbox;
use crate::ticker;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub reason: FailureReason,
    pub message: String,
}

impl Failure {
    /// It returned what it must not.
    pub fn contract(message: impl Into<String>) -> Self {
        Self { reason: FailureReason::Contract, message: message.into() }
    }

    /// For what cannot go on without the call.
    pub fn into_error(self, operation: &'static str, object: impl std::fmt::Display) -> Error {
        Error::new(Kind::Plugin, operation, object).because(format!("{}: {}", self.reason.name(), self.message))
    }
}

/// The signature of an export that returns `result<ok, string>`.
pub(crate) trait Signature {
    /// Its name in the world.
    const NAME: &'static str;
    /// What goes in.
    type Params<'a>: ComponentNamedList + Lower;
    /// What comes out.
    type Ok: Lift + 'static;
}

/// `configure: func(config: string) -> result<_, string>`, which every world has.
pub(crate) struct Configure;

impl Signature for Configure {
    const NAME: &'static str = "configure";
    type Params<'a> = (&'a str,);
    type Ok = ();
}

/// An export whose types were compared with `S`: once for each instance, not in each call.
pub(crate) struct Export<S> {
    func: Func,
    signature: PhantomData<fn() -> S>,
}

impl<S> Clone for Export<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Export<S> {}

impl<S: Signature> Export<S> {
    pub fn bind(instance: &Instance, store: &mut Store<HostState>) -> wasmtime::Result<Self> {
        let typed: TypedFunc<S::Params<'static>, (Result<S::Ok, String>,)> =
            instance.get_typed_func(&mut *store, S::NAME)?;
        Ok(Self { func: *typed.func(), signature: PhantomData })
    }

    fn call(self, store: &mut Store<HostState>, params: S::Params<'_>) -> wasmtime::Result<Result<S::Ok, String>> {
        // SAFETY: `bind` compared the function with this signature; lifetimes are no part of a component's types.
        let typed = unsafe { TypedFunc::<S::Params<'_>, (Result<S::Ok, String>,)>::new_unchecked(self.func) };
        typed.call(store, params).map(|(result,)| result)
    }
}

/// The exports of a world.
pub(crate) trait Exports: Sized + Send {
    /// Finds them; an export that is absent or has other types is an error.
    fn bind(instance: &Instance, store: &mut Store<HostState>) -> wasmtime::Result<Self>;
    /// Every world has it.
    fn configure(&self) -> Export<Configure>;
}

/// A component that can be instantiated, and within which limits.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub sandbox: Arc<Sandbox>,
    pub pre: InstancePre<HostState>,
    pub name: Arc<str>,
    pub limits: Limits,
    pub log: Arc<LogGate>,
}

impl Prepared {
    fn store(&self) -> Store<HostState> {
        let state =
            HostState::new(self.name.clone(), self.sandbox.settings.pepper.clone(), self.limits, self.log.clone());
        let mut store = Store::new(&self.sandbox.engine, state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(usize::try_from(self.limits.output_bytes).unwrap_or(usize::MAX));
        store
    }

    fn begin_call(&self, store: &mut Store<HostState>) {
        store.data_mut().begin_call();
        store.set_epoch_deadline(ticker::ticks(self.limits.deadline_ms));
    }

    fn instantiate(&self, store: &mut Store<HostState>) -> Result<Result<Instance, Failure>> {
        self.begin_call(store);
        match self.pre.instantiate(&mut *store) {
            Ok(instance) => Ok(Ok(instance)),
            Err(error) if error.is::<PoolConcurrencyLimitError>() => {
                Err(Error::new(Kind::Outage, "instantiate", &self.name).because(error.to_string()))
            }
            Err(error) => Ok(Err(self.failure(&error, store))),
        }
    }

    /// What the component says of itself, before it is configured or when it is.
    pub fn describe(&self, config: Option<&str>) -> Result<Result<String, Failure>> {
        let mut store = self.store();
        let instance = match self.instantiate(&mut store)? {
            Ok(instance) => instance,
            Err(failure) => return Ok(Err(failure)),
        };
        if let Some(config) = config {
            let configure = match Export::<Configure>::bind(&instance, &mut store) {
                Ok(configure) => configure,
                Err(error) => return Ok(Err(Failure::contract(format!("{error:#}")))),
            };
            let mut live = Live { store, exports: configure };
            if let Err(failure) = self.call(&mut live, |configure| *configure, (config,)) {
                return Ok(Err(failure));
            }
            store = live.store;
        }
        self.begin_call(&mut store);
        let described = instance
            .get_typed_func::<(), (String,)>(&mut store, "describe")
            .and_then(|describe| describe.call(&mut store, ()));
        Ok(described.map(|(json,)| json).map_err(|error| self.failure(&error, &mut store)))
    }

    /// A configured instance.
    pub fn start<E: Exports>(&self, config: &str) -> Result<Result<Live<E>, Failure>> {
        let mut store = self.store();
        let instance = match self.instantiate(&mut store)? {
            Ok(instance) => instance,
            Err(failure) => return Ok(Err(failure)),
        };
        let exports = match E::bind(&instance, &mut store) {
            Ok(exports) => exports,
            Err(error) => return Ok(Err(Failure::contract(format!("{error:#}")))),
        };
        let mut live = Live { store, exports };
        Ok(self.call(&mut live, E::configure, (config,)).map(|()| live))
    }

    fn call<E, S: Signature>(
        &self,
        live: &mut Live<E>,
        export: impl FnOnce(&E) -> Export<S>,
        params: S::Params<'_>,
    ) -> Result<S::Ok, Failure> {
        self.begin_call(&mut live.store);
        match export(&live.exports).call(&mut live.store, params) {
            Ok(Ok(ok)) => Ok(ok),
            // It is told of each row that it is about.
            Ok(Err(message)) => Err(Failure { reason: FailureReason::Refused, message: shortened(&message) }),
            Err(error) => Err(self.failure(&error, &mut live.store)),
        }
    }

    /// Sorts an error of wasmtime by its cause.
    fn failure(&self, error: &wasmtime::Error, store: &mut Store<HostState>) -> Failure {
        let said = store.data_mut().take_last_error();
        if let Some(stopped) = error.downcast_ref::<Stopped>() {
            return Failure { reason: stopped.reason, message: stopped.message.clone() };
        }
        let cause = error.root_cause().to_string();
        let (reason, mut message) = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => {
                (FailureReason::Deadline, format!("ran longer than {} ms", self.limits.deadline_ms))
            }
            Some(_) => (FailureReason::Trap, cause),
            // wasmtime does not export the type of this error; a test of a guest with huge output guards the text.
            None if cause.contains("fuel allocated for hostcalls") => {
                (FailureReason::Output, format!("returned more than {} bytes", self.limits.output_bytes))
            }
            None => (FailureReason::Contract, cause),
        };
        if let Some(said) = said {
            message.push_str("; it said: ");
            message.push_str(&said);
        }
        Failure { reason, message }
    }
}

/// A live, configured instance.
pub(crate) struct Live<E> {
    store: Store<HostState>,
    exports: E,
}

/// A plugin put to work with a configuration: one instance, reused from call to call, replaced after a failure.
pub(crate) struct Guest<E> {
    plugin: Arc<Plugin>,
    config: String,
    live: Option<Live<E>>,
}

impl<E: Exports> Guest<E> {
    /// Instantiates and configures.
    pub fn new(plugin: &Arc<Plugin>, config: &str) -> Result<Self> {
        let live = start(plugin, config)?;
        Ok(Self { plugin: plugin.clone(), config: config.to_owned(), live: Some(live) })
    }

    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Takes a new configuration; when the plugin refuses it, the old one goes on.
    pub fn configure(&mut self, config: &str) -> Result<()> {
        self.live = Some(start(&self.plugin, config)?);
        config.clone_into(&mut self.config);
        Ok(())
    }

    /// Calls an export; the outer error means that no instance could be had.
    pub fn call<S: Signature>(
        &mut self,
        export: impl FnOnce(&E) -> Export<S>,
        params: S::Params<'_>,
    ) -> Result<Result<S::Ok, Failure>> {
        let mut live = match self.live.take() {
            Some(live) => live,
            // A configuration that it took before; that it fails on it now is a failure of this call.
            None => match self.plugin.prepared().start(&self.config)? {
                Ok(live) => live,
                Err(failure) => return Ok(Err(failure)),
            },
        };
        let result = self.plugin.prepared().call(&mut live, export, params);
        if result.is_ok() {
            self.live = Some(live);
        }
        Ok(result)
    }

    /// Throws the instance away: what it returned was a breach of contract.
    pub fn discard(&mut self) {
        self.live = None;
    }
}

fn start<E: Exports>(plugin: &Plugin, config: &str) -> Result<Live<E>> {
    plugin.check_config(config)?;
    plugin.prepared().start(config)?.map_err(|failure| failure.into_error("configure plugin", plugin))
}
