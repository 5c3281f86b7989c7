//! Hostile 68 with the binary: what one instance accepted and could not apply is read at another, by those who bring the position.

use serde_json::json;

use super::address;
use super::away::through;
use super::whole::{published, settings};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_68_what_one_process_wrote_another_one_answers() {
    let test = "hostile_68_what_one_process_wrote_another_one_answers";
    let (Some(settings), Some(graph)) = (settings(test), address("QUIPU_TEST_NEO4J", test)) else { return };
    let quipu = published(&settings);
    let (mut wire, by_wire) = through(&graph).await;
    quipu.file("cut.toml", settings.replace(&graph, &by_wire));
    let serve = ["serve", "--listen", "127.0.0.1:0", "--config"];
    let one = quipu.start(&[&serve[..], &["cut.toml"]].concat());
    let other = quipu.start(&[&serve[..], &["quipu.toml"]].concat());
    let token = quipu.token("farm", &["--role", "admin"]);
    // It needs its graph once, to begin with.
    one.soon(&token, "{ farms { id } }", |answer| answer["data"] == json!({"farms": []})).await;
    wire.cut().await;
    for round in 0..10 {
        let id = format!("f{round}");
        let create = format!(
            r#"mutation {{ createFarms(input: [{{ id: "{id}", name: "{id}", region: "EU" }}]) {{ info {{ nodesCreated }} }} }}"#
        );
        let answer = one.ask(&token, &create).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "STORE_UNAVAILABLE", "{answer}");
        let position = &answer["extensions"]["position"];
        assert!(position.is_string(), "it is accepted: {answer}");
        let found = other.ask_at(&token, &format!(r#"{{ farm(id: "{id}") {{ name }} }}"#), position).await;
        assert_eq!(found, json!({"data": {"farm": {"name": id}}}));
    }
    wire.mend().await;
    one.soon(&token, r#"{ farm(id: "f9") { name } }"#, |answer| answer["data"]["farm"]["name"] == "f9").await;
    for running in [one, other] {
        assert_eq!(running.stop().code, Some(0));
    }
}
