//! `quipu documents`: what is published for a tenant, and what of it a changed ontology breaks.

use serde_json::json;

use super::quipu::{FARM, Quipu};

const OF_FARM: [&str; 2] = ["--tenant", "farm"];

fn documents(quipu: &Quipu, what: &str, more: &[&str]) -> super::quipu::Ended {
    quipu.run(&[&["documents", what][..], &OF_FARM, more].concat())
}

#[tokio::test]
async fn a_running_server_knows_the_documents_that_are_published() {
    let quipu = Quipu::with_farm();
    quipu.file(
        "quipu.toml",
        "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n[tenants.farm]\ndocuments = \"known-only\"\n",
    );
    let running = quipu.start(&["serve", "--listen", "127.0.0.1:0"]);
    let token = quipu.token("farm", &["--role", "admin"]);
    let query = "{ farms { name } }";
    assert_eq!(running.ask(&token, query).await["errors"][0]["extensions"]["code"], "UNKNOWN_DOCUMENT");
    quipu.file("manifest.json", json!({"farms": query, "animals": "{ animals { kind } }"}).to_string());
    let published = documents(&quipu, "publish", &["manifest.json"]);
    assert_eq!(
        (published.code, published.out.as_str()),
        (Some(0), "published 2 documents for farm, 0 were there already\n")
    );
    running.soon(&token, query, |answer| answer["data"] == json!({"farms": []})).await;
    let named = reqwest::Client::new().post(format!("http://{}/graphql", running.address)).bearer_auth(&token);
    let named = named.json(&json!({"documentId": "animals"})).send().await.expect("it answers");
    assert_eq!(named.json::<serde_json::Value>().await.expect("JSON")["data"], json!({"animals": []}));
    assert_eq!(documents(&quipu, "remove", &["farms"]).out, "removed 1 documents of farm\n");
    running.soon(&token, query, |answer| answer["errors"][0]["extensions"]["code"] == "UNKNOWN_DOCUMENT").await;
}

#[test]
fn documents_have_to_fit_the_ontology_and_ids_stay_what_they_are() {
    let quipu = Quipu::with_farm();
    quipu.file("wrong.json", json!({"one": "{ farms { name } }", "two": "{ farms {\n  nam } }"}).to_string());
    let refused = documents(&quipu, "publish", &["wrong.json"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("two: 2:3: ") && refused.err.contains("none is published"), "{refused:?}");
    assert_eq!(documents(&quipu, "list", &[]).out, "");

    quipu.file("query.graphql", "{ farms { name } }\n");
    quipu.file("one.json", json!({"one": "{ farms { name } }"}).to_string());
    assert_eq!(documents(&quipu, "publish", &["query.graphql", "one.json"]).code, Some(0));
    assert!(documents(&quipu, "publish", &["one.json"]).out.contains("published 0 documents for farm, 1 were there"));
    quipu.file("one.json", json!({"one": "{ farms { id } }"}).to_string());
    let refused = documents(&quipu, "publish", &["one.json"]);
    assert!(refused.code == Some(1) && refused.err.contains("the id one stands for another text"), "{refused:?}");
    let listed = documents(&quipu, "list", &[]);
    assert_eq!(listed.out.lines().count(), 2, "{listed:?}");
    assert!(listed.out.contains("one  18 bytes  { farms { name } }\n"), "{listed:?}");

    let missing = documents(&quipu, "remove", &["one", "nothing"]);
    assert_eq!((missing.code, missing.out.as_str()), (Some(1), "removed 1 documents of farm\n"));
    assert_eq!(documents(&quipu, "remove", &["--all"]).out, "removed 1 documents of farm\n");
    let nobody = quipu.run(&["documents", "publish", "--tenant", "nobody", "query.graphql"]);
    assert!(nobody.code == Some(1) && nobody.err.contains("quipu ontology publish"), "{nobody:?}");
}

#[test]
fn limits_of_documents_are_named() {
    let quipu = Quipu::with_farm();
    quipu.file("two.json", json!({"a": "{ farms { id } }", "b": "{ farms { name } }"}).to_string());
    let publish = ["documents", "publish", "--tenant", "farm", "two.json"];
    for (variable, value, setting) in [
        ("QUIPU_LIMITS_TRUSTED_DOCUMENTS", "1", "limits.trusted_documents"),
        ("QUIPU_LIMITS_TRUSTED_BYTES", "35B", "limits.trusted_bytes"),
    ] {
        let refused = quipu.run_with(&publish, &[(variable, value)]);
        assert!(refused.code == Some(1) && refused.err.contains(setting), "{refused:?}");
    }
    let enough = [("QUIPU_LIMITS_TRUSTED_DOCUMENTS", "2"), ("QUIPU_LIMITS_TRUSTED_BYTES", "36B")];
    assert_eq!(quipu.run_with(&publish, &enough).code, Some(0));
}

#[test]
fn what_a_changed_ontology_breaks_is_told_before_and_after() {
    let quipu = Quipu::with_farm();
    quipu.file("a.json", json!({"kinds": "{ animals { kind } }", "farms": "{ farms { name } }"}).to_string());
    assert_eq!(documents(&quipu, "publish", &["a.json"]).code, Some(0));
    quipu.file("new.graphql", FARM.replace("kind: String!", "sort: String"));
    let before = documents(&quipu, "list", &["--against", "new.graphql"]);
    assert!(
        before.code == Some(1) && before.err.contains("kinds: 1:13: ") && !before.err.contains("farms: "),
        "{before:?}"
    );
    assert_eq!(documents(&quipu, "list", &[]).code, Some(0));
    let published = quipu.run(&["ontology", "publish", "--tenant", "farm", "new.graphql"]);
    assert_eq!(published.code, Some(0), "{published:?}");
    assert!(published.err.contains("warning: kinds: 1:13: "), "{published:?}");
    assert!(published.out.contains("not all documents that are published"), "{published:?}");
    assert_eq!(documents(&quipu, "list", &[]).code, Some(1));
}
