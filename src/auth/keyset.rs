//! Key sets (RFC 7517): from the text of one to keys that each verify by algorithms of one family.
//!
//! What a key is used for is said by the key and the settings, never by a token: a token's algorithm only has to be among those.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, crypto};
use serde_json::{Map, Value};

use super::Denied;
use crate::config::Algorithms;
use crate::json;

/// Keys of a set at most; no issuer has nearly as many.
const MOST_KEYS: usize = 100;
/// Objects and lists inside of each other in a key set.
const NESTING: usize = 8;
/// Keys that one token may be tried with: those of one id and one algorithm.
const MOST_TRIES: usize = 4;
/// Bits of an RSA key: below, it can be factored (RFC 7518, section 3.3); above, verifying takes long.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// The keys of an issuer.
#[derive(Clone, Default)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

/// A key for verifying.
#[derive(Clone)]
struct Key {
    id: Option<String>,
    /// All of one family.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl KeySet {
    /// Reads a key set. Keys that are of no use here (for encryption, of unknown types, too short, secret) are left out, and told of.
    ///
    /// # Errors
    /// When the text is no key set; the reason is for the log.
    pub fn parse(text: &[u8], allowed: &Algorithms) -> Result<(Self, Vec<String>), String> {
        let value = json::parse(text, NESTING).map_err(|error| error.to_string())?;
        let Some(Value::Array(entries)) = value.get("keys") else { return Err("there is no list `keys` in it".into()) };
        if entries.len() > MOST_KEYS {
            return Err(format!("it has more than {MOST_KEYS} keys"));
        }
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (at, entry) in entries.iter().enumerate() {
            match entry.as_object().ok_or("it is not an object").and_then(|entry| Key::read(entry, allowed)) {
                Ok(key) => keys.push(key),
                Err(reason) => left_out.push(format!("key {at}: {reason}")),
            }
        }
        Ok((Self { keys }, left_out))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys by which a token with this id and algorithm may be signed: at least one.
    ///
    /// Two keys under one id are told apart by the algorithm; where that is the same too, each is tried. A token without an id has
    /// to leave no choice.
    ///
    /// # Errors
    /// `UnknownKey` where another set could have the key, else what is wrong with the token.
    pub fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<&DecodingKey>, Denied> {
        let of_id = self.keys.iter().filter(|key| id.is_none() || key.id.as_deref() == id);
        let mut is_known = false;
        let mut fitting = Vec::new();
        for key in of_id {
            is_known = true;
            if key.algorithms.contains(&algorithm) {
                fitting.push(&key.key);
            }
        }
        match fitting.len() {
            0 if is_known && id.is_some() => Err(Denied::Algorithm),
            0 => Err(Denied::UnknownKey),
            1 => Ok(fitting),
            _ if id.is_none() => Err(Denied::ManyKeys),
            tries if tries > MOST_TRIES => Err(Denied::ManyKeys),
            _ => Ok(fitting),
        }
    }
}

impl Key {
    fn read(entry: &Map<String, Value>, allowed: &Algorithms) -> Result<Self, &'static str> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        if entry.contains_key("d") || entry.contains_key("k") {
            return Err("it is secret, and whoever reads it could sign");
        }
        if entry.get("use").is_some_and(|purpose| purpose != "sig") {
            return Err("it is not for signatures");
        }
        if entry
            .get("key_ops")
            .is_some_and(|ops| !ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")))
        {
            return Err("it is not for verifying");
        }
        let id = match entry.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err("its `kid` is not text"),
        };
        let (key, family, by_curve) = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => (rsa(bytes(text("n"))?, bytes(text("e"))?)?, AlgorithmFamily::Rsa, None),
            (Some("EC"), Some("P-256")) => {
                (curve(text("x"), text("y"), 32)?, AlgorithmFamily::Ec, Some(Algorithm::ES256))
            }
            (Some("EC"), Some("P-384")) => {
                (curve(text("x"), text("y"), 48)?, AlgorithmFamily::Ec, Some(Algorithm::ES384))
            }
            (Some("OKP"), Some("Ed25519")) => {
                (edwards(bytes(text("x"))?)?, AlgorithmFamily::Ed, Some(Algorithm::EdDSA))
            }
            _ => return Err("its type or curve is not known"),
        };
        let mut algorithms: Vec<Algorithm> = allowed.of(family).collect();
        if let Some(only) = by_curve {
            algorithms.retain(|algorithm| *algorithm == only);
        }
        match entry.get("alg") {
            None => {}
            // The name that RFC 9864 has for the same.
            Some(Value::String(name)) if name == "Ed25519" => algorithms.retain(|one| *one == Algorithm::EdDSA),
            Some(Value::String(name)) => match name.parse::<Algorithm>() {
                Ok(named) => algorithms.retain(|one| *one == named),
                Err(_) => return Err("its `alg` is not known"),
            },
            Some(_) => return Err("its `alg` is not text"),
        }
        let Some(first) = algorithms.first() else { return Err("none of its algorithms is among those that are set") };
        // The library looks at a key when it verifies by it; what it would not take is found here.
        crypto::verify("", b"", &key, *first).map_err(|_| "it is no key of its type")?;
        Ok(Self { id, algorithms, key })
    }
}

fn bytes(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    let text = text.ok_or("a part of it is missing")?;
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| "a part of it is not base64url")
}

fn rsa(modulus: Vec<u8>, exponent: Vec<u8>) -> Result<DecodingKey, &'static str> {
    let significant = &modulus[modulus.iter().take_while(|byte| **byte == 0).count()..];
    let bits = significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("it has not between 2048 and 4096 bits");
    }
    if significant.last().is_some_and(|last| last % 2 == 0) {
        return Err("its modulus is even");
    }
    let exponent_is_odd = exponent.last().is_some_and(|last| last % 2 == 1) && exponent != [1];
    if !exponent_is_odd || exponent.len() > 4 {
        return Err("its exponent is none that keys have");
    }
    Ok(DecodingKey::from_rsa_raw_components(significant, &exponent))
}

/// A point of a curve, whose coordinates have that many bytes.
fn curve(x: Option<&str>, y: Option<&str>, length: usize) -> Result<DecodingKey, &'static str> {
    let (x, y) = (bytes(x)?, bytes(y)?);
    if x.len() != length || y.len() != length {
        return Err("its coordinates have another length than its curve");
    }
    Ok(DecodingKey::from_ec_der(&[&[4], &x[..], &y[..]].concat()))
}

fn edwards(x: Vec<u8>) -> Result<DecodingKey, &'static str> {
    // The library cuts off what it does not need, and panics when there is less.
    if x.len() != 32 {
        return Err("it has not 32 bytes");
    }
    Ok(DecodingKey::from_ed_der(&x))
}
