//! How a route comes into the router: with what it asks of whoever uses it, or not at all. The same words stand in the document.

use std::sync::Arc;
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem, Paths};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{OpenApi, Ref, RefOr};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::access::{self, Access, Gate};
use crate::app::App;
use crate::openapi::{SECURITY_SCHEME, problem_response};

/// How long a request may take.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// How long one may take that brings 64 MiB and waits for a compiler, or for a stream.
const SLOW_REQUEST_MAX: Duration = Duration::from_secs(120);

/// The routes so far. There is no other way to add one.
pub(crate) struct Routes {
    app: Arc<App>,
    router: OpenApiRouter<Arc<App>>,
}

/// A handler with what it says of itself.
pub(crate) type Route = UtoipaMethodRouter<Arc<App>>;

impl Routes {
    pub fn new(app: Arc<App>) -> Self {
        Self { app, router: OpenApiRouter::default() }
    }

    /// Adds a route.
    pub fn add(self, access: Access, route: Route) -> Self {
        self.with(access, REQUEST_MAX, route)
    }

    /// Adds a route that may take long.
    pub fn slow(self, access: Access, route: Route) -> Self {
        self.with(access, SLOW_REQUEST_MAX, route)
    }

    fn with(mut self, access: Access, time_max: Duration, (schemas, mut paths, methods): Route) -> Self {
        for operation in operations(&mut paths) {
            declare(operation, &access);
        }
        let gate = Gate { app: Arc::clone(&self.app), access, time_max };
        let methods = methods.route_layer(from_fn_with_state(gate, access::check));
        self.router = self.router.routes((schemas, paths, methods));
        self
    }

    /// These routes under a prefix, and those of `open` beside them.
    pub fn nested(self, prefix: &str, beside: Self) -> (axum::Router, OpenApi) {
        let (router, document) = beside.router.nest(prefix, self.router).split_for_parts();
        (router.with_state(self.app), document)
    }
}

fn operations(paths: &mut Paths) -> impl Iterator<Item = &mut Operation> {
    paths.paths.values_mut().flat_map(|item: &mut PathItem| {
        [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
    })
}

/// Says what every operation of its shape asks and may answer.
fn declare(operation: &mut Operation, access: &Access) {
    let scopes = access.permissions().iter();
    // One of several is enough: each is a requirement of its own.
    operation.security = Some(scopes.map(|scope| SecurityRequirement::new(SECURITY_SCHEME, [scope.name()])).collect());
    let has = |place: ParameterIn| {
        let parameters = operation.parameters.iter().flatten();
        let mut places = parameters.filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(&parameter.parameter_in),
            RefOr::Ref(_) => None,
        });
        places.any(|found| *found == place)
    };
    let reads_names = has(ParameterIn::Path);
    let reads_options = has(ParameterIn::Query) || has(ParameterIn::Header);
    let reads_body = operation.request_body.is_some();
    let problems = [
        (400, reads_options || reads_body || reads_names),
        (401, !matches!(access, Access::Open)),
        (403, !matches!(access, Access::Open)),
        (404, reads_names),
        (413, reads_body),
        (415, reads_body),
        (422, reads_body),
        (500, true),
        (503, true),
    ];
    for (status, _) in problems.into_iter().filter(|(_, can_be)| *can_be) {
        let response = || RefOr::Ref(Ref::from_response_name(problem_response(status)));
        operation.responses.responses.entry(status.to_string()).or_insert_with(response);
    }
}
