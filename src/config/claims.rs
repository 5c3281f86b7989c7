//! The forms of settings that speak of claims: where one is, which ones a token needs, for which tenants an issuer may speak.

use std::collections::BTreeSet;

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use quipu_resolvers::guard::TenantId;
use serde_json::{Map, Value};
use toml::de::DeValue;

use super::form::{Form, Raw, quoted};

/// The texts of a list, or one text alone.
pub(super) fn texts(raw: &Raw<'_>) -> Option<Vec<String>> {
    match raw {
        Raw::Toml(DeValue::Array(items)) => {
            items.iter().map(|item| item.get_ref().as_str().filter(|text| !text.is_empty()).map(Into::into)).collect()
        }
        _ => raw.text().filter(|text| !text.is_empty()).map(|text| vec![text.into()]),
    }
}

pub(super) fn list(texts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", quoted.join(", "))
}

/// One text or several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Texts(pub Vec<String>);

impl Form for Texts {
    const EXPECTED: &'static str = "text, or a list of texts";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        texts(raw).map(Self)
    }

    fn show(&self) -> Option<String> {
        Some(list(&self.0))
    }
}

impl Form for TenantId {
    const EXPECTED: &'static str = "the name of a tenant";
    const EXAMPLE: &'static str = "\"ops\"";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        Self::parse(raw.text()?)
    }

    fn show(&self) -> Option<String> {
        Some(quoted(self.as_str()))
    }
}

/// The tenants that an issuer may speak for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpokenFor {
    /// All of this gateway.
    All,
    /// Those.
    These(BTreeSet<TenantId>),
}

impl SpokenFor {
    /// Whether a tenant is among them.
    pub fn includes(&self, tenant: &TenantId) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(tenant),
        }
    }
}

impl Form for SpokenFor {
    const EXPECTED: &'static str = "a list of names of tenants like [\"acme\", \"beta\"], or \"*\" for all";
    const EXAMPLE: &'static str = "[\"acme\", \"beta\"]";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        let names = texts(raw).filter(|names| !names.is_empty())?;
        if names.iter().any(|name| name == "*") {
            return (names.len() == 1).then_some(Self::All);
        }
        names.iter().map(|name| TenantId::parse(name)).collect::<Option<_>>().map(Self::These)
    }

    fn show(&self) -> Option<String> {
        Some(match self {
            Self::All => quoted("*"),
            Self::These(names) => list(names.iter().map(TenantId::as_str)),
        })
    }
}

/// Algorithms by which tokens of an issuer may be signed: only such with a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms(pub Vec<Algorithm>);

/// All that are understood, by their names of RFC 7518 and RFC 8037.
const KNOWN: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

impl Algorithms {
    /// Those of one family.
    pub fn of(&self, family: AlgorithmFamily) -> impl Iterator<Item = Algorithm> + '_ {
        self.0.iter().copied().filter(move |algorithm| algorithm.family() == family)
    }
}

impl Default for Algorithms {
    fn default() -> Self {
        Self(KNOWN.map(|(_, algorithm)| algorithm).to_vec())
    }
}

impl Form for Algorithms {
    const EXPECTED: &'static str =
        "a list of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (HS256 is by `auth.secret` alone)";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        let known = |name: &String| KNOWN.iter().find(|(known, _)| known == name).map(|(_, algorithm)| *algorithm);
        let names = texts(raw).filter(|names| !names.is_empty())?;
        names.iter().map(known).collect::<Option<_>>().map(Self)
    }

    fn show(&self) -> Option<String> {
        Some(list(self.0.iter().map(|algorithm| format!("{algorithm:?}"))))
    }
}

/// Where a claim is: names of objects inside of each other, the last one that of the claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// A claim of the token itself, whatever is in its name.
    pub fn whole(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// Reads a text: a dot leads inside, but not in a name that is a URL, as some issuers call their claims.
    fn parse(text: &str) -> Option<Self> {
        if text.contains(['/', ':']) {
            return Some(Self::whole(text));
        }
        let parts: Vec<String> = text.split('.').map(Into::into).collect();
        parts.iter().all(|part| !part.is_empty()).then_some(Self(parts))
    }

    /// The claim, when it is there.
    pub fn of<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
    }

    /// As it is named in a log.
    pub fn shown(&self) -> String {
        self.0.join(".")
    }
}

