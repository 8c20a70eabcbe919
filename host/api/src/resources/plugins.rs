//! Plugins: what was uploaded, what it says of itself, or why it was refused.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tamis_catalog::plugins::{PluginState, PluginVersion};
use tamis_catalog::roles::Permission;
use tamis_catalog::{Action, Page};
use tamis_model::time::rfc3339_millis;
use tamis_registry::upload::Wait;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::location;
use crate::access::{Access, Caller};
use crate::app::{self, found};
use crate::extract::{Everything, Listing, Options, PageParams, Path, expect_media_type, read_body};
use crate::problem::{Problem, ProblemKind};
use crate::routes::Routes;

/// Bytes of a component at most.
pub(crate) const COMPONENT_BYTES_MAX: usize = 64 << 20;
const MEDIA_TYPE: &str = "application/wasm";

pub(super) fn routes(routes: Routes) -> Routes {
    let read = Access::Read(Permission::Read);
    routes
        .add(read, routes!(list_plugins))
        .add(read, routes!(list_plugin_versions))
        .add(read, routes!(get_plugin_version))
        .add(read, routes!(get_component))
        .slow(Access::Write(Permission::PluginsWrite, Action::PluginUpload), routes!(upload_plugin))
}

/// A version of a plugin without its manifest.
#[derive(Serialize, ToSchema)]
struct PluginSummary {
    /// SHA-256 of its bytes, hex.
    sha256: String,
    /// Its name.
    #[schema(example = "card-testing")]
    name: Option<String>,
    /// Its version.
    #[schema(example = "1.0.0")]
    version: Option<String>,
    /// What it is called, once it is ready.
    title: Option<String>,
    /// How it stands.
    state: PluginState,
    /// Why it was refused.
    reason: Option<String>,
    /// Its length in bytes.
    size_bytes: u64,
    /// Who uploaded it.
    uploaded_by: String,
    /// RFC 3339.
    uploaded_at: String,
}

impl From<PluginVersion> for PluginSummary {
    fn from(plugin: PluginVersion) -> Self {
        Self {
            sha256: plugin.sha256,
            name: plugin.name,
            version: plugin.version,
            title: plugin.manifest.map(|manifest| manifest.title),
            state: plugin.state,
            reason: plugin.reason,
            size_bytes: plugin.size_bytes,
            uploaded_by: plugin.uploaded_by,
            uploaded_at: plugin.uploaded_at,
        }
    }
}

fn summaries(page: Page<PluginVersion>) -> Json<Page<PluginSummary>> {
    let items = page.items.into_iter().map(PluginSummary::from).collect();
    Json(Page { items, next_cursor: page.next_cursor })
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct PluginPath {
    /// The plugin's name.
    name: String,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct VersionPath {
    /// The plugin's name.
    name: String,
    /// Its version.
    #[param(example = "1.0.0")]
    version: String,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct ComponentPath {
    /// SHA-256 of the bytes, hex.
    sha256: String,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct UploadOptions {
    /// Whether to wait until the component is ready or refused.
    #[param(value_type = Option<bool>, default = true)]
    wait: Option<Flag>,
}

/// `true` or `false` in a query.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Flag {
    True,
    False,
}

/// The plugins by name, of each the version that was uploaded last and is ready.
#[utoipa::path(
    get, path = "/plugins", tag = "plugins", params(PageParams),
    responses((status = 200, description = "A page of plugins.", body = Page<PluginSummary>)),
)]
async fn list_plugins(
    State(app): app::State,
    listing: Listing<Everything>,
) -> Result<Json<Page<PluginSummary>>, Problem> {
    app.catalog().plugins(&listing.page()).await.map(summaries).map_err(Problem::of_query)
}

/// The versions of a plugin, refused ones included, newest first.
#[utoipa::path(
    get, path = "/plugins/{name}", tag = "plugins", params(PluginPath, PageParams),
    responses((status = 200, description = "A page of versions.", body = Page<PluginSummary>)),
)]
async fn list_plugin_versions(
    State(app): app::State,
    Path(PluginPath { name }): Path<PluginPath>,
    listing: Listing<Everything>,
) -> Result<Json<Page<PluginSummary>>, Problem> {
    found(app.catalog().newest_plugin(&name).await?, || format!("there is no plugin {name:?}"))?;
    app.catalog().plugin_versions(&name, &listing.page()).await.map(summaries).map_err(Problem::of_query)
}

