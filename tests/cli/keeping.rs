//! `status`, `rebuild` and `reindex`: what the stores hold, compared with the log, and made anew.

use super::quipu::Quipu;

const RECORDS: &str = r#"{"node":"Farm","id":"1","properties":{"name":"A","region":"EU","about":"cows"}}
{"node":"Farm","id":"2","properties":{"name":"B","region":"US"}}
{"node":"Animal","id":"a","properties":{"kind":"cow"}}
{"row":"Bill","id":"b","properties":{"amount":3,"farm_id":"1"}}
{"relationship":"KEEPS","from":{"Farm":"1"},"to":{"Animal":"a"},"properties":{"since":"2024-05-01"}}"#;

fn filled() -> Quipu {
    let quipu = Quipu::with_farm();
    quipu.file("a.jsonl", RECORDS);
    let ended = quipu.run(&["import", "--tenant", "farm", "--no-embed", "a.jsonl"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    quipu
}

#[test]
fn status_shows_who_is_behind() {
    let quipu = filled();
    let ended = quipu.run(&["status"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let line = ended.out.lines().find(|line| line.starts_with("farm")).expect("a line");
    assert!(line.contains("version 1") && line.contains("in step") && line.contains("behind"), "{line}");
    let ended = quipu.run(&["status", "--tenant", "nobody"]);
    assert_eq!((ended.code, ended.err.contains("there is no tenant nobody")), (Some(1), true), "{ended:?}");
}

#[test]
fn a_graph_is_made_anew_and_equal() {
    let quipu = filled();
    for _ in 0..2 {
        let ended = quipu.run(&["rebuild", "--store", "graph", "--tenant", "farm"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.out.contains("is equal to its log") && ended.out.contains("4 records, 1 relationships"),
            "{ended:?}"
        );
    }
    let ended = quipu.run(&["status", "--compare"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("the stores hold what the log says"), "{ended:?}");
}

/// A graph that has followed another log would pass over what is accepted.
#[tokio::test]
async fn a_graph_beyond_its_log_is_not_served() {
    use sqlx::{Connection, Executor};
    let quipu = filled();
    let url = format!("sqlite://{}", quipu.path("quipu.db").display());
    let mut file = sqlx::SqliteConnection::connect(&url).await.expect("a database");
    file.execute("UPDATE position SET seq = 1000 WHERE follower = 'graph'").await.expect("written");
    file.close().await.expect("closed");
    let ended = quipu.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.err.contains("stands at 1000, and its log ends at") && ended.err.contains("quipu rebuild"),
        "{ended:?}"
    );
    assert_eq!(quipu.run(&["rebuild", "--store", "graph", "--tenant", "farm"]).code, Some(0));
    assert_eq!(quipu.run(&["status", "--compare"]).code, Some(0));
}

/// Vectors that have followed another log would never be made for what is accepted.
#[tokio::test]
async fn vectors_beyond_their_log_are_not_served() {
    use sqlx::{Connection, Executor};
    let quipu = filled();
    let url = format!("sqlite://{}", quipu.path("quipu.db").display());
    let mut file = sqlx::SqliteConnection::connect(&url).await.expect("a database");
    let beyond = "INSERT INTO position SELECT tenant, 'vectors', 1000 FROM position WHERE follower = 'graph' \
                  ON CONFLICT DO UPDATE SET seq = 1000";
    file.execute(beyond).await.expect("written");
    file.close().await.expect("closed");
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["reindex", "--tenant", "farm"]] {
        let ended = quipu.run(command);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let told = "the vectors of farm stand at 1000, and its log ends at";
        assert!(ended.err.contains(told) && ended.err.contains("quipu rebuild --store vectors"), "{ended:?}");
    }
    let ended = quipu.run(&["rebuild", "--store", "vectors", "--tenant", "farm"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = quipu.run(&["status"]);
    assert!(ended.code == Some(0) && !ended.out.contains("1000"), "{ended:?}");
    assert_eq!(quipu.run(&["status", "--compare"]).code, Some(0));
}

/// What somebody did to the file behind the gateway's back is found, and mended.
#[tokio::test]
async fn what_differs_is_named_and_mended() {
    use sqlx::{Connection, Executor};
    let quipu = filled();
    let url = format!("sqlite://{}", quipu.path("quipu.db").display());
    let mut file = sqlx::SqliteConnection::connect(&url).await.expect("a database");
    file.execute("UPDATE node SET props = jsonb_set(props, '$.name', 'other') WHERE id = '2'").await.expect("written");
    file.execute("DELETE FROM edge").await.expect("written");
    file.close().await.expect("closed");
    let ended = quipu.run(&["status", "--compare"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains(r#"Farm:2.name is "other", and "B" in the log"#), "{ended:?}");
    assert!(ended.out.contains("Farm:1-[KEEPS] leads to 0, and to 1 in the log"), "{ended:?}");
    assert!(ended.err.contains("quipu rebuild"), "{ended:?}");
    assert_eq!(quipu.run(&["rebuild", "--store", "graph", "--tenant", "farm"]).code, Some(0));
    assert_eq!(quipu.run(&["status", "--compare"]).code, Some(0));
}
