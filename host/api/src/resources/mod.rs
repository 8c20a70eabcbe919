//! The resources: one module each, with its routes, what it takes and what it gives.

mod alerts;
mod audit;
mod backtests;
mod dead_letters;
mod decisions;
mod events;
mod health;
mod lists;
mod me;
mod metrics;
mod operational_alerts;
mod plugins;
mod redrive;
mod rules;
mod runs;
mod tokens;
mod topics;

use crate::routes::Routes;

pub use dead_letters::id as letter_id;
pub(crate) use events::Closing;
pub(crate) use health::healthz;

/// All routes below the prefix.
pub(crate) fn all(routes: Routes) -> Routes {
    let modules = [
        health::document_routes,
        me::routes,
        plugins::routes,
        rules::routes,
        lists::routes,
        topics::routes,
        runs::routes,
        alerts::routes,
        operational_alerts::routes,
        dead_letters::routes,
        redrive::routes,
        decisions::routes,
        backtests::routes,
        tokens::routes,
        audit::routes,
        events::routes,
    ];
    modules.into_iter().fold(routes, |routes, add| add(routes))
}

/// The routes that whatever watches the host knows without asking.
pub(crate) fn beside(routes: Routes) -> Routes {
    metrics::routes(health::routes(routes))
}

/// Where something is below the prefix.
fn location(path: std::fmt::Arguments<'_>) -> [(axum::http::HeaderName, String); 1] {
    [(axum::http::header::LOCATION, format!("{}{path}", crate::PREFIX))]
}
