//! `quipu user`: passwords come from standard input, and changes sign out.

use serde_json::json;

use super::quipu::Quipu;

const SETTINGS: &str = "[auth]\nsecret_file = \"secret\"\nrecheck = \"200ms\"\n[embedding]\nmodel = \"none\"\n\
                        [passwords]\nmemory = \"1MiB\"\niterations = 1\n";

#[tokio::test]
async fn a_user_is_added_signs_in_is_changed_and_removed() {
    let quipu = Quipu::with_farm();
    quipu.file("quipu.toml", SETTINGS);
    let user = |what: &str, more: &[&str], input: &str| {
        quipu.run_reading(&[&["user", what, "--tenant", "farm"], more].concat(), input)
    };
    let ada = ["--name", "ada"];
    let short = user("add", &ada, "short\n");
    assert!(short.code == Some(2) && short.err.contains("passwords.shortest"), "{short:?}");
    let added = user("add", &["--name", "ada", "--role", "admin"], "correct horse battery\n");
    assert_eq!(added.code, Some(0), "{added:?}");
    assert_eq!(user("add", &ada, "correct horse battery\n").code, Some(1), "there is one already");
    let listed = user("list", &[], "");
    assert!(listed.out.contains("ada   admin") && !listed.out.contains("argon2"), "{listed:?}");
    let running = quipu.start(&["serve", "--listen", "127.0.0.1:0"]);
    let client = reqwest::Client::new();
    let sign_in = async |password: &str| {
        let request = client.post(format!("http://{}/auth/sign-in", running.address)).header("quipu-csrf", "1");
        let body = json!({"tenant": "farm", "user": "ada", "password": password});
        request.json(&body).send().await.expect("it answers").status().as_u16()
    };
    assert_eq!((sign_in("correct horse battery").await, sign_in("correct horse").await), (200, 401));
    let changed = user("password", &ada, "battery horse correct\n");
    assert_eq!(changed.code, Some(0), "{changed:?}");
    assert_eq!((sign_in("correct horse battery").await, sign_in("battery horse correct").await), (401, 200));
    assert_eq!(user("roles", &["--name", "ada", "--role", "reader"], "").code, Some(0));
    assert!(user("list", &[], "").out.contains("ada   reader"));
    assert_eq!(user("remove", &ada, "").code, Some(0));
    assert_eq!(sign_in("battery horse correct").await, 401);
    let nobody = user("remove", &ada, "");
    assert!(nobody.code == Some(1) && nobody.err.contains("quipu user list"), "{nobody:?}");
    let log = running.stop().err;
    assert!(log.contains("signing in was refused") && log.contains("a session began"), "{log}");
    assert!(!log.contains("correct horse") && !log.contains("horse correct") && !log.contains("argon2id$"), "{log}");
}
