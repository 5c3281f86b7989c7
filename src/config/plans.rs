//! What tenants may use: `[tenants]` for all of them, and `[tenants.NAME]` for one. The latter in the file alone: names of tenants are no names
//! of variables.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;

use quipu_resolvers::guard::TenantId;
use toml::Spanned;
use toml::de::DeValue;

use super::form::{DocumentMode, Form, Raw, Setting, quoted};
use super::sections::{Config, Plan};
use super::set_one;

/// The section of settings that hold for all tenants.
pub(super) const SECTION: &str = "tenants";

/// The setting after which the reference speaks of single tenants.
pub(super) const AFTER: (&str, &str) = (SECTION, "unknown_price");

/// How much of something may be used in a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// As much as one likes.
    Unlimited,
    /// That much.
    Of(u64),
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::Of(number) => number.fmt(f),
        }
    }
}

impl Form for Quota {
    const EXPECTED: &'static str = "a whole number from 0, or \"unlimited\"";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        match raw.text() {
            Some("unlimited") => Some(Self::Unlimited),
            _ => u64::take(raw).map(Self::Of),
        }
    }

    fn show(&self) -> Option<String> {
        Some(match self {
            Self::Unlimited => quoted("unlimited"),
            Self::Of(number) => number.to_string(),
        })
    }
}

/// What is set for one tenant alone; everything else is as for all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OwnPlan {
    concurrency: Option<NonZeroUsize>,
    requests_per_hour: Option<Quota>,
    price_per_minute: Option<Quota>,
    documents: Option<DocumentMode>,
    unknown_price: Option<u64>,
}

impl OwnPlan {
    /// Hands out every setting with its name.
    pub(super) fn visit(&mut self, visitor: &mut dyn FnMut(&'static str, &mut dyn Setting)) {
        visitor("concurrency", &mut self.concurrency);
        visitor("requests_per_hour", &mut self.requests_per_hour);
        visitor("price_per_minute", &mut self.price_per_minute);
        visitor("documents", &mut self.documents);
        visitor("unknown_price", &mut self.unknown_price);
    }

    /// Reads what was set while the gateway runs: a JSON object with the settings of `[tenants.NAME]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_json(text: &str) -> Result<Self, String> {
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|error| format!("expected an object: {error}"))?;
        let mut own = Self::default();
        for (name, value) in &members {
            // In the form of the environment, which the settings have a form for as well.
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            set_one(SECTION, name, &Raw::Text(&text), |visitor| own.visit(visitor))?;
        }
        Ok(own)
    }

    /// What is set, by the names of settings, as JSON.
    pub fn shown(&self) -> serde_json::Map<String, serde_json::Value> {
        let set = [
            ("concurrency", Form::show(&self.concurrency)),
            ("requests_per_hour", Form::show(&self.requests_per_hour)),
            ("price_per_minute", Form::show(&self.price_per_minute)),
            ("documents", Form::show(&self.documents)),
            ("unknown_price", Form::show(&self.unknown_price)),
        ];
        // Numbers and short texts are the same in TOML and in JSON.
        let json = |shown: String| serde_json::from_str(&shown).ok();
        set.into_iter().filter_map(|(name, shown)| Some((name.to_owned(), json(shown?)?))).collect()
    }

    /// The plan of a tenant that has this one, where all others have another.
    pub fn over(&self, all: &Plan) -> Plan {
        Plan {
            concurrency: self.concurrency.unwrap_or(all.concurrency),
            requests_per_hour: self.requests_per_hour.unwrap_or(all.requests_per_hour),
            price_per_minute: self.price_per_minute.unwrap_or(all.price_per_minute),
            documents: self.documents.unwrap_or(all.documents),
            unknown_price: self.unknown_price.unwrap_or(all.unknown_price),
        }
    }
}

impl Plan {
    /// The settings by their names, as JSON.
    pub fn shown(&self) -> serde_json::Map<String, serde_json::Value> {
        let all = OwnPlan {
            concurrency: Some(self.concurrency),
            requests_per_hour: Some(self.requests_per_hour),
            price_per_minute: Some(self.price_per_minute),
            documents: Some(self.documents),
            unknown_price: Some(self.unknown_price),
        };
        all.shown()
    }
}

impl Config {
    /// What a tenant may use.
    pub fn plan(&self, tenant: &TenantId) -> Plan {
        self.own_plans.get(tenant).map_or_else(|| self.tenants.clone(), |own| own.over(&self.tenants))
    }
}

