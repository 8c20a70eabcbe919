//! Two people at once: who changes something says what they have seen of it.

use futures::future::join_all;
use serde_json::json;
use tamis_catalog::roles::Role;

use crate::home::Home;

#[tokio::test]
async fn of_those_who_saw_the_same_only_one_changes_it() {
    let home = Home::populated().await;
    let token = home.token("alice", Role::Analyst).await;
    for (path, method) in [("/rules/card-testing", "PATCH"), ("/lists/vip", "PUT")] {
        let tag = home.get(path).token(&token).send().await.is(200).etag().to_owned();
        let change = |n: u32| {
            let body = if method == "PUT" {
                json!({"values": [format!("value {n}")]})
            } else {
                json!({"mode": "disabled", "why": format!("reason {n}")})
            };
            home.request(method, path).token(&token).if_match(&tag).json(body).send()
        };
        let mut statuses: Vec<_> = join_all((0..8).map(change)).await.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412], "{path}");
        let after = home.get(path).token(&token).send().await;
        assert_ne!(after.etag(), tag, "{path}");
    }
}

#[tokio::test]
async fn a_change_says_what_it_is_based_on() {
    let home = Home::populated().await;
    let token = home.token("alice", Role::Admin).await;
    let vip = home.get("/lists/vip").token(&token).send().await.is(200).etag().to_owned();
    let rule = home.get("/rules/third").token(&token).send().await.is(200).etag().to_owned();
    let check = async |method: &str, path: &str, headers: &[(&str, &str)], status: u16| {
        let body = match (method, path) {
            ("PUT", _) => json!({"values": ["x", "y"]}),
            ("PATCH", _) => json!({"mode": "shadow", "version": 1}),
            _ => json!({"why": "because"}),
        };
        let request = home.request(method, path).token(&token).json(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
        request.send().await.is(status);
    };
    check("PATCH", "/rules/third", &[], 428).await;
    check("PATCH", "/rules/third", &[("if-match", "\"99\"")], 412).await;
    check("PATCH", "/rules/third", &[("if-match", "\"other\"")], 412).await;
    check("PATCH", "/rules/third", &[("if-match", &format!("W/{rule}"))], 412).await;
    check("PATCH", "/rules/third", &[("if-match", "1")], 400).await;
    check("PATCH", "/rules/third", &[("if-match", &format!("\"99\", {rule}"))], 200).await;
    check("POST", "/rules/third/versions/1/submit", &[("if-match", &rule)], 412).await;
    check("POST", "/rules/third/versions/1/submit", &[("if-match", "*")], 200).await;
    check("POST", "/rules/third/rollback", &[("if-match", &rule)], 412).await;
    check("POST", "/rules/third/rollback", &[], 428).await;

    check("PUT", "/lists/vip", &[], 428).await;
    check("PUT", "/lists/vip", &[("if-none-match", "*")], 412).await;
    check("PUT", "/lists/vip", &[("if-none-match", &vip)], 400).await;
    check("PUT", "/lists/vip", &[("if-match", &vip), ("if-none-match", "*")], 400).await;
    check("PUT", "/lists/vip", &[("if-match", &vip)], 200).await;
    check("PUT", "/lists/vip", &[("if-match", &vip)], 412).await;
    check("PUT", "/lists/fresh", &[("if-match", "*")], 412).await;
    check("PUT", "/lists/fresh", &[("if-none-match", "*")], 201).await;
}
