//! Signs tokens as an identity provider does, with keys that are for tests only.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, crypto};
use serde_json::{Value, json};

/// A key pair of `tests/fixtures/keys`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pair {
    Rsa,
    P256A,
    P256B,
    P384,
    Ed25519,
}

impl Pair {
    fn der(self) -> Vec<u8> {
        let text = match self {
            Self::Rsa => include_str!("../fixtures/keys/rsa.txt"),
            Self::P256A => include_str!("../fixtures/keys/p256_a.txt"),
            Self::P256B => include_str!("../fixtures/keys/p256_b.txt"),
            Self::P384 => include_str!("../fixtures/keys/p384.txt"),
            Self::Ed25519 => include_str!("../fixtures/keys/ed25519.txt"),
        };
        STANDARD.decode(text.replace('\n', "")).unwrap()
    }

    fn private(self) -> EncodingKey {
        let der = self.der();
        match self.algorithm().family() {
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_der(&der),
            AlgorithmFamily::Ec => EncodingKey::from_ec_der(&der),
            AlgorithmFamily::Ed => EncodingKey::from_ed_der(&der),
            AlgorithmFamily::Hmac => unreachable!("none is a secret"),
        }
    }

    /// The algorithm that it is mostly used with.
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::Rsa => Algorithm::RS256,
            Self::P256A | Self::P256B => Algorithm::ES256,
            Self::P384 => Algorithm::ES384,
            Self::Ed25519 => Algorithm::EdDSA,
        }
    }

    /// The public half as a key of a key set, with an id and without an algorithm.
    pub fn public(self, kid: &str) -> Value {
        let mut key = serde_json::to_value(Jwk::from_encoding_key(&self.private(), self.algorithm()).unwrap()).unwrap();
        key.as_object_mut().unwrap().remove("alg");
        key["kid"] = json!(kid);
        key
    }

    /// A token with the claims, by its own algorithm.
    pub fn token(self, kid: &str, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm(), "typ": "JWT", "kid": kid});
        self.signed(self.algorithm(), &header.to_string(), &claims.to_string())
    }

    /// Whatever header and claims, signed by an algorithm.
    pub fn signed(self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = crypto::sign(message.as_bytes(), &self.private(), algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// The text of a key set.
pub fn key_set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}
