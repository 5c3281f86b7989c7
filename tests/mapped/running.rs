//! The real binary over tables of others: what the settings open, over TLS where the server has it.

use serde_json::json;

use super::Shop;
use crate::cli::quipu::Quipu;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_settings_open_is_served() {
    let Some(shop) = Shop::filled("mapped::running::what_the_settings_open_is_served").await else { return };
    let quipu = Quipu::empty();
    let trusted = std::env::var("QUIPU_TEST_POSTGRES_CA").map(|file| format!("root_certificate = \"{file}\"\n"));
    let address = |url: &str| match trusted.is_ok() {
        true => url.replace("?sslmode=disable", ""),
        false => url.to_owned(),
    };
    let settings = format!(
        "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n[metadata]\nurl = \"{}\"\nowner_url = \"{}\"\nschema = \"{}\"\n{}",
        address(&shop.server.login),
        address(&shop.server.owner),
        shop.options.schema,
        trusted.clone().unwrap_or_default()
    );
    quipu.file("quipu.toml", &settings);
    quipu.file("shop.graphql", shop.mapped());
    let publish = ["ontology", "publish", "--tenant", "alpha", "shop.graphql"];
    let refused = quipu.run(&publish);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for of in ["Order", "Customer", "Item"] {
        assert!(refused.err.contains(&format!("{of}: the table {}.", shop.schema)), "{refused:?}");
    }
    quipu.file("quipu.toml", format!("{settings}tables = [\"{}.* by tenant\"]\n", shop.schema));
    let published = quipu.run(&publish);
    assert_eq!(published.code, Some(0), "{published:?}");
    let question = "{ customer(id: \"107\") { name orders { id } } ordersConnection { totalCount } }";
    let running = quipu.start(&["serve", "--listen", "127.0.0.1:0"]);
    let token = quipu.token("alpha", &["--role", "admin"]);
    let answer = running.ask(&token, question).await;
    assert_eq!(answer["errors"], json!(null), "{answer}");
    assert_eq!(answer["data"]["customer"]["name"], "alpha Alpha");
    assert_eq!(answer["data"]["ordersConnection"]["totalCount"], 40);
    assert_eq!(running.stop().code, Some(0));
    let compared = quipu.run(&["status", "--compare", "--tenant", "alpha"]);
    assert_eq!(compared.code, Some(0), "what belongs to others is no difference: {compared:?}");
    // What is not open any more is not served, although it is published; the environment has the same form.
    let closed = [("QUIPU_METADATA_TABLES", "[]")];
    quipu.file("q.graphql", question);
    let told = quipu.run_with(&["explain", "--tenant", "alpha", "q.graphql"], &closed);
    assert!(told.out.contains("STORE_UNAVAILABLE") && !told.out.contains("alpha Alpha"), "{told:?}");
}
