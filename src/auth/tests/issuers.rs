//! Tokens of identity providers, whose key sets are in files: what is taken, and what is not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::signing::{Pair, key_set};
use super::{KEY, NOW, Stopped, forged};
use crate::auth::{Authenticator, Denied, Verified};
use crate::config::{Config, Issuer, Secret, SpokenFor, Texts};

const ISSUER: &str = "https://id.example/realms/cold";

/// An issuer whose keys are in a file that holds these.
struct House {
    config: Config,
    _folder: tempfile::TempDir,
}

impl House {
    fn of(keys: &[Value]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys.json"), key_set(keys)).unwrap();
        let mut config = Config::default();
        config.auth.secret = Some(Secret::new(KEY));
        config.auth_issuers.insert("house".into(), issuer(&folder.path().join("keys.json")));
        Self { config, _folder: folder }
    }

    fn with(keys: &[Value], change: impl FnOnce(&mut Issuer)) -> Self {
        let mut house = Self::of(keys);
        change(house.config.auth_issuers.get_mut("house").unwrap());
        house
    }

    async fn opened(&self) -> Arc<Authenticator> {
        let authenticator = Arc::new(Authenticator::new(&self.config, Arc::new(Stopped)).unwrap());
        let follower = authenticator.clone();
        tokio::spawn(async move { follower.follow().await });
        authenticator
    }

    async fn verify(&self, token: &str) -> Result<Verified, Denied> {
        self.opened().await.authenticate(token).await
    }
}

fn issuer(keys: &Path) -> Issuer {
    Issuer {
        issuer: Some(ISSUER.into()),
        jwks_file: Some(keys.into()),
        audience: Texts(vec!["quipu".into()]),
        tenants: Some(SpokenFor::All),
        ..Issuer::default()
    }
}

