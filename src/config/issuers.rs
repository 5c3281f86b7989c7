//! `[auth.issuers.NAME]`: identity providers whose tokens are taken. In the file alone: they come as a whole, with their rules.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quipu_resolvers::guard::TenantId;
use toml::Spanned;
use toml::de::DeValue;
use url::{Host, Url};

use super::claims::{Algorithms, ClaimPath, RequiredClaims, SpokenFor, Texts};
use super::form::{Raw, Setting};
use super::{ConfigError, set_one};

/// What variables begin with that would be settings of an issuer.
pub(super) const VARIABLE: &str = "QUIPU_AUTH_ISSUERS_";

/// The setting after which the reference speaks of these.
pub(super) const AFTER: (&str, &str) = ("auth", "roles_claim");

/// Where an issuer says where its keys are, behind its own URL (OpenID Connect Discovery 1.0, section 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// No key server is asked more often than this, whatever is set.
const SHORTEST_FLOOR: Duration = Duration::from_millis(100);
/// No request waits longer for a key server.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Defines what can be set of an issuer, in order, with what it means.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $key:ident: $form:ty = $default:expr;)+) => {
        /// An identity provider, and what is asked of its tokens.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Issuer {
            $($(#[doc = $doc])+ pub $key: $form,)+
        }

        impl Default for Issuer {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl Issuer {
            /// Hands out every setting with its name and meaning.
            pub(super) fn visit(&mut self, visitor: &mut dyn FnMut(&'static str, &[&'static str], &mut dyn Setting)) {
                $(visitor(stringify!($key), &[$($doc),+], &mut self.$key);)+
            }
        }
    };
}

settings! {
    /// The claim `iss` of its tokens, exactly. Needed.
    issuer: Option<String> = None;
    /// URL of its discovery document, which names issuer and keys; when no keys are named, it is derived from `issuer`.
    discovery: Option<String> = None;
    /// URL of its key set, instead of discovery.
    jwks_url: Option<String> = None;
    /// A file with its key set, instead of discovery.
    jwks_file: Option<PathBuf> = None;
    /// A file with the certificates of whoever vouches for its servers; when not set, those the system knows.
    root_certificate: Option<PathBuf> = None;
    /// Whether its URLs may be http:// on other machines than this one. Whoever is in between could then make tokens.
    insecure_http: bool = false;
    /// What `aud` has to name, one of them. Needed, unless `required_claims` tell tokens for this gateway from others.
    audience: Texts = Texts::default();
    /// Algorithms by which its tokens may be signed; the key decides which of them.
    algorithms: Algorithms = Algorithms::default();
    /// The one tenant that it speaks for, whatever its tokens say. This or `tenants` is needed.
    tenant: Option<TenantId> = None;
    /// The tenants that its tokens may name; "*" for all.
    tenants: Option<SpokenFor> = None;
    /// Claim that names the tenant; when not set, that of `auth.tenant_claim`.
    tenant_claim: Option<ClaimPath> = None;
    /// Claim that names the subject.
    subject_claim: ClaimPath = ClaimPath::whole("sub");
    /// Claim that lists the roles, like "realm_access.roles"; when not set, that of `auth.roles_claim`.
    roles_claim: Option<ClaimPath> = None;
    /// Whether the roles may be one text with spaces between them, like `scope`.
    roles_in_text: bool = false;
    /// Claims that its tokens need, with their values; a list for one of several, "*" for any.
    required_claims: RequiredClaims = RequiredClaims::default();
    /// How far clocks may differ; when not set, as `auth.leeway` says.
    leeway: Option<Duration> = None;
    /// After how long keys are asked for anew, in the background.
    refresh: Duration = Duration::from_secs(15 * 60);
    /// Keys are asked for at most once in this time, however many tokens name a key that is not known.
    fetch_floor: Duration = Duration::from_secs(10);
    /// How long keys are used that could not be asked for anew, because their server is away.
    keep: Duration = Duration::from_secs(24 * 60 * 60);
    /// Longest time for asking once; also what a request with an unknown key waits at most.
    timeout: Duration = Duration::from_secs(5);
}

