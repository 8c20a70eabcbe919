//! Dead letters that are sent through again, so often and no more.

use tamis_catalog::Change;
use tamis_catalog::dead_letter_redrives::{
    Attempt, AttemptEnd, Claim, LetterId, REDRIVE_ANSWER_MAX, REDRIVE_LETTERS_MAX, RedriveOutcome,
};
use tamis_model::Kind;
use tamis_model::time::Millis;

use crate::home::{FIRST, Home, alice, by};

fn letter(offset: i64, rule: &str) -> LetterId {
    LetterId { topic: "payments".to_owned(), partition: 2, offset, rule: rule.to_owned() }
}

async fn claim(home: &Home, letters: &[&LetterId], at: Millis) -> Vec<Claim> {
    let letters: Vec<_> = letters.iter().map(|letter| (*letter).clone()).collect();
    home.catalog.claim_redrives(&letters, 2, &Change { at, ..by(&alice()) }).await.unwrap()
}

async fn finish(home: &Home, letter: &LetterId, number: u32, end: AttemptEnd) {
    let attempt = Attempt { letter: letter.clone(), number };
    home.catalog.finish_redrives(&[(attempt, end)], 9).await.unwrap();
}

#[tokio::test]
async fn a_letter_has_so_many_attempts() {
    let home = Home::open().await;
    let (of_rule, undecoded) = (letter(7, "card-testing"), letter(7, ""));
    assert_eq!(claim(&home, &[&of_rule, &undecoded], 5).await, [Claim::Attempt(1), Claim::Attempt(1)]);
    finish(&home, &of_rule, 1, AttemptEnd::Failed).await;
    assert_eq!(home.catalog.redrive(&of_rule).await.unwrap().unwrap().outcome, RedriveOutcome::Failed);
    assert_eq!(claim(&home, &[&of_rule], 5).await, [Claim::Attempt(2)]);
    finish(&home, &of_rule, 2, AttemptEnd::Failed).await;
    finish(&home, &undecoded, 1, AttemptEnd::Failed).await;
    assert_eq!(claim(&home, &[&undecoded, &of_rule], 5).await, [Claim::Attempt(2), Claim::Exhausted]);

    let known = home.catalog.redrive(&undecoded).await.unwrap().unwrap();
    assert_eq!((known.letter, known.attempts, known.outcome), (undecoded, 2, RedriveOutcome::Pending));
    assert_eq!(home.catalog.redrive(&letter(8, "")).await.unwrap(), None);
    let audited = &home.catalog.audit(&Default::default(), &FIRST).await.unwrap().items[0];
    assert_eq!(audited.action.name(), "dead_letters.redrive");
    let after = serde_json::json!({"sent": ["payments/2/7"], "exhausted": 1, "succeeded": 0, "under_way": 0});
    assert_eq!(audited.after, Some(after));
}

#[tokio::test]
async fn what_was_judged_or_is_being_judged_is_not_sent_again() {
    let home = Home::open().await;
    let limit = REDRIVE_ANSWER_MAX.as_millis() as Millis;
    let (judged, lost) = (letter(1, "card-testing"), letter(2, "card-testing"));
    assert_eq!(claim(&home, &[&judged, &lost], 5).await, [Claim::Attempt(1), Claim::Attempt(1)]);
    finish(&home, &judged, 1, AttemptEnd::Succeeded).await;
    assert_eq!(claim(&home, &[&judged, &lost], 5 + limit).await, [Claim::Succeeded, Claim::UnderWay]);
    assert_eq!(claim(&home, &[&lost], 6 + limit).await, [Claim::Attempt(2)]);
    // The first attempt is heard of after all: the second is awaited still.
    finish(&home, &lost, 1, AttemptEnd::Succeeded).await;
    assert_eq!(home.catalog.redrive(&lost).await.unwrap().unwrap().outcome, RedriveOutcome::Pending);
}

#[tokio::test]
async fn an_attempt_in_which_nothing_was_judged_does_not_count() {
    let home = Home::open().await;
    let letter = letter(7, "card-testing");
    for _ in 0..3 {
        assert_eq!(claim(&home, &[&letter], 5).await, [Claim::Attempt(1)]);
        finish(&home, &letter, 1, AttemptEnd::Void).await;
        assert_eq!(home.catalog.redrive(&letter).await.unwrap(), None);
    }
    claim(&home, &[&letter], 5).await;
    finish(&home, &letter, 1, AttemptEnd::Failed).await;
    for _ in 0..3 {
        assert_eq!(claim(&home, &[&letter], 5).await, [Claim::Attempt(2)]);
        finish(&home, &letter, 2, AttemptEnd::Void).await;
    }
    assert_eq!(home.catalog.redrive(&letter).await.unwrap().unwrap().attempts, 1);
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
