//! The admin API of the real binary: who may call it, what each call does, and what the audit trail has of it.

use reqwest::{Method, StatusCode};
use serde_json::{Value as Json, json};

use super::quipu::{FARM, Quipu, Running};

const SETTINGS: &str = "[auth]\nsecret_file = \"secret\"\nrecheck = \"200ms\"\n[embedding]\nmodel = \"none\"\n\
                        [admin]\nenabled = true\noperators = \"ops\"\n";
const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// A server with the farm, and whoever calls it.
pub struct Office {
    pub quipu: Quipu,
    pub running: Running,
    pub operator: String,
}

impl Office {
    pub fn open(more: &str) -> Self {
        let quipu = Quipu::with_farm();
        quipu.file("quipu.toml", format!("{SETTINGS}{more}"));
        let operator = quipu.token("ops", &["--subject", "olga", "--role", "operator"]);
        let running = quipu.start(&SERVE);
        Self { quipu, running, operator }
    }

    /// A call; its status and its JSON.
    pub async fn call(&self, token: &str, method: Method, path: &str, body: Json) -> (StatusCode, Json) {
        let url = format!("http://{}/admin/v1{path}", self.running.address);
        let mut request = reqwest::Client::new().request(method, url).bearer_auth(token);
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.expect("it answers");
        (response.status(), response.json().await.expect("JSON"))
    }

