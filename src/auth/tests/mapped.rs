//! Claims by other names and in other places, and keys that are of no use.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};

use super::NOW;
use super::signing::{Pair, key_set};
use crate::auth::Denied;
use crate::auth::claims::{Rules, Said};
use crate::auth::keyset::KeySet;
use crate::config::{Algorithms, Config, Issuer};

/// An issuer as it stands in a file.
fn issuer(settings: &str) -> Issuer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quipu.toml");
    let text = format!("[auth.issuers.house]\nissuer = \"https://id.example\"\naudience = \"quipu\"\n{settings}\n");
    std::fs::write(&path, text).unwrap();
    Config::load(Some(&path)).unwrap().auth_issuers.remove("house").unwrap()
}

fn read(settings: &str, claims: Value) -> Result<Said, Denied> {
    let mut all = json!({"iss": "https://id.example", "aud": "quipu", "exp": NOW + 60});
    let all = all.as_object_mut().unwrap();
    all.extend(claims.as_object().cloned().unwrap_or_else(Map::new));
    Rules::of(&issuer(settings), &Config::default().auth).read(all.clone())
}

fn roles(settings: &str, claims: Value) -> Result<Value, Denied> {
    read(&format!("tenant = \"acme\"\n{settings}"), claims).map(|said| said.principal.claims["roles"].clone())
}

#[test]
fn roles_are_found_where_keycloak_has_them() {
    let nested = json!({"realm_access": {"roles": ["editor"]}, "resource_access": {"my.app": {"roles": ["x"]}}});
    assert_eq!(roles("roles_claim = \"realm_access.roles\"", nested.clone()), Ok(json!(["editor"])));
    let path = "roles_claim = [\"resource_access\", \"my.app\", \"roles\"]";
    assert_eq!(roles(path, nested.clone()), Ok(json!(["x"])));
    assert_eq!(roles("roles_claim = \"realm_access.groups\"", nested.clone()), Ok(json!([])));
    assert!(roles("roles_claim = \"realm_access\"", nested).is_err(), "an object is no list");
    let spoofed = json!({"roles": ["admin"], "realm_access": {"roles": ["editor"]}});
    assert_eq!(roles("roles_claim = \"realm_access.roles\"", spoofed), Ok(json!(["editor"])), "that claim alone");
}

#[test]
fn roles_are_one_text_only_where_that_is_said() {
    let scope = json!({"scope": "openid read  write "});
    assert_eq!(
        roles("roles_claim = \"scope\"\nroles_in_text = true", scope.clone()),
        Ok(json!(["openid", "read", "write"]))
    );
    assert!(roles("roles_claim = \"scope\"", scope).is_err());
    for wrong in [json!({"roles": [1]}), json!({"roles": 1}), json!({"roles": [["a"]]}), json!({"roles": null})] {
        assert!(roles("roles_in_text = true", wrong.clone()).is_err(), "{wrong}");
    }
    let url = json!({"https://quipu.example/roles": ["editor"]});
    assert_eq!(roles("roles_claim = \"https://quipu.example/roles\"", url), Ok(json!(["editor"])));
}

