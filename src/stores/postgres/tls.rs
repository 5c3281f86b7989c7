//! TLS: what an address and the settings ask for, and what is wrong when it cannot be had.

use std::path::PathBuf;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::open::{OpenError, Options};

/// What `sslmode` can be, as Postgres' own clients have it.
const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

impl Options {
    /// Refuses an address that asks for something unknown.
    pub(super) fn check_tls(&self, url: &str, whose: &str) -> Result<(), OpenError> {
        match parameter(url, &["sslmode", "ssl-mode"]) {
            Some(mode) if !MODES.contains(&mode.to_ascii_lowercase().as_str()) => {
                Err(self.error(format!("{whose} has an unknown sslmode"), format!("it is one of {}", MODES.join(", "))))
            }
            _ => Ok(()),
        }
    }

    /// Adds who vouches for the server.
    pub(super) fn with_tls(&self, options: PgConnectOptions, url: &str) -> Result<PgConnectOptions, OpenError> {
        let named = parameter(url, &["sslrootcert", "ssl-root-cert", "ssl-ca"]).map(PathBuf::from);
        let given = named.is_none();
        let Some(path) = named.or_else(|| self.root_certificate.clone()) else { return Ok(options) };
        let shown = path.display();
        let pem = std::fs::read(&path).map_err(|error| {
            self.error(format!("the root certificate {shown} cannot be read: {error}"), "name a file in PEM form")
        })?;
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(self.error(format!("{shown} holds no certificate"), "name a file in PEM form"));
        }
        let options = options.ssl_root_cert_from_pem(pem);
        Ok(match options.get_ssl_mode() {
            // Somebody who says whom to trust does not want to go without.
            PgSslMode::Prefer | PgSslMode::Allow if given => options.ssl_mode(PgSslMode::VerifyFull),
            _ => options,
        })
    }
}

/// What a failure says of TLS, with what can be done; `None` when it is about something else.
pub(super) fn untrusted(error: &sqlx::Error) -> Option<(String, &'static str)> {
    let cause = match error {
        sqlx::Error::Tls(cause) if cause.to_string().contains("does not support TLS") => {
            let help = "set `ssl = on` in postgresql.conf, or use sslmode=disable within a trusted network";
            return Some(("does not speak TLS, which is asked for".to_owned(), help));
        }
        sqlx::Error::Tls(cause) => cause.to_string(),
        // That is how a handshake fails.
        sqlx::Error::Io(cause) if cause.kind() == std::io::ErrorKind::InvalidData => cause.to_string(),
        _ => return None,
    };
    let known = [
        (
            "UnknownIssuer",
            "nobody who is trusted vouches for it",
            "set `metadata.root_certificate` (or sslrootcert) to the authority's certificate",
        ),
        (
            "CaUsedAsEndEntity",
            "it is an authority's own",
            "give the server a certificate that the authority has signed",
        ),
        ("NotValidForName", "it is for another name", "connect by a name that it is for, or use sslmode=verify-ca"),
        ("not valid for name", "it is for another name", "connect by a name that it is for, or use sslmode=verify-ca"),
        ("xpired", "it is out of date", "give the server a new one"),
    ];
    let found = known.into_iter().find(|(sign, ..)| cause.contains(sign));
    Some(match found {
        Some((_, what, help)) => (format!("its certificate is not trusted: {what}"), help),
        None => (format!("no TLS could be agreed upon: {cause}"), "look at the server's log, and at its certificate"),
    })
}

/// A parameter of an address, decoded.
fn parameter(url: &str, names: &[&str]) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next().unwrap_or(query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    pairs.filter(|(name, _)| names.contains(name)).map(|(_, value)| decoded(value)).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_out_of_addresses() {
        let of = |url| parameter(url, &["sslrootcert", "ssl-ca"]);
        assert_eq!(of("postgres://u:p@h/d"), None);
        assert_eq!(of("postgres://u:p@h/d?sslmode=require"), None);
        assert_eq!(of("postgres://u:p%3Fssl-ca=x@h/d?a=b&sslrootcert=%2Fa%20b&c=d").as_deref(), Some("/a b"));
        assert_eq!(of("postgres://u@h/d?ssl-ca=x#y").as_deref(), Some("x"));
    }
}
