//! Tokens, our own and those of an identity provider, and key sets: nothing is taken that none of their keys has signed, and what is taken says
//! what the claims say.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use quipu::auth::{Authenticator, Source, Verified, usable_keys};
use quipu::config::{Config, Issuer, Secret, SpokenFor, Texts};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Clock;
use serde_json::{Map, Value, json};
use sha2::Sha256;

#[path = "../../tests/http/signing.rs"]
#[allow(dead_code, clippy::duplicate_mod, reason = "not every key is used here, and tests of HTTP have it as well")]
mod signing;
use signing::{Pair, key_set};

const SECRET: &str = "a secret of thirty-two bytes....";
/// What else somebody could try to sign with: what is public, and nothing.
const OTHERS: [&str; 3] =
    [include_str!("../../tests/fixtures/keys/authority.pem"), "a secret of thirty-two bytes...!", ""];
/// Seconds since 1970.
const NOW: i64 = 1_800_000_000;
const LEEWAY: i64 = 30;
const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "quipu";
/// For ever, as far as a fuzzer goes.
const LONG: Duration = Duration::from_secs(400 * 24 * 3600);

struct Stopped;

impl Clock for Stopped {
    fn now_ms(&self) -> i64 {
        NOW * 1000
    }
}

struct House {
    authenticator: Arc<Authenticator>,
    /// What the identity provider has signed: header and claims of each token.
    signed: Vec<String>,
    tokens: Vec<String>,
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = folder.path().join("keys.json");
        let pairs = [Pair::P256A, Pair::Ed25519];
        std::fs::write(&keys, key_set(&pairs.map(|pair| pair.public(&format!("{pair:?}"))))).expect("a file");
        let mut config = Config::default();
        config.auth.secret = Some(Secret::new(SECRET));
        config.auth.leeway = Duration::from_secs(LEEWAY as u64);
        config.auth.audience = Some(AUDIENCE.into());
        let issuer = Issuer {
            issuer: Some(ISSUER.into()),
            jwks_file: Some(keys),
            audience: Texts(vec![AUDIENCE.into()]),
            tenants: Some(SpokenFor::All),
            refresh: LONG,
            keep: LONG,
            ..Issuer::default()
        };
        config.auth_issuers.insert("house".into(), issuer);
        let authenticator = Arc::new(Authenticator::new(&config, Arc::new(Stopped)).expect("the settings are whole"));
        let claims = json!({"iss": ISSUER, "aud": AUDIENCE, "tenant": "acme", "sub": "ada", "exp": NOW + 60});
        let tokens = pairs.map(|pair| pair.token(&format!("{pair:?}"), &claims)).to_vec();
        // The keys are read once; the folder is not needed after that.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            tokio::select! {
                () = authenticator.follow() => unreachable!("it never ends"),
                first = authenticator.authenticate(&tokens[0]) => first.expect("the provider's token is taken"),
            }
        });
        assert!(tokens.iter().all(|token| authenticator.verify(token).is_ok()), "the provider's tokens are taken");
        let signed = tokens.iter().map(|token| message(token).to_owned()).collect();
        House { authenticator, signed, tokens }
    })
}

/// Header and claims of a token, which its signature is over.
fn message(token: &str) -> &str {
    token.rsplit_once('.').map_or("", |(message, _)| message)
}

/// Takes the bytes as a token and as a key set; then the first line as a header and the rest as claims, signed by the secret and by others; then
/// the first three as a change to a token of the identity provider.
pub fn run(data: &[u8]) {
    let house = house();
    if let Ok(count) = usable_keys(data) {
        assert!(count <= 100, "a set of {count} keys");
    }
    let Ok(text) = std::str::from_utf8(data) else { return changed(house, data) };
    judge(house, text, false);
    if let Some((header, claims)) = text.split_once('\n') {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        judge(house, &format!("{message}.{}", signature(&message, SECRET)), true);
        for other in OTHERS {
            judge(house, &format!("{message}.{}", signature(&message, other)), false);
        }
        judge(house, &format!("{message}."), false);
    }
    changed(house, data);
}

fn signature(message: &str, secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(message.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Verifies a token, which may be taken when `is_ours` says so, or when it is the provider's.
fn judge(house: &House, token: &str, is_ours: bool) {
    let Ok(verified) = house.authenticator.verify(token) else { return };
    let message = message(token);
    let is_ours = is_ours || token.rsplit_once('.').is_some_and(|(_, signed)| signed == signature(message, SECRET));
    let is_theirs = house.signed.iter().any(|signed| signed == message);
    match verified.source {
        Source::Own => assert!(is_ours, "a token was taken that nobody signed: {token}"),
        _ => assert!(is_theirs, "a token was taken that the issuer did not sign: {token}"),
    }
    let (header, claims) = message.split_once('.').expect("a token has three parts");
    let decoded = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("what was taken is base64url");
        serde_json::from_slice::<Map<String, Value>>(&bytes).expect("what was taken is an object")
    };
    says(&verified, &decoded(header), &decoded(claims));
}

/// Compares what was understood with what is written.
fn says(verified: &Verified, header: &Map<String, Value>, claims: &Map<String, Value>) {
    if verified.source == Source::Own {
        assert_eq!(header.get("alg"), Some(&json!("HS256")));
    }
    assert!(header.get("crit").is_none_or(Value::is_null), "critical extensions were passed over");
    let seconds = |name: &str| claims.get(name).map(|at| at.as_f64().expect("a time is a number"));
    let now = NOW as f64;
    assert!(seconds("exp").expect("a token ends") + LEEWAY as f64 > now, "it had ended");
    assert!(seconds("nbf").is_none_or(|begins| begins - (LEEWAY as f64) < now + 0.001), "it had not begun");
    let audience = claims.get("aud").expect("it names an audience");
    let names_us = |one: &Value| one == AUDIENCE;
    assert!(names_us(audience) || audience.as_array().is_some_and(|all| all.iter().any(names_us)), "for others");
    let principal = &verified.principal;
    assert_eq!(claims.get("tenant").and_then(Value::as_str), Some(principal.tenant.as_str()));
    assert!(TenantId::parse(principal.tenant.as_str()).is_some());
    assert_eq!(claims.get("sub").and_then(Value::as_str), principal.subject.as_deref());
    assert!(!principal.operator, "a token makes an operator");
    let roles = claims.get("roles").cloned().unwrap_or_else(|| json!([]));
    assert_eq!(principal.claims.get("roles"), Some(&roles));
}

/// One letter of a token of the identity provider replaced, taken out or doubled: two bytes are the place, one says what is done.
fn changed(house: &House, data: &[u8]) {
    let [high, low, change, ..] = *data else { return };
    let token = &house.tokens[usize::from(change) % house.tokens.len()];
    let at = (usize::from(high) << 8 | usize::from(low)) % token.len();
    let mut letters = token.clone().into_bytes();
    match change >> 1 & 3 {
        0 => drop(letters.remove(at)),
        1 => letters.insert(at, letters[at]),
        _ => letters[at] = change >> 1,
    }
    let Ok(token) = String::from_utf8(letters) else { return };
    judge(house, &token, false);
}