impl Form for ClaimPath {
    const EXPECTED: &'static str = "the name of a claim like \"groups\" or \"realm_access.roles\", or a list of names, each inside of the one before";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Toml(DeValue::Array(_)) => texts(raw).filter(|parts| !parts.is_empty()).map(Self),
            _ => Self::parse(raw.text()?),
        }
    }

    fn show(&self) -> Option<String> {
        let shown = self.shown();
        Some(if Self::parse(&shown).as_ref() == Some(self) { quoted(&shown) } else { list(&self.0) })
    }
}

/// Claims that a token needs, each with the values of which it has to have one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RequiredClaims(pub Vec<(ClaimPath, Vec<Value>)>);

/// Stands for any value.
pub const ANY: &str = "*";

impl Form for RequiredClaims {
    const EXPECTED: &'static str = "claims with the value that each needs, like { azp = \"quipu\", email_verified = true }; several in a list for one of them, \"*\" for any";
    const EXAMPLE: &'static str = "{ azp = \"quipu\" }";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        let Raw::Toml(DeValue::Table(table)) = raw else { return None };
        let claims = table.iter().map(|(name, value)| {
            let values: Vec<Value> = match value.get_ref() {
                DeValue::Array(items) => items.iter().map(|item| scalar(item.get_ref())).collect::<Option<_>>()?,
                value => vec![scalar(value)?],
            };
            Some((ClaimPath::parse(name.get_ref())?, values)).filter(|(_, values)| !values.is_empty())
        });
        claims.collect::<Option<_>>().map(Self)
    }

    fn show(&self) -> Option<String> {
        let claim = |(path, values): &(ClaimPath, Vec<Value>)| {
            let values: Vec<String> =
                values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), quoted)).collect();
            format!("{} = [{}]", quoted(&path.shown()), values.join(", "))
        };
        let claims: Vec<String> = self.0.iter().map(claim).collect();
        (!claims.is_empty()).then(|| format!("{{ {} }}", claims.join(", ")))
    }
}

/// A text, whole number or truth value of the file as JSON.
fn scalar(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(text.as_ref().into()),
        DeValue::Boolean(flag) => Some((*flag).into()),
        DeValue::Integer(_) => Raw::Toml(value).integer().map(Into::into),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> ClaimPath {
        ClaimPath::take(&Raw::Text(text)).unwrap()
    }

    #[test]
    fn a_dot_leads_inside_but_not_in_a_url() {
        let claims = json!({"a": {"b": 1, "c.d": 2}, "https://x.example/roles": 3, "a.b": 4});
        let claims = claims.as_object().unwrap();
        assert_eq!(path("a.b").of(claims), Some(&json!(1)));
        assert_eq!(path("https://x.example/roles").of(claims), Some(&json!(3)));
        assert_eq!(ClaimPath(vec!["a".into(), "c.d".into()]).of(claims), Some(&json!(2)));
        assert_eq!(ClaimPath::whole("a.b").of(claims), Some(&json!(4)));
        assert_eq!(path("a.b.c").of(claims), None);
        for wrong in ["", ".", "a..b", "a."] {
            assert_eq!(ClaimPath::take(&Raw::Text(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn algorithms_with_a_secret_are_none_of_an_issuer() {
        for wrong in ["HS256", "none", "rs256", ""] {
            assert_eq!(Algorithms::take(&Raw::Text(wrong)), None, "{wrong}");
        }
        assert_eq!(Algorithms::take(&Raw::Text("ES256")), Some(Algorithms(vec![Algorithm::ES256])));
        assert_eq!(Algorithms::default().of(AlgorithmFamily::Ec).count(), 2);
    }

    #[test]
    fn all_tenants_are_named_by_a_star_alone() {
        assert_eq!(SpokenFor::take(&Raw::Text("*")), Some(SpokenFor::All));
        assert_eq!(SpokenFor::take(&Raw::Text("Acme")), None);
        let acme = SpokenFor::take(&Raw::Text("acme")).unwrap();
        assert!(acme.includes(&TenantId::parse("acme").unwrap()) && !acme.includes(&TenantId::parse("beta").unwrap()));
    }
}
