//! What an error of the database says.

use crate::home::Home;

#[tokio::test]
async fn what_the_database_says_stands_once_in_an_error_with_the_name_of_its_file() {
    let home = Home::open().await;
    sqlx::raw_sql("DROP TABLE tokens").execute(&home.database().await).await.unwrap();
    let error = home.catalog.token("0000000a").await.unwrap_err();
    assert_eq!(error.chain(), "cannot find token 0000000a: tamis.db: (code: 1) no such table: tokens");
    assert!(error.can_retry());
}
