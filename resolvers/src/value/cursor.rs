//! Cursors: the sort values of a record, signed, so that they cannot be made up and are worth nothing to another tenant or list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::fault::{Code, Fault};
use crate::guard::TenantId;
use crate::value::Value;

/// Bytes of a signature that are kept.
const SIGNATURE: usize = 16;

/// Signs and opens the cursors of one list of one tenant.
#[derive(Clone)]
pub struct Cursors {
    keyed: Hmac<Sha256>,
}

impl Cursors {
    /// For the list of that name; `list` names type, field and order, so that a cursor fits no other list.
    pub fn new(secret: &[u8], tenant: &TenantId, list: &str) -> Self {
        // HMAC takes keys of any length, so this cannot fail; an empty key would be refused by the configuration.
        let mut keyed = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| unreachable!("hmac takes any key"));
        keyed.update(tenant.as_str().as_bytes());
        keyed.update(&[0]);
        keyed.update(list.as_bytes());
        keyed.update(&[0]);
        Self { keyed }
    }

    /// The cursor of a record with these sort values.
    pub fn seal(&self, values: &[&Value]) -> String {
        let json: Vec<_> = values.iter().map(|value| value.to_json()).collect();
        let text = serde_json::Value::Array(json).to_string();
        let mut mac = self.keyed.clone();
        mac.update(text.as_bytes());
        let mut bytes = mac.finalize().into_bytes()[..SIGNATURE].to_vec();
        bytes.extend_from_slice(text.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The sort values of a cursor of this list.
    ///
    /// # Errors
    /// `BAD_CURSOR` for everything that [`Cursors::seal`] did not make for this list and tenant.
    pub fn open(&self, cursor: &str, width: usize) -> Result<Vec<Value>, Fault> {
        let refused = || Fault::client(Code::BadCursor, "the cursor is not one of this list; start again without it");
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
        if bytes.len() <= SIGNATURE {
            return Err(refused());
        }
        let (signature, text) = bytes.split_at(SIGNATURE);
        let mut mac = self.keyed.clone();
        mac.update(text);
        mac.verify_truncated_left(signature).map_err(|_| refused())?;
        match serde_json::from_slice::<Value>(text) {
            Ok(Value::List(values)) if values.len() == width => Ok(values),
            _ => Err(refused()),
        }
    }
}
