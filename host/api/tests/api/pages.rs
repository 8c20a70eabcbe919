//! Long lists: every one of them, page by page to its end.

use std::collections::HashSet;

use serde_json::Value;
use tamis_catalog::roles::Role;

use crate::home::Home;

/// Every list of the document with the names that its path needs.
fn path(template: &str) -> String {
    let path = template.strip_prefix("/api/v1").unwrap();
    let name = if path.starts_with("/lists") { "vip" } else { "card-testing" };
    path.replace("{name}", name)
}

/// The items of a list, so many at a time.
async fn items(home: &Home, token: &str, path: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut query) = (Vec::new(), format!("?limit={limit}"));
    loop {
        let page = home.get(&format!("{path}{query}")).token(token).send().await.is(200).json();
        let found = page["items"].as_array().unwrap().clone();
        assert!(found.len() <= limit, "{path}");
        items.extend(found);
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit={limit}&cursor={}", encoded(cursor)),
            None => return items,
        }
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn every_list_comes_in_pages() {
    let home = Home::populated().await;
    let token = home.token("ada", Role::Admin).await;
    let mut lists = 0;
    for operation in home.contract.operations() {
        if !operation.parameters("query").contains(&"cursor") {
            continue;
        }
        let path = path(operation.path);
        let all = items(&home, &token, &path, 500).await;
        assert!(all.len() > 1, "{path} is too short to show anything: {all:?}");
        for limit in [1, 2] {
            assert_eq!(items(&home, &token, &path, limit).await, all, "{path} by {limit}");
        }
        let distinct: HashSet<_> = all.iter().map(Value::to_string).collect();
        assert_eq!(distinct.len(), all.len(), "{path}");
        for query in ["?limit=0", "?limit=501", "?limit=many", "?limit=-1", "?unheard=of", "?limit=1&limit=2"] {
            home.get(&format!("{path}{query}")).token(&token).send().await.is(400);
        }
        lists += 1;
    }
    assert!(lists >= 14, "{lists}");
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused_or_leads_nowhere() {
    let home = Home::populated().await;
    let token = home.token("ada", Role::Admin).await;
    for operation in home.contract.operations() {
        if !operation.parameters("query").contains(&"cursor") {
            continue;
        }
        for cursor in ["x", "%00", "-1", "9223372036854775808", "0:1,0:1", &"9".repeat(513)] {
            let path = format!("{}?cursor={cursor}", path(operation.path));
            let answer = home.get(&path).token(&token).send().await;
            assert!(matches!(answer.status, 200 | 400), "{path}: {}", answer.status);
        }
    }
    for cursor in ["x", "1.5"] {
        home.get(&format!("/rules/card-testing/history?cursor={cursor}")).token(&token).send().await.is(400);
        home.get(&format!("/alerts?cursor={cursor}")).token(&token).send().await.is(400);
        home.get(&format!("/dead-letters?cursor={cursor}")).token(&token).send().await.is(400);
    }
}

#[tokio::test]
async fn filters_leave_out_what_does_not_fit() {
    let home = Home::populated().await;
    let token = home.token("ada", Role::Admin).await;
    let check = async |path: &str, count: usize| {
        let page = home.get(path).token(&token).send().await.is(200).json();
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{path}");
    };
    check("/alerts?rule=card-testing", 3).await;
    check("/alerts?severity=high", 3).await;
    check("/alerts?mode=shadow", 1).await;
    check("/alerts?rule=card-testing&mode=live&severity=critical", 1).await;
    check("/dead-letters?reason=trap", 3).await;
    check("/dead-letters?rule=gone", 1).await;
    check("/dead-letters?topic=orders", 0).await;
    check("/audit?subject=rob", 2).await;
    check("/audit?action=rule.activate", 1).await;
    check("/audit?object=vip", 3).await;
    home.get("/alerts?severity=mild").token(&token).send().await.is(400);
}
