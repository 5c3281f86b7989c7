//! The playground's examples against the APIs of their tenants: every field and every argument is known.

use std::path::Path;

use async_graphql::parser::parse_query;
use quipu_resolvers::plan::{self, Asked};
use quipu_schema::api::Api;
use quipu_schema::compile;
use serde_json::Map;

use super::fits::tenants;

/// What is wrong with a field or below it.
fn wrong(asked: &Asked<'_>) -> Vec<String> {
    let mut found: Vec<String> = asked.below.iter().flat_map(|below| below.fields.iter().flat_map(wrong)).collect();
    if asked.def.is_none() && !asked.name.starts_with("__") {
        found.push(format!("{:?}: no field {}", asked.at, asked.name));
    }
    if let Err(fault) = &asked.args {
        found.push(format!("{:?}: {}: {fault:?}", asked.at, asked.name));
    }
    found
}

#[test]
fn every_example_fits_the_api_of_its_tenant() {
    for (tenant, sdl, _) in tenants() {
        let api = Api::of(&compile(sdl).unwrap());
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("playground/examples").join(tenant);
        let mut files: Vec<_> = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "graphql"));
        assert!(files.len() >= 6, "{tenant}");
        for path in files {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("# "), "{}: no title", path.display());
            let given = std::fs::read_to_string(path.with_extension("json")).unwrap_or_else(|_| "{}".into());
            let given: Map<_, _> = serde_json::from_str(&given).unwrap();
            let document = parse_query(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let operations: Vec<_> = document.operations.iter().collect();
            assert!(operations.len() == 1 && operations[0].0.is_some(), "{}: one named operation", path.display());
            let asked = plan::asked(&api, &document, &operations[0].1.node, &given).unwrap();
            let found: Vec<String> = asked.iter().flat_map(wrong).collect();
            assert!(!asked.is_empty() && found.is_empty(), "{}: {found:?}", path.display());
        }
    }
}
