use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Clock;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::*;
use crate::config::{Config, Secret};

mod issuers;
mod mapped;
#[path = "../../tests/http/signing.rs"]
mod signing;

const KEY: &str = "0123456789abcdef0123456789abcdef";
/// 2023-11-14T22:13:20Z
const NOW: i64 = 1_700_000_000;

struct Stopped;

impl Clock for Stopped {
    fn now_ms(&self) -> i64 {
        NOW * 1000
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.auth.secret = Some(Secret::new(KEY));
    config
}

fn verify_by(config: &Config, token: &str) -> Result<Verified, Denied> {
    Authenticator::new(config, Arc::new(Stopped)).unwrap().verify(token)
}

fn verify(token: &str) -> Result<Verified, Denied> {
    verify_by(&config(), token)
}

/// A token made by hand, so that it can say what no library would let it say.
fn forged(header: &str, claims: &str, key: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A token signed with our key whose claims are the usual ones, changed.
fn claiming(change: Value) -> String {
    let mut claims = json!({"tenant": "cryox", "sub": "ada", "roles": ["reader"], "exp": NOW + 60});
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    forged(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string(), KEY.as_bytes())
}

fn claim_of(token: &str) -> String {
    match verify(token) {
        Err(Denied::Claim { claim, .. }) => claim,
        other => panic!("should be refused for a claim, but: {other:?}"),
    }
}

/// A clock that a test sets.
struct Set(AtomicI64);

impl Clock for Set {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn a_remembered_token_ends_and_begins_as_any_other() {
    let clock = Arc::new(Set(AtomicI64::new(NOW * 1000)));
    let mut config = config();
    config.auth.leeway = Duration::ZERO;
    let authenticator = Authenticator::new(&config, clock.clone()).unwrap();
    let token = claiming(json!({"nbf": NOW - 5}));
    let at = |seconds: i64| {
        clock.0.store((NOW + seconds) * 1000, Ordering::SeqCst);
        authenticator.verify(&token)
    };
    let first = at(0).unwrap();
    let second = at(59).unwrap();
    assert!(Arc::ptr_eq(&first.principal, &second.principal), "read once");
    assert_eq!(at(60), Err(Denied::Expired));
    assert_eq!(at(-6), Err(Denied::NotYet));
    assert_eq!(at(1).unwrap(), first);
    // Another key does not know what this one has seen.
    config.auth.secret = Some(Secret::new("another key, also of 32 bytes ..."));
    assert!(matches!(Authenticator::new(&config, clock).unwrap().verify(&token), Err(Denied::Unverified(_))));
    // Nor does a changed signature pass for the one that was seen.
    let other = forged(r#"{"alg":"HS256","typ":"JWT"}"#, "{}", b"someone else's key, as long as that");
    let (message, _) = token.rsplit_once('.').unwrap();
    let mixed = format!("{message}.{}", other.rsplit_once('.').unwrap().1);
    assert!(matches!(authenticator.verify(&mixed), Err(Denied::Unverified(_))));
}

#[test]
fn a_token_names_its_principal() {
    let verified = verify(&claiming(json!({"regions": ["north"]}))).unwrap();
    assert_eq!(verified.principal.tenant, TenantId::parse("cryox").unwrap());
    assert_eq!(verified.principal.subject.as_deref(), Some("ada"));
    assert_eq!(verified.principal.claims["regions"], json!(["north"]));
    assert_eq!(verified.principal.claims["roles"], json!(["reader"]));
    assert!(!verified.principal.operator, "no token makes an operator");
    assert_eq!(verified.expires_ms, (NOW + 60 + 30) * 1000);
}

#[test]
fn a_minted_token_is_accepted_by_the_same_configuration() {
    let mut config = config();
    config.auth.audience = Some("quipu".into());
    config.auth.issuer = Some("house".into());
    config.auth.tenant_claim = "https://quipu/tenant".into();
    config.auth.roles_claim = "groups".into();
    let wish = Wish {
        tenant: TenantId::parse("library").unwrap(),
        subject: Some("ada".into()),
        roles: vec!["editor".into()],
        claims: Map::from_iter([("level".into(), json!(3))]),
        ttl: Duration::from_secs(3600),
    };
    let token = mint(&config, wish.clone(), NOW * 1000).unwrap();
    let verified = verify_by(&config, &token).unwrap();
    assert_eq!(verified.principal.tenant.as_str(), "library");
    assert_eq!(verified.principal.claims["roles"], json!(["editor"]));
    assert_eq!(verified.principal.claims["level"], json!(3));
    let claims = Map::from_iter([("exp".into(), json!(1))]);
    assert!(mint(&config, Wish { claims, ..wish }, 0).unwrap_err().to_string().contains("`exp` is set already"));
}

#[test]
fn hostile_42_alg_none_is_refused() {
    let claims = json!({"tenant": "cryox", "exp": NOW + 60}).to_string();
    for alg in ["none", "None", "NONE", "", "HS512", "HS384", "RS256"] {
        let header = json!({"alg": alg}).to_string();
        assert!(matches!(verify(&forged(&header, &claims, KEY.as_bytes())), Err(Denied::Unverified(_))), "{alg}");
        let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&claims));
        assert!(matches!(verify(&unsigned), Err(Denied::Unverified(_))), "{alg} without signature");
    }
    let no_algorithm = forged(r#"{"typ":"JWT"}"#, &claims, KEY.as_bytes());
    assert!(matches!(verify(&no_algorithm), Err(Denied::Unverified(_))));
}

#[test]
fn hostile_42_a_changed_token_is_refused() {
    let token = claiming(json!({}));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let other = URL_SAFE_NO_PAD.encode(json!({"tenant": "library", "exp": NOW + 60}).to_string());
    let garbage = ["", "x", "a.b", "a.b.c", "....", "\u{0}.\u{0}.\u{0}"].map(String::from);
    for token in garbage.into_iter().chain([format!("{header}.{other}.{signature}"), message.to_owned() + "."]) {
        assert!(matches!(verify(&token), Err(Denied::Unverified(_))), "{token}");
    }
    assert_eq!(verify(&"x".repeat(9000)), Err(Denied::TooLong(8192)));
}

#[test]
fn hostile_43_a_public_key_does_not_sign() {
    let pem = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL\n-----END PUBLIC KEY-----\n";
    let claims = json!({"tenant": "cryox", "exp": NOW + 60}).to_string();
    assert!(matches!(verify(&forged(r#"{"alg":"HS256"}"#, &claims, pem.as_bytes())), Err(Denied::Unverified(_))));
    let mut config = config();
    config.auth.secret = Some(Secret::new(pem));
    assert!(Authenticator::new(&config, Arc::new(Stopped)).is_err(), "and cannot be configured as a secret");
}

#[test]
fn hostile_44_a_key_id_chooses_nothing() {
    let claims = json!({"tenant": "cryox", "exp": NOW + 60}).to_string();
    for kid in ["unknown", "../../../../dev/null", "/proc/sys/kernel/randomize_va_space", "' OR 1=1 --", ""] {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        for key in ["", "0", "1", "2", "2\n"] {
            assert!(
                matches!(verify(&forged(&header, &claims, key.as_bytes())), Err(Denied::Unverified(_))),
                "{kid} {key:?}"
            );
        }
        assert!(verify(&forged(&header, &claims, KEY.as_bytes())).is_ok(), "{kid}: the one key decides");
    }
    for header in
        [r#"{"alg":"HS256","kid":"a","kid":"b"}"#, r#"{"alg":"none","alg":"HS256"}"#, r#"{"alg":"HS256","kid":["a"]}"#]
    {
        assert!(matches!(verify(&forged(header, &claims, KEY.as_bytes())), Err(Denied::Unverified(_))), "{header}");
    }
    let twice = format!(r#"{{"tenant":"cryox","tenant":"library","exp":{}}}"#, NOW + 60);
    assert!(matches!(verify(&forged(r#"{"alg":"HS256"}"#, &twice, KEY.as_bytes())), Err(Denied::Unverified(_))));
}

#[test]
fn hostile_45_keys_in_or_behind_the_header_are_ignored() {
    let claims = json!({"tenant": "cryox", "exp": NOW + 60}).to_string();
    let own = b"an attacker's own key, 32 bytes!";
    for header in [
        json!({"alg": "HS256", "jku": "http://127.0.0.1:1/keys.json"}),
        json!({"alg": "HS256", "x5u": "http://127.0.0.1:1/cert.pem"}),
        json!({"alg": "HS256", "jwk": {"kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(own)}}),
    ] {
        assert!(matches!(verify(&forged(&header.to_string(), &claims, own)), Err(Denied::Unverified(_))), "{header}");
    }
    let critical = forged(r#"{"alg":"HS256","crit":["exp"]}"#, &claims, KEY.as_bytes());
    assert_eq!(verify(&critical), Err(Denied::Critical));
}

#[test]
fn hostile_46_times_are_numbers() {
    for value in [json!((NOW + 60).to_string()), json!(true)] {
        assert_eq!(claim_of(&claiming(json!({"exp": value}))), "exp", "{value}");
        assert_eq!(claim_of(&claiming(json!({"nbf": value}))), "nbf", "{value}");
    }
    for value in [json!([NOW + 60]), json!({"n": 1}), json!([])] {
        assert!(verify(&claiming(json!({"exp": value}))).is_err(), "{value}");
        assert!(verify(&claiming(json!({"nbf": value}))).is_err(), "{value}");
    }
    assert_eq!(claim_of(&claiming(json!({"exp": null}))), "exp", "a token without an end is refused");
    let null = forged(r#"{"alg":"HS256"}"#, r#"{"tenant":"cryox","exp":null}"#, KEY.as_bytes());
    assert_eq!(claim_of(&null), "exp");
    assert!(verify(&claiming(json!({"exp": 1e300, "nbf": -1e300}))).is_ok());
    assert!(verify(&claiming(json!({"exp": NOW as f64 + 0.5}))).is_ok());
}

#[test]
fn hostile_47_audience_and_issuer_are_required_where_configured() {
    let mut config = config();
    config.auth.audience = Some("quipu".into());
    let by_audience = |aud: Value| verify_by(&config, &claiming(json!({"aud": aud})));
    for wrong in
        [json!(null), json!("other"), json!(["other"]), json!([]), json!(7), json!({"quipu": 1}), json!([["quipu"]])]
    {
        assert_eq!(by_audience(wrong.clone()), Err(Denied::Audience), "{wrong}");
    }
    assert!(by_audience(json!("quipu")).is_ok());
    assert!(by_audience(json!(["other", "quipu"])).is_ok());
    let mut config = self::config();
    config.auth.issuer = Some("house".into());
    for wrong in [json!(null), json!("other"), json!(["house"]), json!(1)] {
        assert_eq!(verify_by(&config, &claiming(json!({"iss": wrong}))), Err(Denied::Issuer), "{wrong}");
    }
    assert!(verify_by(&config, &claiming(json!({"iss": "house"}))).is_ok());
}

#[test]
fn hostile_48_leeway_is_what_is_configured() {
    assert!(verify(&claiming(json!({"exp": NOW - 29}))).is_ok());
    assert_eq!(verify(&claiming(json!({"exp": NOW - 30}))), Err(Denied::Expired));
    assert!(verify(&claiming(json!({"nbf": NOW + 30}))).is_ok());
    assert_eq!(verify(&claiming(json!({"nbf": NOW + 31}))), Err(Denied::NotYet));
    let mut strict = config();
    strict.auth.leeway = Duration::ZERO;
    assert_eq!(verify_by(&strict, &claiming(json!({"exp": NOW}))), Err(Denied::Expired));
    assert_eq!(verify_by(&strict, &claiming(json!({"nbf": NOW + 1}))), Err(Denied::NotYet));
}

#[test]
fn hostile_50_the_tenant_claim_is_the_name_of_a_tenant() {
    for wrong in [
        json!(null),
        json!(""),
        json!(["cryox"]),
        json!(7),
        json!({}),
        json!(true),
        json!("CRYOX"),
        json!(" cryox"),
        json!("cryox\u{0}"),
        json!("../cryox"),
        json!("cryox' OR '1'='1"),
        json!("a".repeat(65)),
        json!("-a"),
    ] {
        assert_eq!(claim_of(&claiming(json!({"tenant": wrong}))), "tenant", "{wrong}");
    }
    let null = forged(r#"{"alg":"HS256"}"#, &format!(r#"{{"tenant":null,"exp":{}}}"#, NOW + 60), KEY.as_bytes());
    assert_eq!(claim_of(&null), "tenant");
}

#[test]
fn roles_and_subject_have_their_form() {
    for wrong in [json!("admin"), json!([1]), json!({"admin": true}), json!([["admin"]])] {
        assert_eq!(claim_of(&claiming(json!({"roles": wrong}))), "roles", "{wrong}");
    }
    assert_eq!(claim_of(&claiming(json!({"sub": 7}))), "sub");
    assert_eq!(verify(&claiming(json!({"roles": null}))).unwrap().principal.claims["roles"], json!([]));
    let mut config = config();
    config.auth.roles_claim = "groups".into();
    let verified = verify_by(&config, &claiming(json!({"roles": ["admin"]}))).unwrap();
    assert_eq!(verified.principal.claims["roles"], json!([]), "only the configured claim gives roles");
}

#[test]
fn only_one_bearer_token_is_read_from_headers() {
    let headers = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| {
            headers.append("authorization", HeaderValue::from_static(value));
        });
        headers
    };
    assert_eq!(bearer_of(&headers(&["Bearer abc"])), Ok("abc"));
    assert_eq!(bearer_of(&headers(&["bearer  abc "])), Ok("abc"));
    assert_eq!(bearer_of(&headers(&[])), Err(Denied::Missing));
    for wrong in
        [&["abc"][..], &["Basic abc"], &["Bearer "], &["Bearer a b"], &["Bearer a,Bearer b"], &["Bearer a", "Bearer b"]]
    {
        assert_eq!(bearer_of(&headers(wrong)), Err(Denied::NotBearer), "{wrong:?}");
    }
}