/// Where the keys of an issuer come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A document that names issuer and key set.
    Discovery(Url),
    /// The key set.
    Url(Url),
    /// A file with the key set.
    File(PathBuf),
}

impl Issuer {
    /// Where its keys are.
    ///
    /// # Errors
    /// When several places are named or none, or a URL is not to be trusted; a line with a way out.
    pub fn keys(&self) -> Result<KeySource, String> {
        match (&self.discovery, &self.jwks_url, &self.jwks_file) {
            (Some(url), None, None) => self.url("discovery", url).map(KeySource::Discovery),
            (None, Some(url), None) => self.url("jwks_url", url).map(KeySource::Url),
            (None, None, Some(path)) => Ok(KeySource::File(path.clone())),
            (None, None, None) => {
                let issuer = self.issuer.as_deref().unwrap_or_default();
                if !issuer.starts_with("https://") && !issuer.starts_with("http://") {
                    let way_out = "set `discovery`, `jwks_url` or `jwks_file`";
                    return Err(format!("its keys are nowhere, and `issuer` is no URL to look at: {way_out}"));
                }
                let derived = format!("{}{WELL_KNOWN}", issuer.trim_end_matches('/'));
                self.url("issuer", &derived).map(KeySource::Discovery)
            }
            _ => Err("set one of `discovery`, `jwks_url` and `jwks_file`".into()),
        }
    }

    fn url(&self, name: &str, text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|_| format!("`{name}`: expected a URL like \"https://host/path\""))?;
        may_be_asked(&url, self.insecure_http).map_err(|problem| format!("`{name}`: {problem}"))?;
        Ok(url)
    }

    /// All that is wrong with it, a line each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.keys().err().into_iter().collect();
        let mut expect = |holds: bool, problem: &str| {
            if !holds {
                problems.push(problem.to_owned());
            }
        };
        expect(self.issuer.is_some(), "`issuer` is not set: the claim `iss` of its tokens, exactly");
        expect(
            !self.audience.0.is_empty() || !self.required_claims.0.is_empty(),
            "`audience` is not set: tokens that the issuer gives to other applications would be taken; set it to what `aud` says for \
             this gateway, or `required_claims` to what tells its tokens apart, like { azp = \"quipu\" }",
        );
        expect(
            self.tenant.is_some() != self.tenants.is_some(),
            "set one of `tenant` (it serves one) and `tenants` (its tokens name one of these; \"*\" for all of this gateway)",
        );
        expect(self.tenant.is_none() || self.tenant_claim.is_none(), "`tenant_claim` is not looked at beside `tenant`");
        expect(self.fetch_floor >= SHORTEST_FLOOR, "`fetch_floor`: expected 100ms or more");
        expect(self.refresh >= self.fetch_floor, "`refresh`: expected no less than `fetch_floor`");
        expect(self.keep >= self.refresh, "`keep`: expected no less than `refresh`");
        expect(
            !self.timeout.is_zero() && self.timeout <= LONGEST_TIMEOUT,
            "`timeout`: expected more than nothing, and no more than 30s",
        );
        problems
    }

    fn set(&mut self, section: &str, name: &str, raw: &Raw<'_>) -> Result<(), String> {
        set_one(section, name, raw, |visitor| self.visit(&mut |key, _, setting| visitor(key, setting)))
    }
}

/// Whether keys may be asked for at a URL: over TLS, or on this machine, where nobody is in between.
///
/// # Errors
/// A line with a way out.
pub fn may_be_asked(url: &Url, insecure_http: bool) -> Result<(), &'static str> {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err("expected a URL like \"https://host/path\""),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user or password is not asked");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_here || insecure_http => Ok(()),
        "http" => {
            Err("expected https://, since whoever is in between could make tokens (`insecure_http = true` allows it)")
        }
        _ => Err("expected a URL like \"https://host/path\""),
    }
}

/// The dotted name under which an issuer's settings stand.
fn section(name: &str) -> String {
    format!("auth.issuers.{name}")
}

