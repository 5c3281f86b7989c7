use super::quipu::{FARM, Quipu};
use base64::Engine as _;
use serde_json::Value as Json;

const COMMANDS: [&str; 11] =
    ["demo", "serve", "migrate", "ontology", "documents", "token", "import", "explain", "policy", "audit", "tenant"];

#[test]
fn help_says_what_each_command_is_for() {
    let quipu = Quipu::empty();
    let help = quipu.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for command in COMMANDS {
        assert!(help.out.contains(&format!("\n  {command} ")), "{}", help.out);
        let own = quipu.run(&[command, "--help"]);
        assert_eq!((own.code, own.err.as_str()), (Some(0), ""), "{command}");
        assert!(own.out.contains("--config <FILE>"), "{}", own.out);
    }
    assert!(help.out.contains("Exit codes: 0 done, 1"));
    assert!(quipu.run(&["--version"]).out.starts_with("quipu "));
}

#[test]
fn wrong_usage_is_exit_code_2_and_nothing_is_touched() {
    let quipu = Quipu::empty();
    for args in [
        &["servee"][..],
        &[],
        &["token"],
        &["token", "--tenant", "No Tenant"],
        &["token", "--tenant", "farm", "--claim", "regions=EU"],
        &["token", "--tenant", "farm", "--ttl", "soon"],
        &["import", "--tenant", "farm"],
        &["explain", "--tenant", "farm", "q.graphql", "--variables", "[1]"],
        &["serve", "--listen", "here"],
    ] {
        let ended = quipu.run(args);
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert!(ended.err.contains("error: ") || ended.err.contains("Usage: "), "{args:?}: {ended:?}");
        assert!(!ended.err.contains('\u{1b}'), "colours where nobody sees them: {ended:?}");
    }
    assert!(!quipu.path("quipu.db").exists());
}

