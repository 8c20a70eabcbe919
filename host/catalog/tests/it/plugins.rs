//! Uploads: the same bytes are the same version, the same version is the same bytes.

use tamis_catalog::PageQuery;
use tamis_catalog::plugins::{Build, PluginState};
use tamis_model::Kind;

use crate::home::{FIRST, Home, PLUGIN, alice, bob, by, manifest, sha256};

fn ready(version: &str) -> Build {
    Build::Ready(Box::new(manifest(PLUGIN, version)))
}

fn refused(reason: &str) -> Build {
    Build::Error { identity: None, reason: reason.to_owned() }
}

#[tokio::test]
async fn an_upload_is_pending_until_it_is_built() {
    let home = Home::open().await;
    let sha256 = sha256("1.0.0");
    let pending = home.catalog.begin_upload(&sha256, 3, &by(&alice())).await.unwrap();
    assert_eq!((pending.state, pending.name, pending.size_bytes), (PluginState::Pending, None, 3));

    let built = home.catalog.finish_upload(&sha256, ready("1.0.0"), 1).await.unwrap();
    assert_eq!(
        (built.state, built.name.as_deref(), built.uploaded_by.as_str()),
        (PluginState::Ready, Some(PLUGIN), "alice")
    );
    assert_eq!(built.manifest, Some(manifest(PLUGIN, "1.0.0")));
    assert_eq!(home.catalog.plugin(PLUGIN, "1.0.0").await.unwrap(), Some(built.clone()));
    assert_eq!(home.catalog.plugin_by_sha256(&sha256).await.unwrap(), Some(built.clone()));

    // The same bytes again, by somebody else: the same version. A late result of another build changes nothing.
    assert_eq!(home.catalog.begin_upload(&sha256, 3, &by(&bob())).await.unwrap(), built);
    assert_eq!(home.catalog.finish_upload(&sha256, refused("late"), 2).await.unwrap(), built);
    let missing = home.catalog.finish_upload("ff", ready("1.0.0"), 2).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::Missing);
}

#[tokio::test]
async fn a_refused_upload_says_why_and_can_be_tried_again() {
    let home = Home::open().await;
    let sha256 = sha256("1.0.0");
    home.catalog.begin_upload(&sha256, 3, &by(&alice())).await.unwrap();
    let build =
        Build::Error { identity: Some((PLUGIN.to_owned(), "1.0.0".to_owned())), reason: "imports wasi".to_owned() };
    let built = home.catalog.finish_upload(&sha256, build, 1).await.unwrap();
    assert_eq!((built.state, built.reason.as_deref()), (PluginState::Error, Some("imports wasi")));
    assert_eq!(home.catalog.plugin(PLUGIN, "1.0.0").await.unwrap(), Some(built));

    let again = home.catalog.begin_upload(&sha256, 3, &by(&alice())).await.unwrap();
    assert_eq!((again.state, again.reason), (PluginState::Pending, None));
    home.catalog.close_dead_uploads(9).await.unwrap();
    let dead = home.catalog.plugin_by_sha256(&sha256).await.unwrap().unwrap();
    assert_eq!(dead.reason.as_deref(), Some("the host ended before it was built"));
    assert_eq!(dead.name.as_deref(), Some(PLUGIN));
    let audited = &home.catalog.audit(&Default::default(), &FIRST).await.unwrap().items[0];
    assert_eq!((&*audited.subject, audited.action.name(), &audited.object), ("system", "plugin.build", &sha256));
    // It was not dead after all.
    assert_eq!(home.catalog.finish_upload(&sha256, ready("1.0.0"), 2).await.unwrap().state, PluginState::Ready);
}

#[tokio::test]
async fn a_version_has_one_content() {
    let home = Home::open().await;
    home.upload("1.0.0").await;
    let other = "e".repeat(64);
    home.catalog.begin_upload(&other, 4, &by(&bob())).await.unwrap();
    let built = home.catalog.finish_upload(&other, ready("1.0.0"), 1).await.unwrap();
    assert_eq!(built.state, PluginState::Error);
    assert!(built.reason.unwrap().starts_with("card-testing 1.0.0 has other bytes already"));
    assert_eq!(home.catalog.plugin(PLUGIN, "1.0.0").await.unwrap().unwrap().sha256, sha256("1.0.0"));
}

#[tokio::test]
async fn plugins_are_listed_by_their_newest_version() {
    let home = Home::open().await;
    for version in ["1.0.0", "2.0.0", "1.0.1"] {
        home.upload(version).await;
    }
    for (sha256, name) in [("a", "broken"), ("b", PLUGIN)] {
        let sha256 = sha256.repeat(64);
        home.catalog.begin_upload(&sha256, 3, &by(&alice())).await.unwrap();
        let build =
            Build::Error { identity: Some((name.to_owned(), "9.0.0".to_owned())), reason: "it traps".to_owned() };
        home.catalog.finish_upload(&sha256, build, 1).await.unwrap();
    }
    let page = home.catalog.plugins(&PageQuery { limit: 1, ..FIRST }).await.unwrap();
    let rest = home.catalog.plugins(&PageQuery { cursor: page.next_cursor.as_deref(), ..FIRST }).await.unwrap();
    let listed = [page.items, rest.items].concat();
    let listed: Vec<_> =
        listed.iter().map(|plugin| (plugin.name.as_deref().unwrap(), plugin.version.as_deref().unwrap())).collect();
    assert_eq!(listed, [("broken", "9.0.0"), (PLUGIN, "1.0.1")], "what is ready counts, then what came last");
    assert_eq!(home.catalog.newest_plugin(PLUGIN).await.unwrap().unwrap().version.as_deref(), Some("1.0.1"));

    let page = home.catalog.plugin_versions(PLUGIN, &PageQuery { limit: 3, ..FIRST }).await.unwrap();
    let rest = PageQuery { cursor: page.next_cursor.as_deref(), ..FIRST };
    let rest = home.catalog.plugin_versions(PLUGIN, &rest).await.unwrap();
    let versions: Vec<_> =
        page.items.iter().chain(&rest.items).map(|plugin| plugin.version.as_deref().unwrap()).collect();
    assert_eq!(versions, ["9.0.0", "1.0.1", "2.0.0", "1.0.0"]);
    let unknown = PageQuery { cursor: Some("0000"), ..FIRST };
    assert_eq!(home.catalog.plugin_versions(PLUGIN, &unknown).await.unwrap_err().kind(), Kind::Invalid);
}

#[tokio::test]
async fn a_ready_version_never_changes() {
    let home = Home::open().await;
    home.upload("1.0.0").await;
    let error =
        sqlx::query("UPDATE plugin_versions SET version = '2.0.0'").execute(&home.database().await).await.unwrap_err();
    assert!(error.to_string().contains("a plugin version never changes"), "{error}");
}
