//! Taking components in on a host that has its own troubles.

use tamis_catalog::PageQuery;
use tamis_catalog::plugins::{PluginState, PluginVersion};
use tamis_model::Kind;
use tamis_registry::upload::Wait;

use crate::components;
use crate::home::{Home, RULE, alice, by};

#[tokio::test]
async fn what_the_host_could_not_take_in_is_not_held_against_the_component() {
    for wait in [Wait::Built, Wait::Stored] {
        let home = Home::new().await;
        let component = components::rule(RULE, "1.0.0");
        let upload = async || home.registry.upload(component.clone(), wait, &by(&alice())).await;
        // Something stands where components belong.
        let folder = home.folder.path().join("components");
        std::fs::remove_dir(&folder).unwrap();
        std::fs::write(&folder, "").unwrap();
        let error = upload().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Outage, "{}", error.chain());
        let kept = kept(&home).await;
        assert_eq!(kept.state, PluginState::Error);
        let reason = kept.reason.unwrap();
        assert!(reason.starts_with("the host failed, upload it again: cannot store component"), "{reason}");

        std::fs::remove_file(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
        let mut taken = upload().await.unwrap();
        while taken.state == PluginState::Pending {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            taken = self::kept(&home).await;
        }
        assert_eq!((taken.state, taken.reason, taken.name.as_deref()), (PluginState::Ready, None, Some(RULE)));
    }
}

/// The one component that was uploaded.
async fn kept(home: &Home) -> PluginVersion {
    let audit = home.catalog().audit(&Default::default(), &PageQuery { cursor: None, limit: 1 }).await.unwrap();
    home.catalog().plugin_by_sha256(&audit.items[0].object).await.unwrap().unwrap()
}
