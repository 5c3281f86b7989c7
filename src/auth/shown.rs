//! The form of secrets that are made here and shown to us again: API keys, and the tokens of sessions.
//!
//! A key is `quipu_TENANT.ID.SECRETCHECK`: the tenant's name, 80 random bits in hexadecimal that find the key, 256 random bits in
//! base64url that prove it, and six characters of a checksum over all before them. The checksum is no protection: it lets a typing
//! error, and whoever looks for leaked secrets in files, be answered without a store.
//!
//! A session's token to ask with is `TENANT.ID.SECRET`, and one to refresh with is `TENANT.ID.FAMILY.SECRET`. What the family has in
//! common shows that a token was one of its own, also when its secret was replaced long ago; so nobody ends a session who has none of
//! its tokens, and the store needs no list of old ones.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quipu_resolvers::guard::TenantId;
use sha2::{Digest as _, Sha256};

use super::credentials::Digest;

/// What every key begins with. A JSON Web Token cannot: it is the base64url of a `{`.
const PREFIX: &str = "quipu_";
/// Characters of an id.
const ID: usize = 20;
/// Characters of 32 bytes.
const SECRET: usize = 43;
/// Characters of a checksum: 36 bits.
const CHECK: usize = 6;

/// A new key. Its text is nowhere else.
pub struct MadeKey {
    /// Finds it.
    pub id: String,
    /// The whole key, to be shown once.
    pub text: String,
    /// What is kept of its secret.
    pub digest: Digest,
}

/// Characters of what a session's tokens to refresh with have in common: 128 bits.
const FAMILY: usize = 22;

/// What a text that was shown to us says: which key it is of, and the digest of its secret. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub tenant: TenantId,
    pub id: String,
    pub digest: Digest,
}

/// What a token to refresh with says. Nothing of it is proven.
pub(super) struct ShownRefresh {
    pub tenant: TenantId,
    pub id: String,
    pub family: String,
    pub refresh: Digest,
}

/// Two new tokens of a session, each with the digest that is kept of it.
pub(super) struct Pair {
    pub access: (String, Digest),
    pub refresh: (String, Digest),
}

impl Pair {
    /// Tokens of a session and its family.
    pub fn new(tenant: &TenantId, id: &str, family: &str) -> Self {
        let (access, refresh) = (random_secret(), random_secret());
        Self {
            access: (format!("{tenant}.{id}.{access}"), digest(&access)),
            refresh: (format!("{tenant}.{id}.{family}.{refresh}"), digest(&refresh)),
        }
    }
}

/// The id of a new session, and what its tokens to refresh with will have in common.
pub(super) fn session() -> (String, String) {
    (random_id(), URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()))
}

/// Takes a token to ask with apart; `None` when it cannot be one.
pub(super) fn access(text: &str) -> Option<Shown> {
    let mut parts = text.split('.');
    let (tenant, id, secret) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = parts.next().is_none() && is_id(id) && secret.len() == SECRET;
    let tenant = fits.then(|| TenantId::parse(tenant)).flatten()?;
    Some(Shown { tenant, id: id.to_owned(), digest: digest(secret) })
}

/// Takes a token to refresh with apart; `None` when it cannot be one.
pub(super) fn refresh(text: &str) -> Option<ShownRefresh> {
    let (before, secret) = text.rsplit_once('.')?;
    let mut parts = before.split('.');
    let (tenant, id, family) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = parts.next().is_none() && is_id(id) && family.len() == FAMILY && secret.len() == SECRET;
    let tenant = fits.then(|| TenantId::parse(tenant)).flatten()?;
    Some(ShownRefresh { tenant, id: id.to_owned(), family: family.to_owned(), refresh: digest(secret) })
}

impl MadeKey {
    /// A key of a tenant, like no other.
    pub fn new(tenant: &TenantId) -> Self {
        let (id, secret) = (random_id(), random_secret());
        let mut text = format!("{PREFIX}{tenant}.{id}.{secret}");
        text.push_str(&check(&text));
        Self { digest: digest(&secret), id, text }
    }
}