#[test]
fn tenant_and_subject_come_from_claims_of_other_names() {
    let settings = "tenants = [\"acme\"]\ntenant_claim = \"extension_tenant\"\nsubject_claim = \"oid\"";
    let said = read(settings, json!({"extension_tenant": "acme", "oid": "7", "sub": "s", "tenant": "beta"})).unwrap();
    assert_eq!((said.principal.tenant.as_str(), said.principal.subject.as_deref()), ("acme", Some("7")));
    assert_eq!(read(settings, json!({"extension_tenant": "beta"})).err(), Some(Denied::NotSpokenFor("beta".into())));
    assert!(read(settings, json!({"tenant": "acme"})).is_err(), "the usual name says nothing then");
    assert!(read(settings, json!({"extension_tenant": "acme", "oid": 7})).is_err());
    let nested = "tenants = \"*\"\ntenant_claim = \"org.name\"";
    assert!(read(nested, json!({"org": {"name": "acme"}})).is_ok());
    for wrong in
        [json!({"org": {"name": ["acme"]}}), json!({"org": "acme"}), json!({"org": {}}), json!({"org.name": "acme"})]
    {
        assert!(read(nested, wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn required_claims_have_to_be_there() {
    let by = |required: &str, claims: Value| {
        read(&format!("tenant = \"acme\"\nrequired_claims = {{ {required} }}"), claims).is_ok()
    };
    assert!(by("azp = \"app\"", json!({"azp": "app"})));
    for wrong in
        [json!({}), json!({"azp": "other"}), json!({"azp": null}), json!({"azp": {"app": 1}}), json!({"azp": "*"})]
    {
        assert!(!by("azp = \"app\"", wrong.clone()), "{wrong}");
    }
    assert!(by("azp = [\"app\", \"tool\"], email_verified = true", json!({"azp": "tool", "email_verified": true})));
    assert!(!by("azp = [\"app\", \"tool\"], email_verified = true", json!({"azp": "tool", "email_verified": "true"})));
    assert!(by("groups = \"staff\"", json!({"groups": ["guests", "staff"]})));
    assert!(!by("groups = \"staff\"", json!({"groups": []})));
    assert!(by("email = \"*\"", json!({"email": "a@b.example"})) && !by("email = \"*\"", json!({"email": null})));
    assert!(by("\"realm_access.roles\" = \"in\", level = 3", json!({"realm_access": {"roles": ["in"]}, "level": 3})));
}

#[test]
fn keys_that_are_of_no_use_are_left_out() {
    let with = |pair: Pair, change: Value| {
        let mut key = pair.public("k");
        key.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        key
    };
    let short = URL_SAFE_NO_PAD.encode([7; 31]);
    let of_no_use = [
        json!("text"),
        json!({}),
        json!({"kty": "oct", "k": "c2VjcmV0"}),
        json!({"kty": "RSA", "n": "!", "e": "AQAB"}),
        json!({"kty": "OKP", "crv": "X25519", "x": URL_SAFE_NO_PAD.encode([7; 32])}),
        json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([255; 128]), "e": "AQAB"}),
        with(Pair::Rsa, json!({"d": "AQAB"})),
        with(Pair::Rsa, json!({"e": "AQ"})),
        with(Pair::Rsa, json!({"e": "AA"})),
        with(Pair::Rsa, json!({"use": "enc"})),
        with(Pair::Rsa, json!({"key_ops": ["sign"]})),
        with(Pair::Rsa, json!({"alg": "HS256"})),
        with(Pair::Rsa, json!({"alg": "RSA-OAEP"})),
        with(Pair::Rsa, json!({"alg": "ES256"})),
        with(Pair::Rsa, json!({"alg": 1})),
        with(Pair::Rsa, json!({"kid": 1})),
        with(Pair::P256A, json!({"crv": "P-384"})),
        with(Pair::P256A, json!({"crv": "secp256k1"})),
        with(Pair::P256A, json!({"y": URL_SAFE_NO_PAD.encode([1; 32])})),
        with(Pair::P256A, json!({"alg": "ES384"})),
        with(Pair::Ed25519, json!({"x": short})),
        with(Pair::Ed25519, json!({"crv": "Ed448"})),
    ];
    for key in &of_no_use {
        let (set, left_out) =
            KeySet::parse(key_set(std::slice::from_ref(key)).as_bytes(), &Algorithms::default()).unwrap();
        assert_eq!((set.len(), left_out.len()), (0, 1), "{key}");
        assert!(!left_out[0].contains("AQAB"), "{left_out:?}");
    }
    let mut all = of_no_use.to_vec();
    all.extend([
        with(Pair::Rsa, json!({"use": "sig", "key_ops": ["verify"], "alg": "PS512"})),
        Pair::Ed25519.public("e"),
    ]);
    let (set, _) = KeySet::parse(key_set(&all).as_bytes(), &Algorithms::default()).unwrap();
    assert_eq!(set.len(), 2, "the others are used");
    assert!(set.candidates(Some("k"), Algorithm::PS512).is_ok());
    assert!(matches!(set.candidates(Some("k"), Algorithm::PS256), Err(Denied::Algorithm)));
}

#[test]
fn what_is_no_key_set_is_none() {
    let many = key_set(&vec![json!({}); 101]);
    let deep = format!("{{\"keys\":{}{}}}", "[".repeat(100), "]".repeat(100));
    for text in ["", "nope", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "\u{0}", &many, &deep, "<html>"]
    {
        assert!(KeySet::parse(text.as_bytes(), &Algorithms::default()).is_err(), "{text}");
    }
    assert_eq!(KeySet::parse(b"{\"keys\":[]}", &Algorithms::default()).unwrap().0.len(), 0, "none is a set as well");
}
