//! `quipu key`: a key is made, opens its tenant, is listed and revoked.

use serde_json::json;

use super::quipu::Quipu;

#[tokio::test]
async fn a_key_is_made_used_listed_and_revoked() {
    let quipu = Quipu::with_farm();
    quipu.file("quipu.toml", "[auth]\nsecret_file = \"secret\"\nrecheck = \"200ms\"\n[embedding]\nmodel = \"none\"\n");
    let made =
        quipu.run(&["key", "create", "--tenant", "farm", "--name", "nightly", "--role", "admin", "--expires", "90d"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let key = made.out.trim();
    let id = key.split('.').nth(1).expect("an id");
    assert!(key.starts_with("quipu_farm.") && made.err.contains(id) && !made.err.contains(key), "{made:?}");
    let running = quipu.start(&["serve", "--listen", "127.0.0.1:0"]);
    let asked = "{ farms { name } }";
    assert_eq!(running.ask(key, asked).await["data"], json!({"farms": []}));
    let listed = quipu.run(&["key", "list", "--tenant", "farm"]);
    assert!(
        listed.out.contains(id) && listed.out.contains("key:nightly") && listed.out.contains("holds until"),
        "{listed:?}"
    );
    assert!(!listed.out.contains(&key[key.len() - 40..]), "{listed:?}");
    let revoked = quipu.run(&["key", "revoke", "--tenant", "farm", id]);
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    running.soon(key, asked, |answer| answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED").await;
    let again = quipu.run(&["key", "revoke", "--tenant", "farm", id]);
    assert!(again.code == Some(1) && again.err.contains("was revoked before"), "{again:?}");
    let ended = running.stop();
    assert!(!ended.err.contains(&key[key.len() - 40..]), "the secret is in the log");
    let listed = quipu.run(&["key", "list", "--tenant", "farm"]);
    assert!(
        listed.out.contains("revoked 20") && !listed.out.contains("never"),
        "when it was used is known: {listed:?}"
    );
}

#[test]
fn what_cannot_be_made_is_refused_with_a_way_out() {
    let quipu = Quipu::with_farm();
    let key = |more: &[&str]| quipu.run(&[&["key"], more].concat());
    let nobody = key(&["create", "--tenant", "nobody", "--name", "x"]);
    assert!(nobody.code == Some(1) && nobody.err.contains("publish an ontology"), "{nobody:?}");
    assert_eq!(nobody.out, "", "no key is shown that nobody keeps");
    let own = key(&["create", "--tenant", "farm", "--name", "x", "--claim", "tenant=\"other\""]);
    assert!(own.code == Some(2) && own.err.contains("the claim `tenant` is set already"), "{own:?}");
    let twice = key(&["create", "--tenant", "farm", "--name", "x", "--claim", "a=1", "--claim", "a=2"]);
    assert_eq!(twice.code, Some(2), "{twice:?}");
    assert_eq!(key(&["create", "--tenant", "farm", "--name", "a\nb"]).code, Some(2));
    assert_eq!(key(&["create", "--tenant", "farm", "--name", "x", "--expires", "0s"]).code, Some(2));
    let unknown = key(&["revoke", "--tenant", "farm", "0123"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("quipu key list"), "{unknown:?}");
}
