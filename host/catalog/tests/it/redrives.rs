//! Dead letters that are sent through again, so often and no more.

use tamis_catalog::dead_letter_redrives::{Claim, LetterId, REDRIVE_LETTERS_MAX, RedriveOutcome};
use tamis_model::Kind;

use crate::home::{FIRST, Home, alice, by};

fn letter(offset: i64, rule: &str) -> LetterId {
    LetterId { topic: "payments".to_owned(), partition: 2, offset, rule: rule.to_owned() }
}

#[tokio::test]
async fn a_letter_has_so_many_attempts() {
    let home = Home::open().await;
    let (of_rule, undecoded) = (letter(7, "card-testing"), letter(7, ""));
    let claim = async |letters: &[LetterId]| home.catalog.claim_redrives(letters, 2, &by(&alice())).await.unwrap();
    assert_eq!(claim(&[of_rule.clone(), undecoded.clone()]).await, [Claim::Attempt(1), Claim::Attempt(1)]);
    home.catalog.finish_redrive(&of_rule, RedriveOutcome::Failed, 9).await.unwrap();
    assert_eq!(home.catalog.redrive(&of_rule).await.unwrap().unwrap().outcome, RedriveOutcome::Failed);
    assert_eq!(claim(std::slice::from_ref(&of_rule)).await, [Claim::Attempt(2)]);
    assert_eq!(claim(&[undecoded.clone(), of_rule.clone()]).await, [Claim::Attempt(2), Claim::Exhausted]);

    let known = home.catalog.redrive(&undecoded).await.unwrap().unwrap();
    assert_eq!((known.letter, known.attempts, known.outcome), (undecoded, 2, RedriveOutcome::Pending));
    assert_eq!(home.catalog.redrive(&letter(8, "")).await.unwrap(), None);
    let audited = &home.catalog.audit(&Default::default(), &FIRST).await.unwrap().items[0];
    assert_eq!(audited.action.name(), "dead_letters.redrive");
    assert_eq!(audited.after, Some(serde_json::json!({"sent": ["payments/2/7"], "exhausted": 1})));
}

#[tokio::test]
async fn a_redrive_is_bounded() {
    let home = Home::open().await;
    let letters: Vec<_> = (0..=REDRIVE_LETTERS_MAX as i64).map(|offset| letter(offset, "")).collect();
    let error = home.catalog.claim_redrives(&letters, 2, &by(&alice())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let claims = home.catalog.claim_redrives(&letters[1..], 2, &by(&alice())).await.unwrap();
    assert_eq!(claims, vec![Claim::Attempt(1); REDRIVE_LETTERS_MAX]);
}
