//! Who asks: headers and tokens to a [`Principal`], by verified credentials only.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use quipu_resolvers::guard::{Principal, TenantId};

mod believed;
mod claims;
mod credentials;
mod fetch;
mod issuers;
mod key_wish;
mod keys;
mod keyset;
mod mint;
mod own;
mod passwords;
mod report;
mod sessions;
mod shown;
mod stored;
#[cfg(test)]
mod tests;
mod token;

pub use credentials::{ApiKey, Credentials, Digest, Session, User, origin_of_key, origin_of_user};
pub use key_wish::{KeyWish, line, own_claim, span};
pub use mint::{Wish, mint};
pub use passwords::{LONGEST as LONGEST_PASSWORD, Passwords};
pub use report::{Deaf, Ear, Event, report};
pub use sessions::{Given, Tokens};
pub use shown::MadeKey;
pub use stored::Standing;
pub use token::Authenticator;

/// What verified credentials say.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Who asks.
    pub principal: Arc<Principal>,
    /// Until when the credentials hold, milliseconds since 1970 in UTC, the leeway included.
    pub expires_ms: i64,
    /// What they are.
    pub source: Source,
}

/// Whether a tenant lets anybody in, asked of those whose credentials are right.
pub type Open<'a> = &'a (dyn Fn(&TenantId) -> Result<(), Denied> + Send + Sync);

/// What let somebody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A token of our own.
    Own,
    /// A token of an identity provider.
    Issuer,
    /// An API key, which may be revoked.
    Key(Standing),
    /// A session, which may be ended.
    Session(Standing),
}

/// What somebody shows to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof<T> {
    /// A token or a key, of the header `Authorization` or the like.
    Bearer(T),
    /// A session's token, of a cookie.
    Cookie(T),
}

impl<T: AsRef<str>> Proof<T> {
    /// The same, borrowed.
    pub fn as_str(&self) -> Proof<&str> {
        match self {
            Self::Bearer(token) => Proof::Bearer(token.as_ref()),
            Self::Cookie(token) => Proof::Cookie(token.as_ref()),
        }
    }
}

impl Source {
    /// What has to be looked up again, where that could end before its time.
    pub fn standing(&self) -> Option<&Standing> {
        match self {
            Self::Own | Self::Issuer => None,
            Self::Key(standing) | Self::Session(standing) => Some(standing),
        }
    }
}

/// Why credentials are not taken. For the log: a client is told only that they are not valid, whatever the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// None were sent.
    #[error("no credentials")]
    Missing,
    /// Not one `Authorization: Bearer TOKEN`.
    #[error("the authorization is not one bearer token")]
    NotBearer,
    /// Longer than any token of ours.
    #[error("the token is longer than {0} bytes")]
    TooLong(usize),
    /// Not a token, signed by another key or by another algorithm.
    #[error("the token cannot be verified: {0}")]
    Unverified(String),
    /// The header demands an extension.
    #[error("the token's header has critical extensions")]
    Critical,
    /// A claim is missing or has another form.
    #[error("the claim `{claim}` is not {expected}")]
    Claim {
        /// Its name.
        claim: String,
        /// What it should be.
        expected: &'static str,
    },
    /// `exp` is past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is to come.
    #[error("the token is not valid yet")]
    NotYet,
    /// `aud` does not name this gateway.
    #[error("the token is for another audience")]
    Audience,
    /// `iss` is not the issuer that is trusted.
    #[error("the token is of another issuer")]
    Issuer,
    /// It may not be signed by this algorithm with this key.
    #[error("the token's algorithm is not that of its key")]
    Algorithm,
    /// The header says that it is something else, like a logout token.
    #[error("the token is of another type")]
    Type,
    /// The issuer's keys are not known, or too old.
    #[error("the keys of the token's issuer are not there")]
    NoKeys,
    /// No key of the issuer has the token's id. It may be a new one.
    #[error("the token's key is not known")]
    UnknownKey,
    /// Several keys could have signed it, and it does not say which.
    #[error("the token's key is one of many")]
    ManyKeys,
    /// The issuer may not speak for the tenant.
    #[error("the issuer does not speak for the tenant `{0}`")]
    NotSpokenFor(String),
    /// The tenant is not served here.
    #[error("the tenant `{0}` is not served")]
    UnknownTenant(String),
    /// It cannot be what it says to be.
    #[error("it has not the form of a key or a session's token: it is cut off, or has a typing error")]
    BadForm,
    /// The credentials are right, and their tenant is suspended.
    #[error("the tenant is suspended")]
    Suspended,
    /// The tenant has none of this id.
    #[error("the tenant has no such key or session")]
    UnknownId,
    /// The id is right, and the secret is not.
    #[error("the secret is wrong")]
    WrongSecret,
    /// There is no such user, or the password is another one.
    #[error("the tenant, the user or the password is wrong")]
    WrongPassword,
    /// A token to refresh with that was used before.
    #[error("it was used before")]
    Reused,
    /// A cookie was sent twice.
    #[error("the cookie was sent twice")]
    Twice,
    /// A page of this origin may not use cookies.
    #[error("a page of this origin may not use cookies")]
    Origin,
    /// Somebody ended it.
    #[error("it was revoked")]
    Revoked,
    /// Too many wait to be looked up.
    #[error("too many wait to be looked up")]
    Busy,
    /// What is kept of it cannot be asked for: it may be as good as any.
    #[error("what is kept of credentials cannot be asked for: {0}")]
    Unavailable(String),
}

impl Denied {
    /// Whether asking the issuer for its keys could make the token valid.
    pub(crate) fn may_be_new(&self) -> bool {
        matches!(self, Self::NoKeys | Self::UnknownKey)
    }
}

/// How many keys of a key set verify tokens: a way in for fuzzers.
///
/// # Errors
/// Why the text is no key set.
#[doc(hidden)]
pub fn usable_keys(text: &[u8]) -> Result<usize, String> {
    keyset::KeySet::parse(text, &crate::config::Algorithms::default()).map(|(set, _)| set.len())
}

/// The token in the headers of a request.
pub fn bearer_of(headers: &HeaderMap) -> Result<&str, Denied> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Denied::Missing)?;
    if values.next().is_some() {
        return Err(Denied::NotBearer);
    }
    bearer(value.to_str().map_err(|_| Denied::NotBearer)?)
}

/// The token in the value of an `Authorization` header.
pub fn bearer(value: &str) -> Result<&str, Denied> {
    let (scheme, token) = value.split_once(' ').ok_or(Denied::NotBearer)?;
    let token = token.trim();
    let fits = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains([' ', ',']);
    fits.then_some(token).ok_or(Denied::NotBearer)
}