    /// A call of an operator that is done.
    pub async fn done(&self, method: Method, path: &str, body: Json) -> Json {
        let (status, body) = self.call(&self.operator, method, path, body).await;
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    /// A call of an operator that is refused: its status and code.
    pub async fn refused(&self, method: Method, path: &str, body: Json) -> (u16, String) {
        let (status, body) = self.call(&self.operator, method, path, body).await;
        (status.as_u16(), body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned())
    }

    pub async fn get(&self, path: &str) -> Json {
        self.done(Method::GET, path, Json::Null).await
    }
}

#[tokio::test]
async fn only_operators_and_who_administers_the_tenant_may() {
    let office = Office::open("");
    let quipu = &office.quipu;
    let ended = quipu.run(&["ontology", "publish", "--tenant", "other", "farm.graphql"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let token = |tenant: &str, role: &str| quipu.token(tenant, &["--subject", "eva", "--role", role]);
    let keys = async |token: &str, tenant: &str| {
        let (status, body) = office.call(token, Method::GET, &format!("/tenants/{tenant}/keys"), Json::Null).await;
        (status.as_u16(), body["errors"][0]["extensions"]["code"].clone(), body["errors"][0]["message"].clone())
    };
    let (ok, not_found) = ((200, Json::Null, Json::Null), 404);
    assert_eq!(keys(&office.operator, "farm").await, ok);
    assert_eq!(keys(&office.operator, "nobody").await.0, not_found);
    assert_eq!(keys(&token("farm", "tenant-admin"), "farm").await, ok);
    // Whoever may not learns nothing: not even whether there is such a tenant.
    for (tenant, role) in [
        ("farm", "operator"),
        ("farm", "admin"),
        ("other", "tenant-admin"),
        ("other", "operator"),
        ("ops", "tenant-admin"),
        ("ops", "admin"),
    ] {
        let token = token(tenant, role);
        let there = keys(&token, "farm").await;
        assert_eq!((there.0, there.1.clone()), (403, json!("FORBIDDEN")), "{role} of {tenant}");
        for name in ["nobody", "Not%20a%20name", "ops"] {
            assert_eq!(keys(&token, name).await, there, "{role} of {tenant}");
        }
        for path in ["/audit", "/audit/verify"] {
            assert_eq!(office.call(&token, Method::GET, path, Json::Null).await.0, 403, "{role} of {tenant}: {path}");
        }
    }
    let nobody = office.call("no.token.atall", Method::GET, "/tenants/farm/keys", Json::Null).await;
    assert_eq!(nobody.0, StatusCode::UNAUTHORIZED, "{nobody:?}");
    assert_eq!(office.refused(Method::PUT, "/tenants/farm/keys", Json::Null).await, (405, "METHOD_NOT_ALLOWED".into()));
    assert_eq!(office.refused(Method::GET, "/tenants/farm/nothing", Json::Null).await, (404, "NOT_FOUND".into()));
    assert_eq!(office.refused(Method::GET, "/tenants/farm/keys?x=1", Json::Null).await, (400, "BAD_REQUEST".into()));
    // What is refused stands in the gateway's chain: nobody writes into that of a tenant that is not theirs.
    let refused = office.get("/audit?refused=true&action=key.&limit=1000").await;
    let records = refused["records"].as_array().expect("records");
    let about = |record: &&Json| record["record"]["variables"]["callerTenant"] == "other";
    assert_eq!(records.iter().filter(about).count(), 8, "{refused}");
    let own = office.get("/tenants/farm/audit").await;
    let who =
        |record: &Json| json!([record["record"]["who"], record["record"]["action"], record["record"]["decision"]]);
    let told: Vec<Json> = own["records"].as_array().expect("records").iter().map(who).collect();
    assert!(told.contains(&json!(["olga", "key.list", "allowed"])), "{own}");
    assert!(told.contains(&json!(["eva", "key.list", "allowed"])), "{own}");
}

#[tokio::test]
async fn without_the_setting_nothing_is_served_and_nobody_is_an_operator() {
    let quipu = Quipu::with_farm();
    let running = quipu.start(&SERVE);
    let token = quipu.token("farm", &["--role", "operator", "--role", "tenant-admin"]);
    let keys = async |address| {
        let url = format!("http://{address}/admin/v1/tenants/farm/keys");
        reqwest::Client::new().get(url).bearer_auth(&token).send().await.expect("it answers").status()
    };
    assert_eq!(keys(running.address).await, StatusCode::NOT_FOUND);
    drop(running);
    quipu.file("quipu.toml", SETTINGS.replace("operators = \"ops\"\n", "listen = \"127.0.0.1:0\"\n"));
    let mut running = quipu.start(&SERVE);
    assert_eq!(keys(running.address).await, StatusCode::NOT_FOUND, "it has an address of its own");
    let told = running.line();
    let apart = told.trim().strip_prefix("the admin API is on http://").and_then(|rest| rest.strip_suffix("/admin/v1"));
    let apart = apart.unwrap_or_else(|| panic!("{told:?}"));
    assert_eq!(keys(apart.parse().expect("an address")).await, StatusCode::OK, "the tenant's own");
    let there = reqwest::Client::new().get(format!("http://{apart}/graphql")).bearer_auth(&token).send().await;
    assert_eq!(there.expect("it answers").status(), StatusCode::NOT_FOUND);
    let everything =
        reqwest::Client::new().get(format!("http://{apart}/admin/v1/audit")).bearer_auth(&token).send().await;
    assert_eq!(everything.expect("it answers").status(), StatusCode::FORBIDDEN);
    assert_eq!(running.stop().code, Some(0));
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let office = Office::open("");
    let wish = json!({ "name": "nightly", "roles": ["admin"], "claims": { "regions": ["EU"] }, "expiresIn": "90d" });
    let (status, made) = office.call(&office.operator, Method::POST, "/tenants/farm/keys", wish).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let key = made["key"].as_str().expect("a key");
    assert_eq!(office.running.ask(key, "{ farms { name } }").await["data"], json!({ "farms": [] }));
    let listed = office.get("/tenants/farm/keys").await;
    assert_eq!(listed["keys"][0]["subject"], "key:nightly", "{listed}");
    assert!(listed["keys"][0].get("key").is_none() && !listed.to_string().contains(&key[30..]), "{listed}");
    let path = format!("/tenants/farm/keys/{}", made["id"].as_str().expect("an id"));
    for _ in 0..2 {
        let revoked = office.done(Method::DELETE, &path, Json::Null).await;
        assert!(revoked["revoked"].is_string(), "{revoked}");
    }
    let gone = |answer: &Json| answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED";
    office.running.soon(key, "{ farms { name } }", gone).await;
    for (wrong, told) in [
        (json!({ "roles": [] }), "name"),
        (json!({ "name": "a\nb" }), "one line"),
        (json!({ "name": "a", "role": "x" }), "role"),
        (json!({ "name": "a", "expiresIn": "0s" }), "30d"),
        (json!({ "name": "a", "claims": { "tenant": "other" } }), "is set already"),
        (json!([]), "body"),
    ] {
        let (status, body) = office.call(&office.operator, Method::POST, "/tenants/farm/keys", wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(body["errors"][0]["message"].as_str().is_some_and(|message| message.contains(told)), "{body}");
    }
    let unknown = office.refused(Method::DELETE, "/tenants/farm/keys/0123", Json::Null).await;
    assert_eq!(unknown, (404, "NOT_FOUND".into()));
    let trail = office.get("/tenants/farm/audit?action=key.create").await;
    let first = &trail["records"][0]["record"];
    assert_eq!(
        first["variables"],
        json!({ "callerTenant": "ops", "key": made["id"], "name": "nightly", "roles": ["admin"] })
    );
    assert!(!trail.to_string().contains(&key[30..]), "{trail}");
}

#[tokio::test]
async fn ontologies_are_checked_and_compared() {
    let office = Office::open("");
    let check = async |sdl: &str| office.done(Method::POST, "/ontology/check", json!({ "sdl": sdl })).await;
    let fine = check(FARM).await;
    assert_eq!((&fine["valid"], &fine["problems"]), (&json!(true), &json!([])), "{fine}");
    let wrong = check("type Farm @node { id: ID!  name: Strin! }").await;
    assert_eq!(wrong["valid"], false, "{wrong}");
    assert_eq!(
        (&wrong["problems"][0]["line"], &wrong["problems"][0]["help"]),
        (&json!(1), &json!("did you mean `String`?"))
    );
    let shown = office.get("/tenants/farm/ontology").await;
    assert_eq!(shown, json!({ "version": 1, "sdl": FARM }));
    let changed = FARM.replace("kind: String!", "kind: String!  age: Int");
    let diff = office.done(Method::POST, "/tenants/farm/ontology/diff", json!({ "sdl": changed })).await;
    assert_eq!(
        (&diff["from"], &diff["breaking"], &diff["changes"][0]["element"]),
        (&json!(1), &json!(false), &json!("Animal.age"))
    );
    let (status, body) =
        office.call(&office.operator, Method::POST, "/tenants/farm/ontology/diff", json!({ "sdl": "type" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert!(body["errors"][0]["extensions"]["problems"][0]["line"].is_number(), "{body}");
}

#[tokio::test]
async fn the_audit_trail_is_searched_in_pages_and_proved() {
    let office = Office::open("");
    for _ in 0..5 {
        office.get("/tenants/farm/keys").await;
    }
    let first = office.get("/tenants/farm/audit?limit=3&who=olga").await;
    assert_eq!((first["records"].as_array().map(Vec::len), &first["next"]), (Some(3), &json!(4)), "{first}");
    let rest = office.get("/tenants/farm/audit?after=4&action=key.list").await;
    assert_eq!((rest["records"].as_array().map(Vec::len), &rest["next"]), (Some(2), &Json::Null), "{rest}");
    assert_eq!(office.get("/tenants/farm/audit?until=2020").await["records"], json!([]));
    let proved = office.get("/tenants/farm/audit/verify").await;
    assert_eq!((&proved["whole"], &proved["removed"]), (&json!(true), &json!(0)), "{proved}");
    let ended = office.quipu.run(&[
        "audit",
        "verify",
        "--tenant",
        "farm",
        "--has",
        &format!("{}:{}", proved["last"]["seq"], proved["last"]["hash"].as_str().expect("a hash")),
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(office.refused(Method::GET, "/audit?limit=5000", Json::Null).await, (400, "BAD_REQUEST".into()));
    assert_eq!(office.refused(Method::GET, "/audit?after=x", Json::Null).await, (400, "BAD_REQUEST".into()));
}

#[tokio::test]
async fn a_tenant_is_made_suspended_exported_and_deleted() {
    let office = Office::open("");
    let make = json!({ "name": "acme", "sdl": FARM });
    let (status, made) = office.call(&office.operator, Method::POST, "/tenants", make.clone()).await;
    assert_eq!(
        (status, &made["tenant"], &made["ontology"]),
        (StatusCode::CREATED, &json!("acme"), &json!(1)),
        "{made}"
    );
    assert_eq!(office.refused(Method::POST, "/tenants", make).await, (409, "CONFLICT".into()));
    let wrong = json!({ "name": "Not a name", "sdl": FARM });
    assert_eq!(office.refused(Method::POST, "/tenants", wrong).await, (400, "BAD_REQUEST".into()));
    let token = office.quipu.token("acme", &["--subject", "ada", "--role", "admin"]);
    let named = "{ farms { name } }";
    office.running.soon(&token, named, |answer| answer["data"] == json!({ "farms": [] })).await;
    let create = r#"mutation { createFarms(input: [{ id: "f1", name: "A", region: "EU", keeps: { create: [{ node: { id: "a1", kind: "cow" }, edge: { since: "2026-01-01" } }] } }]) { farms { id } } }"#;
    assert_eq!(office.running.ask(&token, create).await["errors"], Json::Null);

    let listed = office.get("/tenants").await;
    let names: Vec<&Json> = listed["tenants"].as_array().expect("a list").iter().map(|one| &one["tenant"]).collect();
    assert_eq!(names, ["acme", "farm"], "{listed}");
    let reason = json!({ "reason": "unpaid" });
    let suspended = office.done(Method::POST, "/tenants/acme/suspend", reason).await;
    assert_eq!((&suspended["state"], &suspended["reason"]), (&json!("suspended"), &json!("unpaid")), "{suspended}");
    let is_suspended = |answer: &Json| answer["errors"][0]["extensions"]["code"] == "TENANT_SUSPENDED";
    office.running.soon(&token, named, is_suspended).await;
    assert!(!office.running.ask(&token, named).await.to_string().contains("unpaid"), "why is nobody else's business");
    let admin = office.quipu.token("acme", &["--role", "tenant-admin"]);
    let (status, body) = office.call(&admin, Method::GET, "/tenants/acme/keys", Json::Null).await;
    assert_eq!((status.as_u16(), is_suspended(&body)), (403, true), "{body}");
    assert_eq!(office.done(Method::POST, "/tenants/acme/resume", Json::Null).await["state"], "active");
    office.running.soon(&token, named, |answer| answer["data"] == json!({ "farms": [{ "name": "A" }] })).await;

    let url = format!("http://{}/admin/v1/tenants/acme/export", office.running.address);
    let exported = reqwest::Client::new().get(url).bearer_auth(&office.operator).send().await.expect("it answers");
    assert_eq!(exported.headers()["content-type"], "application/jsonl; charset=utf-8");
    let lines: Vec<Json> =
        exported.text().await.expect("whole").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!((&lines[0]["id"], &lines[2]["relationship"]), (&json!("f1"), &json!("KEEPS")), "{lines:?}");

    assert_eq!(office.refused(Method::DELETE, "/tenants/acme", Json::Null).await, (400, "BAD_REQUEST".into()));
    assert_eq!(office.refused(Method::DELETE, "/tenants/acme?confirm=farm", Json::Null).await.0, 400);
    let proof = office.done(Method::DELETE, "/tenants/acme?confirm=acme", Json::Null).await;
    assert_eq!(proof["complete"], true, "{proof}");
    let left = proof["left"].as_array().expect("a list");
    assert!(left.len() > 10 && left.iter().all(|one| one["count"] == 0), "{proof}");
    let is_nobody = |answer: &Json| answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED";
    office.running.soon(&token, named, is_nobody).await;
    assert_eq!(office.refused(Method::GET, "/tenants/acme/keys", Json::Null).await, (404, "NOT_FOUND".into()));
    assert_eq!(office.get("/tenants").await["tenants"].as_array().map(Vec::len), Some(1));
    assert_eq!(office.get("/tenants?gone=true").await["tenants"][0]["state"], "gone");
    // What happened to it is still told.
    let trail = office.get("/tenants/acme/audit?action=tenant.&limit=100").await;
    let actions: Vec<&Json> =
        trail["records"].as_array().expect("a list").iter().map(|one| &one["record"]["action"]).collect();
    let expected =
        ["create", "suspend", "resume", "export", "delete", "delete", "delete"].map(|what| format!("tenant.{what}"));
    assert_eq!(json!(actions), json!(expected), "{trail}");
    let deletion = &trail["records"][6]["record"];
    assert_eq!((&deletion["who"], &deletion["variables"]["complete"]), (&json!("olga"), &json!(true)), "{deletion}");
    assert_eq!(office.get("/tenants/acme/audit/verify").await["whole"], true);
    // With the trail as well, and the other tenant is what it was.
    let proof = office.done(Method::DELETE, "/tenants/acme?confirm=acme&withAudit=true", Json::Null).await;
    assert_eq!((&proof["complete"], &proof["auditKept"]), (&json!(true), &json!(false)), "{proof}");
    assert_eq!(office.get("/tenants/acme/audit").await["records"], json!([]));
    let gateway = office.get("/audit?action=tenant.delete").await;
    assert_eq!(gateway["records"][0]["record"]["variables"]["tenant"], "acme", "{gateway}");
    assert_eq!(office.get("/tenants/farm").await["state"], "active");
}

#[tokio::test]
async fn ontologies_are_published_listed_and_rolled_back_by_who_administers_the_tenant() {
    let office = Office::open("");
    let admin = office.quipu.token("farm", &["--subject", "tom", "--role", "tenant-admin"]);
    let call = async |method: Method, path: &str, body: Json| {
        let (status, body) = office.call(&admin, method, path, body).await;
        (status.as_u16(), body)
    };
    let changed = FARM.replace("kind: String!", "kind: String!  age: Int");
    let (status, published) = call(Method::POST, "/tenants/farm/ontology", json!({ "sdl": changed })).await;
    assert_eq!((status, &published["version"], &published["before"]), (200, &json!(2), &json!(1)), "{published}");
    assert_eq!(published["changes"][0]["element"], "Animal.age", "{published}");
    let token = office.quipu.token("farm", &["--role", "admin"]);
    office.running.soon(&token, "{ animals { age } }", |answer| answer["errors"].is_null()).await;
    let (status, back) = call(Method::POST, "/tenants/farm/ontology/rollback", Json::Null).await;
    assert_eq!((status, &back["version"], &back["isNew"]), (200, &json!(3), &json!(true)), "{back}");
    office.running.soon(&token, "{ animals { age } }", |answer| !answer["errors"].is_null()).await;
    let (_, versions) = call(Method::GET, "/tenants/farm/ontology/versions", Json::Null).await;
    assert_eq!(versions["versions"].as_array().map(Vec::len), Some(3), "{versions}");
    let (_, second) = call(Method::GET, "/tenants/farm/ontology/versions/2", Json::Null).await;
    assert_eq!(second, json!({ "version": 2, "sdl": changed }));
    for path in ["/tenants/farm/ontology/versions/9", "/tenants/farm/ontology/versions/x"] {
        assert_eq!(call(Method::GET, path, Json::Null).await.0, 404, "{path}");
    }
    let (status, wrong) =
        call(Method::POST, "/tenants/farm/ontology", json!({ "sdl": "type Farm @node { id: Strin! }" })).await;
    assert_eq!((status, &wrong["errors"][0]["extensions"]["problems"][0]["line"]), (400, &json!(1)), "{wrong}");
    for (method, path) in [
        (Method::GET, "/tenants"),
        (Method::POST, "/tenants"),
        (Method::POST, "/tenants/farm/suspend"),
        (Method::POST, "/tenants/farm/resume"),
        (Method::DELETE, "/tenants/farm?confirm=farm"),
        (Method::PUT, "/tenants/farm/plan"),
        (Method::DELETE, "/tenants/farm/plan"),
        (Method::GET, "/audit"),
    ] {
        assert_eq!(call(method.clone(), path, Json::Null).await.0, 403, "{method} {path}");
    }
    assert_eq!(call(Method::GET, "/tenants/farm", Json::Null).await.0, 200);
    let trail = office.get("/tenants/farm/audit?action=ontology.").await;
    let told: Vec<Json> = trail["records"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            json!([
                one["record"]["who"],
                one["record"]["action"],
                one["record"]["decision"],
                one["record"]["variables"]["version"]
            ])
        })
        .collect();
    assert_eq!(told[0], json!(["the command line", "ontology.publish", "allowed", 1]), "{trail}");
    assert_eq!(told[1], json!(["tom", "ontology.publish", "allowed", 2]), "{trail}");
    assert!(told.contains(&json!(["tom", "ontology.rollback", "allowed", 3])), "{trail}");
    assert!(told.contains(&json!(["tom", "ontology.publish", "refused", null])), "{trail}");
}

#[tokio::test]
async fn a_plan_is_set_while_the_gateway_runs() {
    let office = Office::open("[tenants]\nconcurrency = 8\n");
    let shown = office.get("/tenants/farm/plan").await;
    assert_eq!((&shown["plan"]["concurrency"], &shown["own"]), (&json!(8), &Json::Null), "{shown}");
    let plan = json!({ "requests_per_hour": 3 });
    let set = office.done(Method::PUT, "/tenants/farm/plan", plan.clone()).await;
    assert_eq!((&set["plan"]["requests_per_hour"], &set["own"]), (&json!(3), &plan), "{set}");
    let token = office.quipu.token("farm", &["--role", "admin"]);
    let is_limited = |answer: &Json| answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED";
    office.running.soon(&token, "{ farms { id } }", is_limited).await;
    for (wrong, told) in [
        (json!({ "request_per_hour": 3 }), "did you mean"),
        (json!([]), "object"),
        (json!({ "concurrency": 0 }), "from 1"),
    ] {
        let (status, body) = office.call(&office.operator, Method::PUT, "/tenants/farm/plan", wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(body["errors"][0]["message"].as_str().is_some_and(|message| message.contains(told)), "{body}");
    }
    let reset = office.done(Method::DELETE, "/tenants/farm/plan", Json::Null).await;
    assert_eq!((&reset["plan"]["requests_per_hour"], &reset["own"]), (&json!("unlimited"), &Json::Null), "{reset}");
    office.running.soon(&token, "{ farms { id } }", |answer| answer["errors"].is_null()).await;
}
