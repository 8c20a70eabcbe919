//! What a component exports.

/// Exports a [`RulePlugin`](crate::rule::RulePlugin) from a component; nothing elsewhere, so that crates of several plugins
/// can be linked into one test. `#[rule]` expands to it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_rule {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        mod component {
            use ::std::string::String;

            use super::$plugin;
            use $crate::rule::RulePlugin;

            ::std::thread_local! {
                static PLUGIN: ::std::cell::RefCell<Option<$plugin>> = const { ::std::cell::RefCell::new(None) };
            }

            fn with(call: impl FnOnce(&mut $plugin) -> Result<RuleOutcome, String>) -> Result<RuleOutcome, String> {
                PLUGIN.with_borrow_mut(|plugin| plugin.as_mut().map_or_else(|| Err("not configured".into()), call))
            }

            struct Component;

            impl Guest for Component {
                fn describe() -> String {
                    $plugin::manifest()
                }

                fn configure(config: String) -> Result<(), String> {
                    $crate::host::log_panics();
                    let configured = $plugin::configure(&config)?;
                    PLUGIN.set(Some(configured));
                    Ok(())
                }

                fn apply(rows: Keyed) -> Result<RuleOutcome, String> {
                    with(|plugin| plugin.apply(&rows))
                }

                fn advance(due: Keyed) -> Result<RuleOutcome, String> {
                    with(|plugin| plugin.advance(&due))
                }
            }

            $crate::world!(rule);
            export!(Component);
        }
    };
}
