//! Tokens of positions: what a mutation's answer says, so that a query that brings it back sees at least what was written. Signed, so
//! that they cannot be made up and are worth nothing to another tenant.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::fault::{Code, Fault};
use crate::guard::TenantId;

/// Bytes of a signature that are kept.
const SIGNATURE: usize = 16;
/// Characters of a token.
const LENGTH: usize = (SIGNATURE + size_of::<u64>()).div_ceil(3) * 4;

/// The token of a position of a tenant's log.
pub fn seal(secret: &[u8], tenant: &TenantId, seq: u64) -> String {
    let mut bytes = keyed(secret, tenant, seq).finalize().into_bytes()[..SIGNATURE].to_vec();
    bytes.extend_from_slice(&seq.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position of a token of this tenant.
///
/// # Errors
/// `BAD_POSITION` for everything that [`seal`] did not make for this tenant.
pub fn open(secret: &[u8], tenant: &TenantId, token: &str) -> Result<u64, Fault> {
    if token.len() != LENGTH {
        return Err(refused());
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| refused())?;
    let (signature, seq) = bytes.split_last_chunk().ok_or_else(refused)?;
    let seq = u64::from_be_bytes(*seq);
    keyed(secret, tenant, seq).verify_truncated_left(signature).map_err(|_| refused())?;
    Ok(seq)
}

/// The one answer to a token that is worth nothing, whatever the reason.
pub fn refused() -> Fault {
    Fault::client(Code::BadPosition, "the position is not one of this tenant; ask again without it")
}

fn keyed(secret: &[u8], tenant: &TenantId, seq: u64) -> Hmac<Sha256> {
    // HMAC takes keys of any length, so this cannot fail; an empty key would be refused by the configuration.
    let mut keyed = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| unreachable!("hmac takes any key"));
    keyed.update(tenant.as_str().as_bytes());
    // No list of a cursor, which is signed with the same key, is called like this.
    keyed.update(b"\0\0position\0");
    keyed.update(&seq.to_be_bytes());
    keyed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_68_only_the_tenants_own_tokens_are_taken() {
        let tenant = |name| TenantId::parse(name).expect("a name");
        let (a, b, secret) = (tenant("a"), tenant("b"), [7; 32]);
        for seq in [0, 1, 255, 1 << 40, u64::MAX] {
            let token = seal(&secret, &a, seq);
            assert_eq!((token.len(), open(&secret, &a, &token).ok()), (LENGTH, Some(seq)));
            let refused = |secret: &[u8], tenant: &TenantId, token: &str| {
                let fault = open(secret, tenant, token).expect_err("it is not a token");
                assert_eq!(fault.code(), Code::BadPosition, "{token}");
                fault.to_string()
            };
            let told = refused(&secret, &b, &token);
            assert_eq!(told, refused(&[8; 32], &a, &token), "no refusal tells more than another");
            for at in 0..token.len() {
                let mut forged = token.clone().into_bytes();
                forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
                assert_eq!(told, refused(&secret, &a, std::str::from_utf8(&forged).expect("ASCII")));
            }
        }
        for garbage in
            ["", "x", &"A".repeat(31), &"A".repeat(32), &"A".repeat(33), &"\u{e9}".repeat(16), &"=".repeat(32)]
        {
            assert!(open(&secret, &a, garbage).is_err(), "{garbage}");
        }
    }
}