/// The usual claims, changed; null takes one away.
fn claims(change: Value) -> Value {
    let mut claims =
        json!({"iss": ISSUER, "aud": "quipu", "tenant": "cryox", "sub": "ada", "roles": ["reader"], "exp": NOW + 60});
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn plain() -> Value {
    claims(json!({}))
}

fn claim_of(outcome: Result<Verified, Denied>) -> String {
    match outcome {
        Err(Denied::Claim { claim, .. }) => claim,
        other => panic!("should be refused for a claim, but: {other:?}"),
    }
}

#[tokio::test]
async fn every_algorithm_verifies_by_the_key_that_it_belongs_to() {
    use Algorithm::*;
    let pairs = [Pair::Rsa, Pair::P256A, Pair::P384, Pair::Ed25519];
    let house = House::of(&pairs.map(|pair| pair.public(&format!("{pair:?}"))));
    let authenticator = house.opened().await;
    for algorithm in [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA] {
        let pair = pairs.into_iter().find(|pair| pair.algorithm().family() == algorithm.family());
        let pair = if algorithm == ES384 { Pair::P384 } else { pair.unwrap() };
        let header = |kid: &str| json!({"alg": algorithm, "typ": "at+jwt", "kid": kid}).to_string();
        let token = pair.signed(algorithm, &header(&format!("{pair:?}")), &plain().to_string());
        let verified =
            authenticator.authenticate(&token).await.unwrap_or_else(|denied| panic!("{algorithm:?}: {denied}"));
        assert_eq!(verified.principal.tenant.as_str(), "cryox");
        // The other keys are not even tried.
        let other = pairs.into_iter().find(|other| *other != pair).unwrap();
        let token = pair.signed(algorithm, &header(&format!("{other:?}")), &plain().to_string());
        assert_eq!(authenticator.authenticate(&token).await, Err(Denied::Algorithm), "{algorithm:?}");
    }
}

#[tokio::test]
async fn our_own_tokens_are_taken_beside_those_of_an_issuer() {
    let house = House::of(&[Pair::P256A.public("a")]);
    let authenticator = house.opened().await;
    let own = |claims: Value| forged(r#"{"alg":"HS256"}"#, &claims.to_string(), KEY.as_bytes());
    assert!(authenticator.verify(&own(claims(json!({"iss": null})))).is_ok());
    assert!(authenticator.verify(&own(claims(json!({"iss": "https://elsewhere.example"})))).is_ok(), "as ever");
    assert_eq!(authenticator.authenticate(&own(plain())).await, Err(Denied::UnknownKey), "who names an issuer is its");
    let mut config = house.config.clone();
    config.auth.secret = None;
    let without = Authenticator::new(&config, Arc::new(Stopped)).unwrap();
    assert_eq!(without.verify(&own(claims(json!({"iss": null})))), Err(Denied::Issuer));
    config.auth_issuers.clear();
    assert!(Authenticator::new(&config, Arc::new(Stopped)).is_err(), "nothing could be verified");
}

#[tokio::test]
async fn hostile_42_alg_none_is_refused_by_issuers() {
    let house = House::of(&[Pair::P256A.public("a"), Pair::Rsa.public("r")]);
    let authenticator = house.opened().await;
    assert!(authenticator.authenticate(&Pair::P256A.token("a", &plain())).await.is_ok());
    for alg in ["none", "None", "NONE", "", "HS256", "HS512", "ES512", "ES256K"] {
        for kid in [json!("a"), json!("r"), Value::Null] {
            let header = json!({"alg": alg, "kid": kid}).to_string();
            let unsigned =
                format!("{}.{}.", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(plain().to_string()));
            assert!(authenticator.authenticate(&unsigned).await.is_err(), "{alg} {kid}");
            assert!(
                authenticator.authenticate(&forged(&header, &plain().to_string(), b"")).await.is_err(),
                "{alg} {kid}"
            );
        }
    }
    let signed = Pair::P256A.token("a", &plain());
    let (message, signature) = signed.rsplit_once('.').unwrap();
    let other = URL_SAFE_NO_PAD.encode(claims(json!({"tenant": "library"})).to_string());
    let header = message.split_once('.').unwrap().0;
    for token in
        [format!("{header}.{other}.{signature}"), format!("{message}."), format!("{message}.{}", "A".repeat(86))]
    {
        assert!(matches!(authenticator.authenticate(&token).await, Err(Denied::Unverified(_))), "{token}");
    }
}

#[tokio::test]
async fn hostile_43_a_public_key_is_no_secret_of_an_issuer() {
    let public = Pair::Rsa.public("r");
    let house = House::of(std::slice::from_ref(&public));
    let authenticator = house.opened().await;
    let modulus = URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap()).unwrap();
    let guesses = [public.to_string().into_bytes(), key_set(std::slice::from_ref(&public)).into_bytes(), modulus];
    for (guess, alg) in guesses.iter().flat_map(|guess| ["HS256", "HS384", "HS512"].map(|alg| (guess, alg))) {
        let header = json!({"alg": alg, "kid": "r"}).to_string();
        let token = forged(&header, &plain().to_string(), guess);
        assert_eq!(authenticator.authenticate(&token).await, Err(Denied::Algorithm), "{alg}");
    }
    // A secret in a key set is none of ours, and a key is used by what it says of itself.
    let secret = json!({"kty": "oct", "kid": "s", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(KEY)});
    let mut only_ps = public.clone();
    only_ps["alg"] = json!("PS256");
    let house = House::of(&[secret, only_ps, Pair::P256A.public("a")]);
    let authenticator = house.opened().await;
    let token = forged(r#"{"alg":"HS256","kid":"s"}"#, &plain().to_string(), KEY.as_bytes());
    assert_eq!(authenticator.authenticate(&token).await, Err(Denied::UnknownKey));
    assert_eq!(authenticator.authenticate(&Pair::Rsa.token("r", &plain())).await, Err(Denied::Algorithm), "RS256");
    let house = House::with(&[Pair::P256A.public("a")], |issuer| {
        issuer.algorithms.0 = vec![Algorithm::RS256];
    });
    assert_eq!(house.verify(&Pair::P256A.token("a", &plain())).await, Err(Denied::UnknownKey), "not among those set");
}

#[tokio::test]
async fn hostile_44_a_key_id_is_a_name_and_nothing_else() {
    let house = House::of(&[Pair::P256A.public("a"), Pair::P256B.public("b")]);
    let authenticator = house.opened().await;
    for kid in [
        "unknown",
        "",
        "A",
        "../keys.json",
        "/proc/sys/kernel/randomize_va_space",
        "' OR 1=1 --",
        "http://127.0.0.1:1/",
    ] {
        let token = Pair::P256A.token(kid, &plain());
        assert_eq!(authenticator.authenticate(&token).await, Err(Denied::UnknownKey), "{kid}");
    }
    let other = Pair::P256A.token("b", &plain());
    assert!(matches!(authenticator.authenticate(&other).await, Err(Denied::Unverified(_))), "the key of another name");
    let raw = |header: &str| Pair::P256A.signed(Algorithm::ES256, header, &plain().to_string());
    for header in
        [r#"{"alg":"ES256","kid":"b","kid":"a"}"#, r#"{"alg":"ES256","kid":["a"]}"#, r#"{"alg":"ES256","kid":1}"#]
    {
        assert!(matches!(authenticator.authenticate(&raw(header)).await, Err(Denied::Unverified(_))), "{header}");
    }
    let nameless = raw(r#"{"alg":"ES256"}"#);
    assert_eq!(authenticator.authenticate(&nameless).await, Err(Denied::ManyKeys), "it has to leave no choice");
    assert!(House::of(&[Pair::P256A.public("a"), Pair::P384.public("c")]).verify(&nameless).await.is_ok());
    let twice = claims(json!({})).to_string().replacen('{', r#"{"tenant":"library","#, 1);
    let token = Pair::P256A.signed(Algorithm::ES256, r#"{"alg":"ES256","kid":"a"}"#, &twice);
    assert!(matches!(authenticator.authenticate(&token).await, Err(Denied::Unverified(_))), "a claim twice");
}

#[tokio::test]
async fn hostile_44_keys_with_one_id_are_told_apart_by_algorithm_or_tried() {
    let house = House::of(&[Pair::P256A.public("k"), Pair::P384.public("k"), Pair::P256B.public("k")]);
    let authenticator = house.opened().await;
    for pair in [Pair::P256A, Pair::P384, Pair::P256B] {
        assert!(authenticator.authenticate(&pair.token("k", &plain())).await.is_ok(), "{pair:?}");
    }
    assert_eq!(authenticator.authenticate(&Pair::Ed25519.token("k", &plain())).await, Err(Denied::Algorithm));
    let crowd = House::of(&vec![Pair::P256A.public("k"); 5]);
    assert_eq!(crowd.verify(&Pair::P256A.token("k", &plain())).await, Err(Denied::ManyKeys), "work is bounded");
}

#[tokio::test]
async fn hostile_45_keys_of_the_header_are_ignored_and_extensions_refused() {
    let house = House::of(&[Pair::P256A.public("a")]);
    let authenticator = house.opened().await;
    let own = Pair::P256B.public("a");
    for more in [
        json!({"jku": "http://127.0.0.1:1/keys.json"}),
        json!({"x5u": "http://127.0.0.1:1/cert.pem"}),
        json!({"x5c": ["MIIB"]}),
        json!({"jwk": own}),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "a"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let token = Pair::P256B.signed(Algorithm::ES256, &header.to_string(), &plain().to_string());
        assert!(matches!(authenticator.authenticate(&token).await, Err(Denied::Unverified(_))), "{header}");
        header["kid"] = json!("mine");
        let token = Pair::P256B.signed(Algorithm::ES256, &header.to_string(), &plain().to_string());
        assert_eq!(authenticator.authenticate(&token).await, Err(Denied::UnknownKey), "{header}");
    }
    let raw = |header: Value| Pair::P256A.signed(Algorithm::ES256, &header.to_string(), &plain().to_string());
    for crit in [json!(["exp"]), json!(["b64"]), json!([])] {
        let token = raw(json!({"alg": "ES256", "kid": "a", "crit": crit, "b64": false}));
        assert!(
            matches!(authenticator.authenticate(&token).await, Err(Denied::Critical | Denied::Unverified(_))),
            "{crit}"
        );
    }
    for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", ""] {
        let token = raw(json!({"alg": "ES256", "kid": "a", "typ": typ}));
        assert_eq!(authenticator.authenticate(&token).await, Err(Denied::Type), "{typ}");
    }
    assert!(authenticator.authenticate(&raw(json!({"alg": "ES256", "kid": "a", "typ": "jwt"}))).await.is_ok());
}

#[tokio::test]
async fn hostile_46_to_48_times_audience_and_issuer_of_an_issuers_token() {
    let house = House::with(&[Pair::P256A.public("a")], |issuer| issuer.leeway = Some(Duration::from_secs(5)));
    let authenticator = house.opened().await;
    let by = async |change: Value| authenticator.authenticate(&Pair::P256A.token("a", &claims(change))).await;
    for name in ["exp", "nbf", "iat"] {
        for value in [json!((NOW + 60).to_string()), json!(true), json!([NOW]), json!({"n": 1})] {
            assert!(by(json!({ name: value })).await.is_err(), "{name} {value}");
        }
        assert_eq!(claim_of(by(json!({ name: (NOW + 60).to_string() })).await), name);
    }
    assert_eq!(claim_of(by(json!({"exp": null})).await), "exp");
    for wrong in
        [json!(null), json!("other"), json!(["other"]), json!([]), json!(7), json!({"quipu": 1}), json!("quipu ")]
    {
        assert_eq!(by(json!({"aud": wrong})).await, Err(Denied::Audience), "{wrong}");
    }
    assert!(by(json!({"aud": ["other", "quipu"]})).await.is_ok());
    // Whoever names none of the issuers is none of theirs: such a token would have to be ours.
    for wrong in [
        json!(null),
        json!("https://id.example/realms/cold/"),
        json!("HTTPS://id.example/realms/cold"),
        json!([ISSUER]),
    ] {
        assert!(matches!(by(json!({"iss": wrong})).await, Err(Denied::Unverified(_))), "{wrong}");
    }
    assert!(by(json!({"exp": NOW - 4})).await.is_ok());
    assert_eq!(by(json!({"exp": NOW - 5})).await, Err(Denied::Expired));
    assert!(by(json!({"nbf": NOW + 5})).await.is_ok());
    assert_eq!(by(json!({"nbf": NOW + 6})).await, Err(Denied::NotYet));
}

#[tokio::test]
async fn hostile_50_an_issuer_speaks_for_its_tenants_alone() {
    let keys = [Pair::P256A.public("a")];
    let by = async |house: &House, tenant: Value| {
        house.verify(&Pair::P256A.token("a", &claims(json!({"tenant": tenant})))).await
    };
    let any = House::of(&keys);
    for wrong in [
        json!(null),
        json!(""),
        json!(["cryox"]),
        json!(7),
        json!({}),
        json!(true),
        json!("CRYOX"),
        json!(" cryox"),
        json!("*"),
    ] {
        assert_eq!(claim_of(by(&any, wrong.clone()).await), "tenant", "{wrong}");
    }
    let some = House::with(&keys, |issuer| {
        issuer.tenants = Some(SpokenFor::These([quipu_resolvers::guard::TenantId::parse("cryox").unwrap()].into()));
    });
    assert!(by(&some, json!("cryox")).await.is_ok());
    assert_eq!(by(&some, json!("library")).await, Err(Denied::NotSpokenFor("library".into())));
    let fixed = House::with(&keys, |issuer| {
        issuer.tenants = None;
        issuer.tenant = quipu_resolvers::guard::TenantId::parse("cryox");
    });
    for claim in [json!(null), json!("library"), json!(7)] {
        assert_eq!(by(&fixed, claim.clone()).await.unwrap().principal.tenant.as_str(), "cryox", "{claim}");
    }
    let neither = House::with(&keys, |issuer| issuer.tenants = None);
    let said = Authenticator::new(&neither.config, Arc::new(Stopped)).err().unwrap().to_string();
    assert!(said.contains("`auth.issuers.house`: set one of `tenant`"), "{said}");
}