/// A version of a plugin with its manifest, in which the schema of its configuration stands.
#[utoipa::path(
    get, path = "/plugins/{name}/versions/{version}", tag = "plugins", params(VersionPath),
    responses((status = 200, description = "The version.", body = PluginVersion)),
)]
async fn get_plugin_version(
    State(app): app::State,
    Path(VersionPath { name, version }): Path<VersionPath>,
) -> Result<Json<PluginVersion>, Problem> {
    let plugin = app.catalog().plugin(&name, &version).await?;
    found(plugin, || format!("there is no version {version:?} of a plugin {name:?}")).map(Json)
}

/// What became of uploaded bytes, whatever plugin they are of.
#[utoipa::path(
    get, path = "/components/{sha256}", tag = "plugins", params(ComponentPath),
    responses((status = 200, description = "The version that they are.", body = PluginVersion)),
)]
async fn get_component(
    State(app): app::State,
    Path(ComponentPath { sha256 }): Path<ComponentPath>,
) -> Result<Json<PluginVersion>, Problem> {
    let plugin = app.catalog().plugin_by_sha256(&sha256).await?;
    found(plugin, || format!("nobody uploaded the bytes of {sha256:?}")).map(Json)
}

/// Takes a component in.
///
/// The same bytes are the same version, however often they come.
#[utoipa::path(
    post, path = "/plugins", tag = "plugins", params(UploadOptions),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The component, at most 64 MiB."),
    responses(
        (status = 200, description = "It is ready; these bytes were uploaded before.", body = PluginVersion),
        (status = 201, description = "It is ready.", body = PluginVersion, headers(("Location" = String))),
        (status = 202, description = "It is stored, and being built.", body = PluginVersion, headers(("Location" = String))),
    ),
)]
async fn upload_plugin(
    State(app): app::State,
    caller: Caller,
    Options(options): Options<UploadOptions>,
    request: Request,
) -> Result<Response, Problem> {
    expect_media_type(request.headers(), MEDIA_TYPE)?;
    let busy = |_| Problem::unavailable("many components are being taken in");
    let _permit = app.uploads.try_acquire().map_err(busy)?;
    let bytes = read_body(request, COMPONENT_BYTES_MAX).await?;
    let wait = if options.wait == Some(Flag::False) { Wait::Stored } else { Wait::Built };
    let change = caller.change(&app, None);
    let plugin = app.registry().upload(bytes.into(), wait, &change).await?;
    let is_new = plugin.uploaded_at == rfc3339_millis(change.at);
    match (plugin.state, &plugin.reason) {
        (PluginState::Error, reason) => {
            Err(Problem::new(ProblemKind::Plugin, reason.as_deref().unwrap_or("the component is refused")))
        }
        (PluginState::Pending, _) => {
            let location = location(format_args!("/components/{}", plugin.sha256));
            Ok((StatusCode::ACCEPTED, location, Json(plugin)).into_response())
        }
        (PluginState::Ready, _) if is_new => {
            let (name, version) = (plugin.name.as_deref(), plugin.version.as_deref());
            let (name, version) = (name.unwrap_or_default(), version.unwrap_or_default());
            let location = location(format_args!("/plugins/{name}/versions/{version}"));
            Ok((StatusCode::CREATED, location, Json(plugin)).into_response())
        }
        (PluginState::Ready, _) => Ok(Json(plugin).into_response()),
    }
}