/// Whether a text is meant to be a key.
pub(super) fn is_key(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Takes a key apart; `None` when it cannot be one.
pub(super) fn key(text: &str) -> Option<Shown> {
    let (body, given) = text.split_at_checked(text.len().checked_sub(CHECK)?)?;
    if check(body) != given {
        return None;
    }
    access(body.strip_prefix(PREFIX)?)
}

/// 80 random bits.
fn random_id() -> String {
    format!("{:0ID$x}", rand::random::<u128>() >> (128 - 4 * ID))
}

/// 256 random bits, of a generator that the system's randomness seeds.
fn random_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn is_id(text: &str) -> bool {
    text.len() == ID && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What is kept of a secret.
pub(super) fn digest(secret: &str) -> Digest {
    Sha256::digest(secret.as_bytes()).into()
}

fn check(body: &str) -> String {
    let mut sum = Sha256::new();
    sum.update(b"quipu key ");
    sum.update(body.as_bytes());
    let mut text = URL_SAFE_NO_PAD.encode(sum.finalize());
    text.truncate(CHECK);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_made_and_no_other_way() {
        for name in ["acme", "a", "a-b_c", &"x".repeat(64)] {
            let tenant = TenantId::parse(name).unwrap();
            let made = MadeKey::new(&tenant);
            let shown = key(&made.text).unwrap();
            assert_eq!((&shown.tenant, &shown.id, shown.digest), (&tenant, &made.id, made.digest));
            assert!(is_key(&made.text) && made.text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
            for at in 0..made.text.len() {
                let mut typo = made.text.clone().into_bytes();
                typo[at] = if typo[at] == b'x' { b'y' } else { b'x' };
                assert_eq!(key(std::str::from_utf8(&typo).unwrap()), None, "at {at}");
                assert_eq!(key(&made.text[..at]), None, "cut at {at}");
            }
        }
    }

    #[test]
    fn what_has_a_right_checksum_and_another_form_is_no_key() {
        let secret = "s".repeat(SECRET);
        let id = "0123456789abcdef0123";
        let checked = |body: String| format!("{body}{}", check(&body));
        assert!(key(&checked(format!("quipu_acme.{id}.{secret}"))).is_some());
        for body in [
            String::new(),
            format!("quipu_.{id}.{secret}"),
            format!("quipu_Acme.{id}.{secret}"),
            format!("quipu_acme'--.{id}.{secret}"),
            format!("quipu_acme.{id}.{secret}."),
            format!("quipu_acme.{id}.{secret}x"),
            format!("quipu_acme.{}.{secret}", id.to_uppercase()),
            format!("quipu_acme.{secret}"),
            format!("acme.{id}.{secret}"),
            "quipu_é".to_owned(),
        ] {
            assert_eq!(key(&checked(body.clone())), None, "{body}");
        }
        assert_eq!(key("é"), None, "cut in the middle of a character");
        assert_eq!(key("quipuéééé"), None);
    }

    #[test]
    fn tokens_of_sessions_are_read_as_they_were_made() {
        let tenant = TenantId::parse("a-b_c").unwrap();
        let (id, family) = session();
        let pair = Pair::new(&tenant, &id, &family);
        assert_eq!(
            access(&pair.access.0).unwrap(),
            Shown { tenant: tenant.clone(), id: id.clone(), digest: pair.access.1 }
        );
        let shown = refresh(&pair.refresh.0).unwrap();
        assert_eq!((shown.tenant, shown.id, shown.family, shown.refresh), (tenant, id, family, pair.refresh.1));
        for text in [&pair.access.0, &pair.refresh.0] {
            for at in 0..text.len() {
                assert!(access(&text[..at]).is_none() && refresh(&text[..at]).is_none(), "cut at {at}");
            }
            let longer = [format!("{text}x"), format!("x.{text}"), format!("{text}.x"), text.to_uppercase()];
            assert!(longer.iter().all(|text| access(text).is_none() && refresh(text).is_none()));
        }
        assert!(
            access(&pair.refresh.0).is_none() && refresh(&pair.access.0).is_none() && key(&pair.access.0).is_none()
        );
    }

    #[test]
    fn no_two_keys_are_alike() {
        let tenant = TenantId::parse("acme").unwrap();
        let keys: std::collections::HashSet<_> =
            (0..1_000).map(|_| MadeKey::new(&tenant)).map(|made| (made.id, made.digest)).collect();
        assert_eq!(keys.len(), 1_000);
    }
}