/// All that is wrong with issuers beside each other and the key of our own, a line each.
///
/// # Errors
/// When there is something.
pub(super) fn check(issuers: &BTreeMap<String, Issuer>, own: Option<&str>) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, issuer) in issuers {
        let section = section(name);
        problems.extend(issuer.problems().into_iter().map(|problem| format!("`{section}`: {problem}")));
        let Some(said) = issuer.issuer.as_deref() else { continue };
        if own == Some(said) {
            problems.push(format!("`{section}`: `issuer` is that of `auth.issuer`, so its tokens could be either's"));
        }
        if let Some(other) = seen.insert(said, name) {
            problems.push(format!(
                "`{section}`: `issuer` is that of `{}`: one section speaks for it",
                self::section(other)
            ));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
}

/// Takes the table `auth.issuers` of a file.
pub(super) fn take(
    into: &mut BTreeMap<String, Issuer>,
    value: &Spanned<DeValue<'_>>,
    path: &Path,
    place: &dyn Fn(usize) -> String,
    problems: &mut Vec<String>,
) {
    let Some(issuers) = value.get_ref().as_table() else {
        let place = place(value.span().start);
        return problems.push(format!("{place}: `auth.issuers`: write a section [auth.issuers.NAME] for each issuer"));
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    for (name, value) in issuers {
        let (at, section) = (place(name.span().start), section(name.get_ref()));
        // The name is part of what `/readyz` shows, so it has the form of a tenant's.
        if TenantId::parse(name.get_ref()).is_none() {
            problems.push(format!("{at}: `{section}`: expected a name of small letters, digits, `-` and `_`"));
            continue;
        }
        let Some(settings) = value.get_ref().as_table() else {
            problems.push(format!("{at}: `{section}`: expected a section with `issuer`"));
            continue;
        };
        let (mut issuer, before) = (Issuer::default(), problems.len());
        for (key, value) in settings {
            if let Err(problem) = issuer.set(&section, key.get_ref(), &Raw::Toml(value.get_ref())) {
                problems.push(format!("{}: {problem}", place(key.span().start)));
            }
        }
        if problems.len() == before {
            problems.extend(issuer.problems().into_iter().map(|problem| format!("{at}: `{section}`: {problem}")));
        }
        issuer.visit(&mut |_, _, setting| setting.rebase(folder));
        into.insert(name.get_ref().to_string(), issuer);
    }
}

/// Every setting of an issuer: its name, default or an example as TOML, and what it means.
pub fn issuer_settings() -> Vec<(&'static str, String, String)> {
    let mut all = Vec::new();
    Issuer::default().visit(&mut |key, doc, setting| {
        let doc: Vec<&str> = doc.iter().map(|line| line.trim()).collect();
        all.push((key, setting.show(), doc.join(" ")));
    });
    all
}

/// What the reference says of them.
pub(super) fn reference() -> String {
    let mut text = String::from(
        "# An identity provider whose tokens are taken has a section of its own, in this file, after this one:\n# [auth.issuers.name]\n",
    );
    for (key, value, doc) in issuer_settings() {
        text.push_str(&format!("# # {doc}\n# {key} = {value}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_asked_for_over_tls_or_on_this_machine() {
        let asked = |url: &str, insecure| may_be_asked(&Url::parse(url).unwrap(), insecure).is_ok();
        for url in ["https://a.example/k", "http://127.0.0.1:9/k", "http://localhost/k", "http://[::1]:9/k"] {
            assert!(asked(url, false), "{url}");
        }
        for url in
            ["http://a.example/k", "http://10.0.0.1/k", "http://localhost.a.example/k", "http://127.0.0.1.a.example/"]
        {
            assert!(!asked(url, false) && asked(url, true), "{url}");
        }
        for url in
            ["ftp://a.example/k", "file:///etc/passwd", "https://u:p@a.example/k", "data:x", "gopher://127.0.0.1/"]
        {
            assert!(!asked(url, true), "{url}");
        }
    }
}
