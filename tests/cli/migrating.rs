//! `quipu migrate`: what it would do, and what it says of a file that is ahead.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, raw_sql};

use super::quipu::Quipu;

#[tokio::test]
async fn a_plan_says_what_would_be_run_and_writes_nothing() {
    let quipu = Quipu::empty();
    let steps = |out: &str| -> Vec<(String, String, usize)> {
        let lines = out.lines().filter(|line| line.starts_with("  0"));
        let words = lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        words.map(|words| (words[1].clone(), words[3..].join(" "), words[2].len())).collect()
    };
    let before = quipu.run(&["migrate", "--plan"]);
    assert_eq!((before.code, before.err.as_str()), (Some(0), ""), "{before:?}");
    let pending: Vec<_> = ["store", "covered", "credentials", "documents", "audit", "tenants"]
        .map(|name| (name.to_owned(), "pending".to_owned(), 64))
        .to_vec();
    assert_eq!(steps(&before.out), pending, "{}", before.out);
    assert!(before.out.ends_with("  6 would be run\n"), "{}", before.out);
    assert!(!quipu.path("quipu.db").exists(), "a plan makes nothing");
    assert_eq!(quipu.run(&["migrate"]).code, Some(0));
    let after = quipu.run(&["migrate", "--plan"]);
    assert!(steps(&after.out).iter().all(|(_, state, _)| state == "applied"), "{}", after.out);
    assert!(after.out.ends_with("  up to date\n"), "{}", after.out);
    let bytes = std::fs::read(quipu.path("quipu.db")).unwrap();
    let mut file = SqliteConnection::connect(&format!("sqlite://{}", quipu.path("quipu.db").display())).await.unwrap();
    let newer = "INSERT INTO migration VALUES (99, 'later', 'abc'); PRAGMA user_version = 99";
    raw_sql(newer).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    let ahead = quipu.run(&["migrate", "--plan"]);
    assert_eq!(ahead.code, Some(0), "{ahead:?}");
    assert!(ahead.out.contains("  0099  later        abc  of a newer version\n"), "{}", ahead.out);
    assert!(ahead.out.ends_with("it is ahead of this version of quipu; use the newer one\n"), "{}", ahead.out);
    assert_eq!(quipu.run(&["migrate"]).code, Some(3));
    std::fs::write(quipu.path("quipu.db"), &bytes[..bytes.len() / 2]).unwrap();
    let torn = quipu.run(&["migrate", "--plan"]);
    assert!(torn.code == Some(3) && torn.err.contains("is damaged"), "{torn:?}");
    quipu.file("quipu.db", "something else");
    assert!(quipu.run(&["migrate", "--plan"]).err.contains("is not a database"));
    assert_eq!(std::fs::read(quipu.path("quipu.db")).unwrap(), b"something else");
}
