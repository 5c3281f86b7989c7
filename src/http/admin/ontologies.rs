//! Ontologies of a tenant: looked at, compared, published and rolled back.

use quipu_resolvers::fault::{Code, Fault};
use quipu_schema::diff::diff;
use quipu_schema::ontology::Ontology;
use quipu_schema::problem::Problems;
use serde::Deserialize;
use serde_json::json;

use super::{Call, Done, Outcome};
use crate::http::reply::Refusal;

/// An ontology as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    sdl: String,
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
    let (version, sdl) = published(&call).await?;
    let Ok(old) = compiled(sdl).await? else {
        let message = format!(
            "version {version}, which is published, does not compile any more: there is nothing to compare with"
        );
        return Err(Fault::client(Code::Conflict, message).into());
    };
    let diff = diff(&old, &new);
    Ok(Done::with(json!({
        "from": version,
        "breaking": diff.is_breaking(),
        "changes": diff.changes,
        "migrations": diff.migrations,
    })))
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
    let found = call.admin.ports.metadata.ontology(call.tenant()?).await?;
    found.ok_or_else(|| super::not_found("nothing is published for the tenant".to_owned()))
}
