//! `quipu documents publish | list | remove`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Room, TrustedDocument};
use quipu_resolvers::{Bound, hash_of};
use serde_json::Value as Json;

use super::failure::{Failure, error};
use super::{block_on, caller, print};
use crate::app::App;
use crate::config::Config;
use crate::tenancy::misfits;
use crate::{json, tenants};

/// Bytes of an id at most.
const LONGEST_ID: usize = 255;
/// Brackets inside brackets of a manifest, at most.
const NESTING: usize = 16;

/// Publish the documents that a tenant's clients may send, list and remove them
#[derive(Debug, Subcommand)]
pub enum Documents {
    Publish(Publish),
    List(List),
    Remove(Remove),
}

/// Publish documents for a tenant, beside those that are there
///
/// Files are manifests as the tools of clients write them (a JSON object of ids and documents, or Apollo's
/// persisted query manifest), or documents in GraphQL, whose id is the SHA-256 of the file. Each has to fit
/// the tenant's ontology. A running server knows them within a second.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu documents publish --tenant acme persisted-documents.json
  quipu documents publish --tenant acme queries/*.graphql")]
pub struct Publish {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    /// Manifests (.json) and documents (.graphql, .gql)
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// List the documents that are published for a tenant, and what is wrong with those that do not fit its ontology
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu documents list --tenant acme
  quipu documents list --tenant acme --against changed.graphql    before it is published

The exit code is 1 when a document does not fit.")]
pub struct List {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    /// Another ontology to compare them with, in GraphQL SDL
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

/// Remove documents that are published for a tenant
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  quipu documents remove --tenant acme 2f1c0d...")]
pub struct Remove {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    /// All of them
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Ids of documents
    #[arg(required_unless_present = "all")]
    ids: Vec<String>,
}

impl Documents {
    /// Runs the command.
    pub fn run(self, config: Config) -> Result<(), Failure> {
        match self {
            Self::Publish(publish) => {
                let documents = read(&publish.files)?;
                block_on(publish.run(config, documents))
            }
            Self::List(list) => block_on(list.run(config)),
            Self::Remove(remove) => block_on(remove.run(config)),
        }
    }
}

/// The documents of some files, each id once.
fn read(files: &[PathBuf]) -> Result<Vec<TrustedDocument>, Failure> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for file in files {
        let refused = |what: String| Failure::refused(format!("{}: {what}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
        for TrustedDocument { id, text } in documents_in(file, text).map_err(refused)? {
            let is_plain = (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_plain {
                return Err(refused(format!("an id has 1 to {LONGEST_ID} visible ASCII characters, and not {id:?}")));
            }
            if all.get(&id).is_some_and(|other| *other != text) {
                return Err(refused(format!("the id {id} stands for two documents")));
            }
            all.insert(id, text);
        }
    }
    Ok(all.into_iter().map(|(id, text)| TrustedDocument { id, text }).collect())
}

fn documents_in(file: &Path, text: String) -> Result<Vec<TrustedDocument>, String> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("graphql" | "gql") => Ok(vec![TrustedDocument { id: hexadecimal(&text), text }]),
        Some("json") => manifest(&text),
        _ => Err("manifests are .json files, documents are .graphql or .gql files".to_owned()),
    }
}

/// The SHA-256 of a text in hexadecimal digits, as clients name it.
fn hexadecimal(text: &str) -> String {
    hash_of(text).iter().fold(String::new(), |mut digits, byte| {
        // Writing into a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// Reads a manifest: `{"<id>": "<document>"}` as Relay's compiler and GraphQL Code Generator write it, or Apollo's with its operations in a list.
fn manifest(text: &str) -> Result<Vec<TrustedDocument>, String> {
    let expected = || "expected an object of ids and documents, or Apollo's persisted query manifest".to_owned();
    let value = json::parse(text.as_bytes(), NESTING).map_err(|error| error.to_string())?;
    let text_of = |value: &Json| value.as_str().map(ToOwned::to_owned);
    let documents: Option<Vec<_>> = match value.get("operations") {
        Some(Json::Array(operations)) if value["format"] == "apollo-persisted-query-manifest" => {
            let one = |operation: &Json| {
                Some(TrustedDocument { id: text_of(&operation["id"])?, text: text_of(&operation["body"])? })
            };
            operations.iter().map(one).collect()
        }
        _ => {
            let members = value.as_object().ok_or_else(expected)?;
            members.iter().map(|(id, text)| Some(TrustedDocument { id: id.clone(), text: text_of(text)? })).collect()
        }
    };
    documents.ok_or_else(expected)
}

/// What a tenant is served by, when a server serves it.
async fn served(app: &App, tenant: &TenantId) -> Result<Arc<Bound>, Failure> {
    let Some((version, sdl)) = app.ports.metadata.ontology(tenant).await? else {
        let help = format!("publish its ontology first: quipu ontology publish --tenant {tenant} FILE");
        return Err(Failure::refused(format!("there is no tenant {tenant}")).help(help));
    };
    tenants::compile(&app.engine, tenant.clone(), version, &sdl).map_err(Failure::refused)
}

impl Publish {
    async fn run(self, config: Config, documents: Vec<TrustedDocument>) -> Result<(), Failure> {
        let room = Room { documents: config.limits.trusted_documents, bytes: config.limits.trusted_bytes.0 };
        let app = App::open(config).await?;
        let bound = served(&app, &self.tenant).await?;
        let wrong = misfits(&app.engine, &bound, &documents);
        if !wrong.is_empty() {
            wrong.iter().for_each(|line| error(line));
            let message = format!("not all documents fit the ontology of {}; none is published", self.tenant);
            return Err(Failure::refused(message));
        }
        let new = app.ports.metadata.publish_documents(&self.tenant, &documents, room, &app.now()).await?;
        app.close().await;
        let there = documents.len() - new;
        print(format_args!("published {new} documents for {}, {there} were there already\n", self.tenant));
        Ok(())
    }
}

impl List {
    async fn run(self, config: Config) -> Result<(), Failure> {
        let app = App::open(config).await?;
        let bound = match &self.against {
            None => served(&app, &self.tenant).await?,
            Some(file) => {
                let refused = |what: String| Failure::refused(format!("{}: {what}", file.display()));
                let sdl = std::fs::read_to_string(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
                tenants::compile(&app.engine, self.tenant.clone(), u64::MAX, &sdl).map_err(refused)?
            }
        };
        let (_, documents) = app.ports.metadata.documents(&self.tenant).await?;
        for TrustedDocument { id, text } in &documents {
            let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(72).collect();
            print(format_args!("{id}  {} bytes  {line}\n", text.len()));
        }
        let wrong = misfits(&app.engine, &bound, &documents);
        app.close().await;
        if wrong.is_empty() {
            return Ok(());
        }
        wrong.iter().for_each(|line| error(line));
        Err(Failure::said())
    }
}

impl Remove {
    async fn run(self, config: Config) -> Result<(), Failure> {
        let app = App::open(config).await?;
        let ids = match self.all {
            true => app.ports.metadata.documents(&self.tenant).await?.1.into_iter().map(|one| one.id).collect(),
            false => self.ids,
        };
        let removed = app.ports.metadata.remove_documents(&self.tenant, &ids).await?;
        app.close().await;
        print(format_args!("removed {removed} documents of {}\n", self.tenant));
        match ids.len() - removed {
            0 => Ok(()),
            missing => Err(Failure::refused(format!("{missing} of the ids were not there"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_of_all_tools_are_read() {
        let one = |id: &str, text: &str| TrustedDocument { id: id.into(), text: text.into() };
        let flat = r#"{"a": "{ a }", "b": "{ b }"}"#;
        assert_eq!(manifest(flat).unwrap(), [one("a", "{ a }"), one("b", "{ b }")]);
        let apollo = r#"{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [
            {"id": "a", "name": "A", "type": "query", "body": "query A { a }"}]}"#;
        assert_eq!(manifest(apollo).unwrap(), [one("a", "query A { a }")]);
        for wrong in ["", "[]", "{\"a\": 1}", "{\"a\": \"x\", \"a\": \"y\"}", &apollo.replace("body", "text")] {
            assert!(manifest(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_document_is_named_by_its_hash() {
        // FIPS 180-4: of "abc".
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hexadecimal("abc"), hash);
        let read = documents_in(Path::new("a.graphql"), "abc".into()).unwrap();
        assert_eq!(read, [TrustedDocument { id: hash.into(), text: "abc".into() }]);
        assert!(documents_in(Path::new("a.txt"), "abc".into()).is_err());
    }
}
