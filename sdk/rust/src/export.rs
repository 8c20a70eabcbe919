//! What a component exports: nothing but calls of the plugin that was configured last. Elsewhere the macros expand to nothing, so
//! that crates of several plugins can be linked into one test.

/// Exports a [`RulePlugin`](crate::rule::RulePlugin) from a component. `#[rule]` expands to it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_rule {
    ($plugin:ident) => {
        $crate::export_plugin!(rule, $plugin, $crate::rule::RulePlugin, {
            fn describe() -> String {
                with(|plugin| Ok(plugin.describe())).unwrap_or_else(|_| $plugin::manifest())
            }

            fn apply(rows: Keyed) -> Result<RuleOutcome, String> {
                with(|plugin| plugin.apply(&rows))
            }

            fn advance(due: Keyed) -> Result<RuleOutcome, String> {
                with(|plugin| plugin.advance(&due))
            }

            fn migrate(states: Strings, from_version: u32) -> Result<Strings, String> {
                with(|plugin| plugin.migrate(&states, from_version))
            }
        });
    };
}

/// Exports a [`TransformPlugin`](crate::transform::TransformPlugin) from a component. `#[transform]` expands to it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_transform {
    ($plugin:ident) => {
        $crate::export_plugin!(transform, $plugin, $crate::transform::TransformPlugin, {
            fn describe() -> String {
                $plugin::manifest()
            }

            fn apply(rows: Batch) -> Result<TransformOutcome, String> {
                with(|plugin| plugin.apply(rows))
            }
        });
    };
}

/// Exports a [`CheckPlugin`](crate::check::CheckPlugin) from a component. `#[check]` expands to it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_check {
    ($plugin:ident) => {
        $crate::export_plugin!(check, $plugin, $crate::check::CheckPlugin, {
            fn describe() -> String {
                $plugin::manifest()
            }

            fn observe(rows: Batch, state: Vec<u8>) -> Result<Vec<u8>, String> {
                with(|plugin| plugin.observe(&rows, &state))
            }

            fn finish(state: Vec<u8>) -> Result<Vec<CheckResult>, String> {
                with(|plugin| plugin.finish(&state))
            }
        });
    };
}

/// What the exports of all worlds have in common.
#[doc(hidden)]
#[macro_export]
macro_rules! export_plugin {
    ($world:ident, $plugin:ident, $implements:path, { $($functions:tt)* }) => {
        #[cfg(target_arch = "wasm32")]
        mod component {
            use $implements as _;

            use super::$plugin;

            ::std::thread_local! {
                static PLUGIN: ::std::cell::RefCell<Option<$plugin>> = const { ::std::cell::RefCell::new(None) };
            }

            fn with<T>(call: impl FnOnce(&mut $plugin) -> Result<T, String>) -> Result<T, String> {
                PLUGIN.with_borrow_mut(|plugin| plugin.as_mut().map_or_else(|| Err("not configured".into()), call))
            }

            struct Component;

            impl Guest for Component {
                fn configure(config: String) -> Result<(), String> {
                    $crate::host::log_panics();
                    let configured = $plugin::configure(&config)?;
                    PLUGIN.set(Some(configured));
                    Ok(())
                }

                $($functions)*
            }

            $crate::world!($world);
            export!(Component);
        }
    };
}
