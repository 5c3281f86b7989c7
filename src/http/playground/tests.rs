//! The page's routes, asked without a socket.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

fn demo(production: bool) -> Router {
    let tenants = vec![DemoTenant { name: "library".into(), token: "secret".into() }];
    routes(PlaygroundConfig { tenants, endpoint: "/graphql".into(), production })
}

async fn ask(router: Router, path: &str) -> (StatusCode, HeaderMap, String) {
    let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8_lossy(&bytes).into_owned())
}

fn built(path: &str) -> Option<File> {
    let content = match path {
        "index.html" => "<!doctype html>",
        "assets/page-1a2b.js" => "let long",
        "assets/page-1a2b.js.gz" => "zipped",
        _ => return None,
    };
    let mut hash = [0; 32];
    hash[..content.len().min(32)].copy_from_slice(content.as_bytes());
    Some(File { bytes: Bytes::from_static(content.as_bytes()), hash })
}

fn with(name: HeaderName, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
}

async fn body(response: Response) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn the_configuration_offers_the_tenants_and_their_examples() {
    let (status, headers, body) = ask(demo(false), "/playground/config.json").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["endpoint"], "/graphql");
    assert_eq!(told["production"], false);
    assert_eq!(told["tenants"], serde_json::json!([{"name": "library", "token": "secret"}]));
    for tenant in ["library", "cryox"] {
        let examples = told["examples"][tenant].as_array().unwrap();
        assert!(examples.len() >= 3, "{tenant} has {} examples", examples.len());
    }
}

#[tokio::test]
async fn production_gives_no_token_away() {
    let (status, _, body) = ask(demo(true), "/playground/config.json").await;
    assert_eq!(status, StatusCode::OK);
    assert!(!body.contains("secret"), "{body}");
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["tenants"], serde_json::json!([]));
    assert_eq!(told["examples"], serde_json::json!({}));
    assert_eq!(told["production"], true);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    for path in ["/playground", "/playground/", "/playground/config.json", "/playground/assets/none.js"] {
        let (_, headers, _) = ask(demo(false), path).await;
        for (name, value) in SECURITY_HEADERS {
            assert_eq!(headers.get(&name).map(HeaderValue::as_bytes), Some(value.as_bytes()), "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    for path in [
        "/playground/assets/none.js",
        "/playground/..%2f..%2fCargo.toml",
        "/playground/../Cargo.toml",
        "/playground/assets",
    ] {
        let (status, _, body) = ask(demo(false), path).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_FOUND, ""), "{path}");
    }
}

#[tokio::test]
async fn without_a_built_page_the_answer_says_how_to_build_it() {
    let response = page(|_| None, &HeaderMap::new());
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(String::from_utf8_lossy(&body(response).await).contains("make playground"));
}

#[tokio::test]
async fn hashed_files_are_kept_for_ever_and_the_page_is_asked_for_again() {
    let page = page(built, &HeaderMap::new());
    assert_eq!(page.headers()[header::CACHE_CONTROL], "no-cache");
    assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    let script = file(built, "assets/page-1a2b.js", &HeaderMap::new()).unwrap();
    assert_eq!(script.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    assert_eq!(script.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    assert_eq!(script.headers().get(header::CONTENT_ENCODING), None);
    assert_eq!(body(script).await, "let long");
}

#[tokio::test]
async fn a_client_that_takes_gzip_gets_it_under_another_tag() {
    let plain = file(built, "assets/page-1a2b.js", &HeaderMap::new()).unwrap();
    for accepted in ["gzip", "br, GZIP;q=0.5", "deflate, gzip ; q=1"] {
        let small = file(built, "assets/page-1a2b.js", &with(header::ACCEPT_ENCODING, accepted)).unwrap();
        assert_eq!(small.headers()[header::CONTENT_ENCODING], "gzip", "{accepted}");
        assert_eq!(small.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_ne!(small.headers()[header::ETAG], plain.headers()[header::ETAG]);
        assert_eq!(body(small).await, "zipped");
    }
    for refused in ["br", "gzip;q=0", "identity, gzip; q=0.0"] {
        let plain = file(built, "assets/page-1a2b.js", &with(header::ACCEPT_ENCODING, refused)).unwrap();
        assert_eq!(plain.headers().get(header::CONTENT_ENCODING), None, "{refused}");
    }
    // A file that did not shrink has no compressed twin.
    let page = file(built, "index.html", &with(header::ACCEPT_ENCODING, "gzip")).unwrap();
    assert_eq!(page.headers().get(header::CONTENT_ENCODING), None);
}

#[tokio::test]
async fn a_client_that_has_the_file_is_told_so() {
    let first = page(built, &HeaderMap::new());
    let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(&known).unwrap())]);
        let second = page(built, &headers);
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(second.headers()[header::ETAG], tag.as_str());
        assert!(body(second).await.is_empty());
    }
    assert_eq!(page(built, &with(header::IF_NONE_MATCH, "\"other\"")).status(), StatusCode::OK);
}

#[test]
fn every_example_has_a_title_a_named_operation_and_readable_variables() {
    let examples = examples();
    assert!(!examples.is_empty());
    for (tenant, example) in examples.iter().flat_map(|(tenant, list)| list.iter().map(move |one| (tenant, one))) {
        let Example { title, query, variables } = example;
        assert!(title.contains(' '), "{tenant}: `{title}` is a file's name, not a title");
        let parsed =
            async_graphql::parser::parse_query(query).unwrap_or_else(|error| panic!("{tenant}: {title}: {error}"));
        let (name, operation) = parsed.operations.iter().next().unwrap();
        assert!(name.is_some(), "{tenant}: {title}: the operation has no name");
        let given = |name: &str| variables.as_ref().is_some_and(|all| all.get(name).is_some());
        let definitions = &operation.node.variable_definitions;
        for variable in definitions.iter().map(|definition| &definition.node) {
            let needed = variable.default_value.is_none() && !variable.var_type.node.nullable;
            assert!(!needed || given(&variable.name.node), "{tenant}: {title}: ${} has no value", variable.name.node);
        }
        let known = |name: &String| definitions.iter().any(|one| one.node.name.node == name.as_str());
        let unknown = variables.iter().flat_map(|all| all.as_object().unwrap().keys()).find(|name| !known(name));
        assert_eq!(unknown, None, "{tenant}: {title}: not a variable of the query");
    }
    for path in ExampleFiles::iter().filter(|path| path.ends_with(".json")) {
        serde_json::from_slice::<Value>(&ExampleFiles::get(&path).unwrap().data)
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

#[test]
fn an_example_without_a_title_is_called_as_its_file() {
    let example = read_example("01-first", "{ __typename }", Some(b"not json"));
    assert_eq!(example, Example { title: "01-first".into(), query: "{ __typename }\n".into(), variables: None });
}
