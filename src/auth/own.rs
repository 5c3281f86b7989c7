//! The keys of our own tokens: those that the settings name, taken up anew when their file changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use jsonwebtoken::{DecodingKey, Validation};

use super::Denied;
use super::claims::{Rules, Said};
use super::token::{ALGORITHM, claims_of, validation};
use crate::config::{Config, ConfigError, Secret};
use crate::reload::Looks;

/// Verifies our own tokens.
pub(super) struct Own {
    keys: ArcSwap<Keys>,
    validation: Validation,
    rules: Rules,
    /// Names the file.
    config: Config,
    is_well: AtomicBool,
}

/// Keys that are taken. The first one signs.
struct Keys {
    secrets: Vec<Secret>,
    decoding: Vec<DecodingKey>,
    /// Tells one set from the next.
    generation: u64,
}

impl Keys {
    fn of(secrets: Vec<Secret>, generation: u64) -> Arc<Self> {
        let decoding = secrets.iter().map(|secret| DecodingKey::from_secret(secret.expose())).collect();
        Arc::new(Self { secrets, decoding, generation })
    }
}

impl Own {
    /// `None` where all tokens are of identity providers.
    ///
    /// # Errors
    /// When no token could be verified, or a key is no secret.
    pub fn of(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some(secrets) = config.token_keys()? else { return Ok(None) };
        Ok(Some(Self {
            keys: ArcSwap::new(Keys::of(secrets, 0)),
            validation: validation(ALGORITHM),
            rules: Rules::own(&config.auth),
            config: config.clone(),
            is_well: AtomicBool::new(true),
        }))
    }

    /// What a token says, and by which set of keys.
    pub fn read(&self, token: &str) -> Result<(Said, u64), Denied> {
        let keys = self.keys.load_full();
        let mut outcome = Err(Denied::UnknownKey);
        for key in &keys.decoding {
            outcome = claims_of(token, key, &self.validation);
            // Anything else is wrong with the token whichever key has signed it.
            if !matches!(outcome, Err(Denied::Unverified(_))) {
                break;
            }
        }
        Ok((self.rules.read(outcome?)?, keys.generation))
    }

    /// Whether a set of keys is the one that is taken.
    pub fn holds(&self, generation: u64) -> bool {
        self.keys.load().generation == generation
    }

    /// Whether the file held keys when it was looked at last; `None` where there is no file.
    pub fn is_well(&self) -> Option<bool> {
        self.config.auth.secret_file.as_ref().map(|_| self.is_well.load(Ordering::Relaxed))
    }

    /// Looks at the file again and again; never ends. Where there is none it does nothing.
    pub async fn follow(&self) {
        if self.config.auth.secret_file.is_none() {
            return std::future::pending().await;
        }
        let mut looks = Looks::new(self.config.server.reload);
        loop {
            looks.next().await;
            let config = self.config.clone();
            // Files may be on a disk that hangs.
            match tokio::task::spawn_blocking(move || config.auth_keys()).await {
                Ok(read) => self.take(read),
                Err(error) => tracing::error!(%error, "looking at the keys of tokens failed"),
            }
        }
    }

    /// Takes other keys. What cannot be used changes nothing, and is said once.
    fn take(&self, read: Result<Vec<Secret>, ConfigError>) {
        match read {
            Ok(secrets) => {
                let before = self.keys.load_full();
                if before.secrets != secrets {
                    tracing::info!(keys = secrets.len(), "the keys of tokens have changed");
                    self.keys.store(Keys::of(secrets, before.generation + 1));
                }
                self.is_well.store(true, Ordering::Relaxed);
            }
            Err(problem) => {
                if self.is_well.swap(false, Ordering::Relaxed) {
                    tracing::error!(%problem, "the new keys of tokens cannot be used; those before are used on");
                }
            }
        }
    }
}