#[test]
fn settings_that_are_wrong_are_named() {
    let quipu = Quipu::empty();
    quipu.file("other.toml", "[server]\nlissen = \"127.0.0.1:1\"\n");
    let ended = quipu.run(&["migrate", "--config", "other.toml"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.err.contains("other.toml:2: unknown setting `server.lissen`; did you mean `server.listen`?"),
        "{ended:?}"
    );
    let ended = quipu.run(&["migrate", "--config", "none.toml"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let ended = quipu.run_with(&["migrate"], &[("QUIPU_STORE_PATHH", "x")]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("QUIPU_STORE_PATH"), "{ended:?}");
}

#[test]
fn without_a_key_there_is_neither_a_token_nor_a_server() {
    let quipu = Quipu::empty();
    quipu.file("open.toml", "");
    for args in [&["token", "--tenant", "farm", "--config", "open.toml"][..], &["serve", "--config", "open.toml"]] {
        let ended = quipu.run(args);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("`auth.secret` is not set") && ended.err.contains("help: "), "{ended:?}");
    }
}

#[test]
fn a_token_says_what_was_asked_for_and_nothing_else_is_printed() {
    let quipu = Quipu::empty();
    let args = [
        "token",
        "--tenant",
        "farm",
        "--subject",
        "ada",
        "--role",
        "a",
        "--role",
        "b",
        "--claim",
        "n=[1]",
        "--ttl",
        "2h",
    ];
    let ended = quipu.run(&args);
    assert_eq!((ended.code, ended.err.as_str(), ended.out.lines().count()), (Some(0), "", 1));
    let payload = ended.out.trim().split('.').nth(1).expect("three parts").to_owned();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64");
    let claims: Json = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(claims["tenant"], "farm");
    assert_eq!(
        (&claims["sub"], &claims["roles"], &claims["n"]),
        (&"ada".into(), &vec!["a", "b"].into(), &vec![1].into())
    );
    assert_eq!(claims["exp"].as_i64().expect("a number") - claims["iat"].as_i64().expect("a number"), 7200);
    let twice = quipu.run(&["token", "--tenant", "farm", "--claim", "tenant=\"other\""]);
    assert_eq!(twice.code, Some(2), "another tenant by a claim: {twice:?}");
}

#[test]
fn an_ontology_is_checked_printed_and_compared() {
    let quipu = Quipu::empty();
    quipu.file("farm.graphql", FARM);
    let ended = quipu.run(&["ontology", "check", "farm.graphql"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "farm.graphql is fine: 2 node types, 1 row types\n"));
    let printed = quipu.run(&["ontology", "print", "farm.graphql"]).out;
    assert!(printed.contains("keeps: -KEEPS-> [Animal] with Keeping"), "{printed}");
    assert!(printed.contains("farm_id: ID, indexed, named by a join only"), "{printed}");
    let api = quipu.run(&["ontology", "print", "farm.graphql", "--api"]).out;
    assert!(api.contains("type Mutation") && api.contains("farmsConnection("), "{api}");

    quipu.file("less.graphql", FARM.replace("  about: String @embed\n", ""));
    let same = quipu.run(&["ontology", "diff", "farm.graphql", "farm.graphql"]);
    assert_eq!((same.code, same.out.as_str()), (Some(0), "nothing changes\n"));
    let less = quipu.run(&["ontology", "diff", "farm.graphql", "less.graphql"]);
    assert_eq!(less.code, Some(1));
    assert!(less.out.contains("breaking") && less.out.contains("Farm.about"), "{less:?}");
    let more = quipu.run(&["ontology", "diff", "less.graphql", "farm.graphql"]);
    assert_eq!(more.code, Some(0), "{more:?}");
}

#[test]
fn problems_of_an_ontology_are_shown_with_their_place() {
    let quipu = Quipu::empty();
    quipu.file("bad.graphql", FARM.replace("[Animal!]!", "[Animl!]!").replace("Int!", "Itn!"));
    for args in [
        &["ontology", "check", "bad.graphql"][..],
        &["ontology", "publish", "--tenant", "farm", "bad.graphql"],
        &["ontology", "check", "none.graphql"],
    ] {
        assert_eq!(quipu.run(args).code, Some(1), "{args:?}");
    }
    let ended = quipu.run(&["ontology", "check", "bad.graphql"]);
    for part in ["bad.graphql:10:", "Animl", "bad.graphql:15:", "did you mean `Int`", "^^^"] {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
    assert!(!ended.err.contains('\u{1b}'));
    assert!(!quipu.path("quipu.db").exists(), "nothing is published of it");
}

#[test]
fn publishing_counts_versions_and_tells_what_changes() {
    let quipu = Quipu::with_farm();
    let publish = ["ontology", "publish", "--tenant", "farm", "farm.graphql"];
    assert_eq!(quipu.run(&publish).out, "farm has this ontology already: version 1\n");
    quipu.file("farm.graphql", FARM.replace("kind: String!", "kind: String!  legs: Int"));
    let ended = quipu.run(&publish);
    assert!(ended.out.starts_with("published version 2 for farm\n"), "{ended:?}");
    assert!(ended.out.contains("Animal.legs"), "{ended:?}");
}

#[test]
fn what_a_diff_names_is_what_publishing_does_or_refuses() {
    let quipu = Quipu::with_farm();
    quipu.file("a.jsonl", "{\"node\":\"Animal\",\"id\":\"1\",\"properties\":{\"kind\":\"cow\"}}\n");
    assert_eq!(quipu.run(&["import", "--tenant", "farm", "a.jsonl"]).code, Some(0));
    let becomes = |kind: &str| {
        quipu.file("new.graphql", FARM.replace("kind: String!", kind));
        let diff = quipu.run(&["ontology", "diff", "farm.graphql", "new.graphql"]).out;
        (diff, quipu.run(&["ontology", "publish", "--tenant", "farm", "new.graphql"]))
    };
    let (diff, published) = becomes("kind: Int!");
    let named = "publishing refuses while there is data that needs this:\n  convert Animal.kind from String! to Int!";
    assert!(diff.contains(named), "{diff}");
    assert_eq!(published.code, Some(1), "{published:?}");
    assert!(published.err.contains("Animal.kind is Int!, so far String!, and there is 1 record"), "{published:?}");
    let (diff, published) = becomes("kind: String! @index  legs: Int! @default(value: 4)");
    for part in ["publishing does to the data:", "index Animal.kind", "give every Animal without legs the default 4"] {
        assert!(diff.contains(part) && published.out.contains(part), "{part}: {diff}{published:?}");
    }
    let answer = quipu.answer("farm", "{ animals { legs } }", &["--role", "admin"]);
    assert_eq!(answer["data"]["animals"][0]["legs"], 4, "{answer}");
}

#[test]
fn a_store_that_is_not_ours_is_exit_code_3_and_stays_as_it_is() {
    let quipu = Quipu::empty();
    let foreign = quipu.file("quipu.db", "this is a diary and no database");
    for args in [&["migrate"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let ended = quipu.run(args);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.err.contains("quipu.db: "), "{ended:?}");
    }
    assert_eq!(std::fs::read(foreign).expect("still there"), b"this is a diary and no database");
    let made = quipu.run(&["migrate", "--config", "quipu.toml"]);
    assert_eq!(made.code, Some(3));
    let made = quipu.run_with(&["migrate"], &[("QUIPU_STORE_PATH", "new.db")]);
    assert_eq!((made.code, made.out.as_str()), (Some(0), "new.db is up to date\n"));
}

#[test]
fn explain_tells_each_stage_as_the_caller_sees_it() {
    let quipu = Quipu::with_farm();
    quipu.file("farms.jsonl", "{\"node\":\"Farm\",\"id\":\"1\",\"properties\":{\"name\":\"A\",\"region\":\"EU\"}}\n{\"node\":\"Farm\",\"id\":\"2\",\"properties\":{\"name\":\"B\",\"region\":\"NA\"}}\n");
    assert_eq!(quipu.run(&["import", "--tenant", "farm", "farms.jsonl"]).code, Some(0));
    quipu.file("query.graphql", "query Farms($first: Int!) { farms(limit: $first) { name } }");
    let explain = ["explain", "--tenant", "farm", "query.graphql", "--variables", "{\"first\":9}"];
    let ended = quipu.run(&[&explain[..], &["--claim", "regions=[\"NA\"]", "--subject", "ada"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in ["== document", "== price", "-- read", "-- guarded read", "== statement 1 on graph: 1 rows", "SELECT"] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    assert!(ended.out.ends_with("{\"data\":{\"farms\":[{\"name\":\"B\"}]}}\n"), "{}", ended.out);
    let admin = quipu.run(&[&explain[..], &["--role", "admin", "--subject", "root"]].concat());
    assert!(admin.out.contains("{\"name\":\"A\"},{\"name\":\"B\"}"), "{}", admin.out);

    quipu.file("query.graphql", "{ farmz { name } }");
    let ended = quipu.run(&["explain", "--tenant", "farm", "query.graphql"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let ended = quipu.run(&["explain", "--tenant", "nobody", "query.graphql"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("no tenant nobody is served; there is farm"), "{ended:?}");
}
