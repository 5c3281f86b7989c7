//! Who sees and changes what in the newsroom: users their own, editors drafts, admins all.

use serde_json::{Value as Json, json};

use super::{Newsroom, caller};

fn code(answer: &Json) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("no error")
}

/// All that the ontology's rules promise.
pub async fn kept(newsroom: &Newsroom) {
    pages_of_the_feed(newsroom).await;
    drafts(newsroom).await;
    own_rows(newsroom).await;
    own_preferences(newsroom).await;
}

/// Pages follow each other without a gap, and no insight comes twice.
async fn pages_of_the_feed(newsroom: &Newsroom) {
    let feed = include_str!("../../playground/examples/insights/01-feed.graphql");
    let reader = caller("ben", &[]);
    let (mut seen, mut after, mut pages) = (Vec::new(), Json::Null, 0);
    let total = loop {
        let page = newsroom.ask(&reader, feed, json!({ "first": 25, "after": after, "sure": 0.0 })).await;
        assert_eq!(page["errors"], Json::Null);
        let list = &page["data"]["insightsConnection"];
        let ids = list["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["id"].clone());
        seen.extend(ids.map(|id| id.as_str().unwrap().to_owned()));
        after = list["pageInfo"]["endCursor"].clone();
        pages += 1;
        if list["pageInfo"]["hasNextPage"] == false {
            break list["totalCount"].as_u64().unwrap();
        }
        assert!(pages < 10);
    };
    assert_eq!(seen.len() as u64, total);
    assert!(pages >= 3 && total > 70, "{pages} pages, {total} insights");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len() as u64, total);
}

/// Drafts are there for editors and admins, and nowhere for others: not in lists, counts, related records or searches.
async fn drafts(newsroom: &Newsroom) {
    let query = "{ insightsConnection(where: { status: { eq: DRAFT } }, first: 1) { totalCount edges { node { id question articles(limit: 1) { id } } } } }";
    let found = newsroom.ask(&caller("ada", &["editor"]), query, json!({})).await;
    let list = &found["data"]["insightsConnection"];
    assert!(list["totalCount"].as_u64().unwrap() > 3, "{found}");
    assert_eq!(newsroom.ask(&caller("root", &["admin"]), query, json!({})).await, found);
    let hidden = newsroom.ask(&caller("ben", &["reader"]), query, json!({})).await;
    assert_eq!(hidden["data"]["insightsConnection"], json!({ "totalCount": 0, "edges": [] }));

    let draft = &list["edges"][0]["node"];
    let by_question = "query ($query: String!, $article: ID!) {
      search(query: $query, types: [Insight], first: 1) { node { id } }
      article(id: $article) { insights { id } }
    }";
    let variables = json!({ "query": draft["question"], "article": draft["articles"][0]["id"] });
    let seen = newsroom.ask(&caller("ada", &["editor"]), by_question, variables.clone()).await;
    assert_eq!(seen["data"]["search"][0]["node"]["id"], draft["id"], "{seen}");
    assert!(seen["data"]["article"]["insights"].to_string().contains(&draft["id"].to_string()), "{seen}");
    let hidden = newsroom.ask(&caller("ben", &["reader"]), by_question, variables).await;
    assert_eq!(hidden["errors"], Json::Null, "{hidden}");
    assert!(!hidden.to_string().contains(&draft["id"].to_string()), "{hidden}");
}

/// Users, preferences and jobs: one's own for users, everybody's for admins; also along joins out of the graph.
async fn own_rows(newsroom: &Newsroom) {
    let query = "{
      users { id }
      preferencesConnection { totalCount }
      jobsConnection { totalCount }
      sources { jobs { user { id } } }
      namedEntities(where: { followedBy: { some: { minConfidence: { gte: 0 } } } }) { followedBy { user { id } } }
    }";
    let all = newsroom.ask(&caller("root", &["admin"]), query, json!({})).await["data"].clone();
    assert_eq!(all["users"].as_array().unwrap().len(), 6);
    assert_eq!(
        (&all["preferencesConnection"]["totalCount"], &all["jobsConnection"]["totalCount"]),
        (&json!(24), &json!(27))
    );
    let (mut preferences, mut jobs) = (0, 0);
    for user in all["users"].as_array().unwrap() {
        let own =
            newsroom.ask(&caller(user["id"].as_str().unwrap(), &["editor"]), query, json!({})).await["data"].clone();
        assert_eq!(own["users"], json!([user]));
        preferences += own["preferencesConnection"]["totalCount"].as_u64().unwrap();
        jobs += own["jobsConnection"]["totalCount"].as_u64().unwrap();
        for part in ["sources", "namedEntities"] {
            let text = own[part].to_string();
            assert_eq!(text.matches("\"user\":{").count(), text.matches(&format!("\"user\":{user}")).count(), "{text}");
        }
    }
    assert_eq!((preferences, jobs), (24, 27));
    let nobody = newsroom.ask(&caller("stranger", &[]), query, json!({})).await["data"].clone();
    assert_eq!((&nobody["users"], &nobody["namedEntities"]), (&json!([]), &json!([])));
}

/// Users follow and unfollow for themselves, and neither for others nor in others' rows; the graph is the editors'.
async fn own_preferences(newsroom: &Newsroom) {
    let follow = "mutation ($id: ID!, $user: ID!) {
      createPreferences(input: [{ id: $id, digest: DAILY, user_id: $user, entity_id: \"united-states\" }]) {
        preferences { id minConfidence muted user { id } entity { name } }
      }
    }";
    let eva = caller("eva", &[]);
    let made = newsroom.ask(&eva, follow, json!({ "id": "new", "user": "eva" })).await;
    let expected = json!({ "id": "new", "minConfidence": 0.5, "muted": false, "user": { "id": "eva" }, "entity": { "name": "United States" } });
    assert_eq!(made["data"]["createPreferences"]["preferences"], json!([expected]), "{made}");
    let made = newsroom.ask(&eva, follow, json!({ "id": "theirs", "user": "ada" })).await;
    assert!(["FORBIDDEN", "NOT_FOUND"].contains(&code(&made)), "{made}");
    let delete = "mutation ($id: ID!) { deletePreferences(where: { id: { eq: $id } }) { nodesDeleted } }";
    let gone = newsroom.ask(&eva, delete, json!({ "id": "ada-1" })).await;
    assert_ne!(gone["data"]["deletePreferences"]["nodesDeleted"], 1, "{gone}");
    let gone = newsroom.ask(&eva, delete, json!({ "id": "new" })).await;
    assert_eq!(gone["errors"], Json::Null, "{gone}");
    let count = newsroom.ask(&caller("root", &["admin"]), "{ preferencesConnection { totalCount } }", json!({})).await;
    assert_eq!(count["data"]["preferencesConnection"]["totalCount"], 24);

    let rename = "mutation { updateNamedEntities(where: { id: { eq: \"united-states\" } }, update: { kind: { set: PLACE } }) { namedEntities { kind } } }";
    assert_eq!(code(&newsroom.ask(&eva, rename, json!({})).await), "FORBIDDEN");
    assert_eq!(newsroom.ask(&caller("ada", &["editor"]), rename, json!({})).await["errors"], Json::Null);
    // Also of their own jobs users only read.
    let stop =
        "mutation { updateJobs(where: { id: { eq: \"j22\" } }, update: { status: { set: FAILED } }) { jobs { id } } }";
    assert_eq!(code(&newsroom.ask(&caller("ada", &["editor"]), stop, json!({})).await), "FORBIDDEN");
}
