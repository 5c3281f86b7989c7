//! Ontologies of a tenant: looked at, compared, published and rolled back.

use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::ports::OntologyVersion;
use quipu_schema::diff::diff;
use quipu_schema::ontology::Ontology;
use quipu_schema::problem::Problems;
use serde::Deserialize;
use serde_json::json;

use super::{Call, Done, Outcome, not_found};
use crate::http::reply::Refusal;
use crate::tenancy::{self, Published, Unpublished};

/// An ontology as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    sdl: String,
}

/// Which version is to come back.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct To {
    to: Option<u64>,
}

/// `POST /ontology/check`: what is wrong with an ontology, each with its place.
pub(super) async fn check(call: Call) -> Outcome {
    call.knows(&[])?;
    let Sent { sdl } = call.body()?;
    Ok(Done::with(match compiled(sdl).await? {
        Ok(ontology) => {
            json!({ "valid": true, "types": ontology.types.keys().collect::<Vec<_>>(), "problems": [], "more": 0 })
        }
        Err(Problems { problems, more, .. }) => {
            json!({ "valid": false, "types": [], "problems": problems, "more": more })
        }
    }))
}

/// `GET /tenants/{tenant}/ontology`: the text that is published last, and its version.
pub(super) async fn show(call: Call) -> Outcome {
    call.knows(&[])?;
    let (version, sdl) = published(&call).await?;
    Ok(Done::with(json!({ "version": version, "sdl": sdl })))
}

/// `POST /tenants/{tenant}/ontology/diff`: what would change if this were published.
pub(super) async fn compare(call: Call) -> Outcome {
    call.knows(&[])?;
    let Sent { sdl } = call.body()?;
    let new = compiled(sdl).await?.map_err(unfit)?;
    let (version, old) = served(&call).await?;
    let diff = diff(&old, &new);
    Ok(Done::with(json!({
        "from": version,
        "breaking": diff.is_breaking(),
        "changes": diff.changes,
        "migrations": diff.migrations,
    })))
}

/// `POST /tenants/{tenant}/ontology`: publishes one.
pub(super) async fn publish(call: Call) -> Outcome {
    call.knows(&[])?;
    let Sent { sdl } = call.body()?;
    let published = call.admin.publisher.publish(call.tenant()?, &sdl).await.map_err(refusal)?;
    Ok(told(&published))
}

/// `GET /tenants/{tenant}/ontology/versions`: all of them, the oldest first.
pub(super) async fn history(call: Call) -> Outcome {
    call.knows(&[])?;
    let versions = tenancy::history(&call.admin.publisher.ports, call.tenant()?).await?;
    let shown = |one: &OntologyVersion| json!({ "version": one.version, "published": one.at, "bytes": one.bytes });
    Ok(Done::with(json!({ "versions": versions.iter().map(shown).collect::<Vec<_>>() })))
}

/// `GET /tenants/{tenant}/ontology/versions/{version}`: the text of one.
pub(super) async fn version(call: Call) -> Outcome {
    call.knows(&[])?;
    let unknown = |_| not_found("versions of ontologies are numbers from 1".to_owned());
    let version: u64 = call.path("version").parse().map_err(unknown)?;
    let sdl = tenancy::text(&call.admin.publisher.ports, call.tenant()?, version).await?;
    Ok(Done::with(json!({ "version": version, "sdl": sdl })))
}

/// `POST /tenants/{tenant}/ontology/rollback`: publishes an earlier text again, as a new version; that of the one before, if nothing is said.
pub(super) async fn roll_back(call: Call) -> Outcome {
    call.knows(&[])?;
    let To { to } = if call.body.is_null() { To::default() } else { call.body()? };
    let published = call.admin.publisher.roll_back(call.tenant()?, to).await.map_err(refusal)?;
    Ok(told(&published).about("to", to))
}

fn told(published: &Published) -> Done {
    let diff = published.diff.as_ref();
    let done = Done::with(json!({
        "version": published.version,
        "before": published.before,
        "isNew": published.is_new(),
        "changes": diff.map(|diff| &diff.changes),
        "migrations": diff.map(|diff| &diff.migrations),
        "filling": published.filling,
        "misfits": published.misfits,
        "toEmbed": published.to_embed,
    }));
    done.about("version", published.version).about("before", published.before)
}

/// Why nothing was published.
pub(super) fn refusal(unpublished: Unpublished) -> Refusal {
    match unpublished {
        Unpublished::Problems(problems) => unfit(problems),
        Unpublished::Fault(fault) => fault.into(),
    }
}

/// What is published last, compiled.
pub(super) async fn served(call: &Call) -> Result<(u64, Ontology), Refusal> {
    let (version, sdl) = published(call).await?;
    compiled(sdl).await?.map(|ontology| (version, ontology)).map_err(|_| {
        let message = format!("version {version}, which is published, does not compile any more");
        Fault::client(Code::Conflict, message).into()
    })
}

/// Large ontologies take tens of milliseconds, which nobody else should have to wait for.
async fn compiled(sdl: String) -> Result<Result<Ontology, Problems>, Refusal> {
    let compiled = tokio::task::spawn_blocking(move || quipu_schema::compile(&sdl)).await;
    compiled.map_err(|error| Fault::internal("ontology", error).into())
}

/// The refusal of an ontology that does not compile.
fn unfit(problems: Problems) -> Refusal {
    let count = problems.problems.len() + problems.more;
    let message = format!("the ontology does not compile: {count} problems, in `extensions.problems`");
    let details = json!({ "problems": problems.problems, "more": problems.more });
    let details = details.as_object().cloned().map(Box::new);
    Refusal { details, ..Fault::client(Code::BadUserInput, message).into() }
}

async fn published(call: &Call) -> Result<(u64, String), Refusal> {
    let found = call.admin.publisher.ports.metadata.ontology(call.tenant()?).await?;
    found.ok_or_else(|| not_found("nothing is published for the tenant".to_owned()))
}
