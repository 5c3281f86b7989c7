//! Arguments that several commands share: a tenant, and who asks.

use clap::Args;
use quipu_resolvers::guard::TenantId;
use serde_json::{Map, Value as Json};

use super::failure::Failure;
use crate::auth::own_claim;
pub use crate::auth::{line, span};
use crate::config;

/// Who asks, as a token would say it.
#[derive(Debug, Args)]
pub struct Caller {
    /// Whom to act for: the claim `sub`, without which most rules let nobody pass
    #[arg(long, value_name = "NAME", default_value = "cli")]
    pub subject: String,
    /// A role; repeat for several
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Any further claim, its value as JSON; repeat for several
    #[arg(long = "claim", value_name = "NAME=JSON", value_parser = claim)]
    pub claims: Vec<(String, Json)>,
}

impl Caller {
    /// The further claims by name.
    ///
    /// # Errors
    /// When a claim is given twice.
    pub fn claims(&self) -> Result<Map<String, Json>, String> {
        by_name(self.claims.clone())
    }
}

/// The name of a tenant.
pub fn tenant(name: &str) -> Result<TenantId, String> {
    TenantId::parse(name).ok_or_else(|| {
        "a tenant is named by 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or digit".to_owned()
    })
}

/// Claims by name.
///
/// # Errors
/// When one is given twice.
pub fn by_name(given: Vec<(String, Json)>) -> Result<Map<String, Json>, String> {
    let mut claims = Map::new();
    for (name, value) in given {
        if claims.contains_key(&name) {
            return Err(format!("the claim `{name}` is given twice"));
        }
        claims.insert(name, value);
    }
    Ok(claims)
}

/// Looks whether claims are none that other arguments make.
///
/// # Errors
/// When one is.
pub fn further(claims: &Map<String, Json>, auth: &config::Auth) -> Result<(), Failure> {
    match own_claim(claims, auth) {
        Some(claim) => Err(Failure::usage(format!("the claim `{claim}` is set already"))
            .help("arguments of their own say the tenant, the subject and the roles")),
        None => Ok(()),
    }
}

/// A claim with its value.
pub fn claim(text: &str) -> Result<(String, Json), String> {
    let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err("expected a name and a value like regions='[\"EU\"]'".to_owned());
    };
    match serde_json::from_str(value) {
        Ok(value) => Ok((name.to_owned(), value)),
        Err(error) => Err(format!("the value is no JSON ({error}); text is quoted, like {name}='\"{value}\"'")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_json() {
        assert_eq!(claim("regions=[\"EU\"]"), Ok(("regions".into(), json!(["EU"]))));
        assert_eq!(claim("a=\"b=c\""), Ok(("a".into(), json!("b=c"))));
        assert!(claim("region=EU").expect_err("no JSON").contains("region='\"EU\"'"));
        assert!(claim("=1").is_err());
        assert!(claim("regions").is_err());
        let twice = by_name(vec![("a".into(), json!(1)), ("b".into(), json!(1)), ("a".into(), json!(2))]);
        assert!(twice.expect_err("twice").contains("`a`"));
    }
}