/// Takes one table `tenants.NAME` of a file.
pub(super) fn take(
    into: &mut BTreeMap<TenantId, OwnPlan>,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    place: &dyn Fn(usize) -> String,
    problems: &mut Vec<String>,
) {
    let section = format!("{SECTION}.{}", name.get_ref());
    let Some(tenant) = TenantId::parse(name.get_ref()) else {
        let place = place(name.span().start);
        return problems.push(format!("{place}: `{section}`: {:?} is no name of a tenant", name.get_ref()));
    };
    let mut own = OwnPlan::default();
    for (key, value) in value.get_ref().as_table().into_iter().flatten() {
        let raw = Raw::Toml(value.get_ref());
        if let Err(problem) = set_one(&section, key.get_ref(), &raw, |visitor| own.visit(visitor)) {
            problems.push(format!("{}: {problem}", place(key.span().start)));
        }
    }
    into.insert(tenant, own);
}

/// What the reference says of single tenants; it cannot be told by examples, which would be a tenant.
pub(super) fn reference() -> String {
    "# A tenant with a plan of its own has a section of its own, in this file, with any of these settings:\n\
     # [tenants.acme]\n\
     # requests_per_hour = 1000\n"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::ConfigError;

    fn read(text: &str) -> Result<Config, ConfigError> {
        Config::read(Some((Path::new("quipu.toml"), text)), std::iter::empty())
    }

    #[test]
    fn a_tenant_has_its_own_numbers_and_else_those_of_all() {
        let text = "[tenants]\nrequests_per_hour = 5_000\nconcurrency = 8\n\
                    [tenants.acme]\nrequests_per_hour = 1_000\nprice_per_minute = 70_000\n\
                    [tenants.harbour]\nrequests_per_hour = \"unlimited\"\n";
        let config = read(text).unwrap();
        let plan = |name: &str| config.plan(&TenantId::parse(name).unwrap());
        let acme = plan("acme");
        assert_eq!((acme.requests_per_hour, acme.price_per_minute), (Quota::Of(1_000), Quota::Of(70_000)));
        assert_eq!(acme.concurrency.get(), 8);
        assert_eq!(plan("harbour").requests_per_hour, Quota::Unlimited);
        assert_eq!(plan("elsewhere"), config.tenants);
        assert_eq!(config.tenants.requests_per_hour, Quota::Of(5_000));
    }

    #[test]
    fn a_plan_is_set_while_the_gateway_runs() {
        let own = OwnPlan::of_json(
            r#"{"requests_per_hour": 1000, "price_per_minute": "unlimited", "documents": "known-only"}"#,
        );
        let own = own.unwrap();
        let config = read("[tenants]\nprice_per_minute = 5\nconcurrency = 8\n").unwrap();
        let plan = own.over(&config.tenants);
        assert_eq!((plan.requests_per_hour, plan.price_per_minute), (Quota::Of(1_000), Quota::Unlimited));
        assert_eq!((plan.concurrency.get(), plan.documents), (8, DocumentMode::KnownOnly));
        let shown = serde_json::Value::from(own.shown());
        assert_eq!(
            shown,
            serde_json::json!({"requests_per_hour": 1000, "price_per_minute": "unlimited", "documents": "known-only"})
        );
        assert_eq!(OwnPlan::of_json(&shown.to_string()).unwrap(), own);
        assert_eq!(plan.shown().len(), 5);
        for (text, told) in [
            ("[]", "expected an object"),
            (r#"{"concurrency": 0}"#, "`tenants.concurrency`: expected a whole number from 1"),
            (r#"{"request_per_hour": 1}"#, "did you mean `tenants.requests_per_hour`?"),
            (r#"{"documents": {}}"#, "`tenants.documents`"),
        ] {
            let problem = OwnPlan::of_json(text).unwrap_err();
            assert!(problem.contains(told), "{problem}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, told) in [
            ("[tenants.\"a b\"]\nconcurrency = 1\n", "quipu.toml:1: `tenants.a b`: \"a b\" is no name of a tenant"),
            (
                "[tenants.acme]\nrequest_per_hour = 1\n",
                "quipu.toml:2: unknown setting `tenants.acme.request_per_hour`; did you mean `tenants.acme.requests_per_hour`?",
            ),
            (
                "[tenants.acme]\nconcurrency = 0\n",
                "quipu.toml:2: `tenants.acme.concurrency`: expected a whole number from 1, found 0",
            ),
            (
                "[tenants]\nprice_per_minute = \"much\"\n",
                "quipu.toml:2: `tenants.price_per_minute`: expected a whole number from 0, or \"unlimited\"",
            ),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), told);
        }
    }
}
