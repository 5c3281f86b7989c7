//! Passwords of local users: Argon2id (RFC 9106), a few at a time, off the threads that answer requests.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Denied;
use crate::config::{self, ConfigError, Secret};

/// Bytes of a password: hashing starts with all of them.
pub const LONGEST: usize = 1024;
/// Longest wait for a turn.
const WAIT: Duration = Duration::from_secs(5);
/// Those who may wait for one; further ones are refused at once.
const LINE: usize = 64;
/// Bytes of a salt, as RFC 9106 recommends (section 3.1).
const SALT: usize = 16;

/// Hashes passwords, and compares them with hashes.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    /// What a password is compared with where there is no user, so that it takes as long.
    nobody: Arc<str>,
    turns: Arc<Semaphore>,
    line: Arc<Semaphore>,
    shortest: usize,
}

impl Passwords {
    /// Fails when the settings are none that Argon2 takes.
    pub fn new(settings: &config::Passwords) -> Result<Self, ConfigError> {
        let memory = u32::try_from(settings.memory.0 / 1024).unwrap_or(u32::MAX);
        let params = Params::new(memory, settings.iterations, settings.lanes, None).map_err(|error| {
            ConfigError::one(format!(
                "`passwords.memory`, `passwords.iterations` and `passwords.lanes` do not fit together: {error}"
            ))
        })?;
        let [salt, output] = [SALT, 32].map(|bytes| STANDARD_NO_PAD.encode(&rand::random::<[u8; 32]>()[..bytes]));
        let nobody =
            format!("$argon2id$v=19$m={memory},t={},p={}${salt}${output}", settings.iterations, settings.lanes);
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            nobody: nobody.into(),
            turns: Arc::new(Semaphore::new(settings.at_once.get().min(Semaphore::MAX_PERMITS))),
            line: Arc::new(Semaphore::new(LINE)),
            shortest: settings.shortest,
        })
    }

    /// Whether a password may be taken. The message says what is wrong with it.
    ///
    /// # Errors
    /// When it is too short or too long.
    pub fn check(&self, password: &str) -> Result<(), String> {
        let shortest = self.shortest.max(1);
        match password {
            long if long.len() > LONGEST => Err(format!("a password has at most {LONGEST} bytes")),
            short if short.chars().count() < shortest => {
                Err(format!("a password has at least {shortest} characters (passwords.shortest)"))
            }
            _ => Ok(()),
        }
    }

    /// The hash of a password, as a PHC string with a salt of its own.
    ///
    /// # Errors
    /// `Busy` when there is no turn in time.
    pub async fn hash(&self, password: Secret) -> Result<Secret, Denied> {
        let argon2 = self.argon2.clone();
        let hashed = self.in_turn(move || {
            let salt = SaltString::encode_b64(&rand::random::<[u8; SALT]>())?;
            argon2.hash_password(password.expose(), &salt).map(|hash| Secret::new(hash.to_string()))
        });
        hashed.await?.map_err(|error| Denied::Unavailable(format!("a password cannot be hashed: {error}")))
    }

    /// Whether a password is the one of a hash. Without a hash it is not, and takes as long.
    ///
    /// # Errors
    /// `Busy` when there is no turn in time.
    pub async fn verify(&self, password: Secret, hash: Option<&Secret>) -> Result<bool, Denied> {
        let argon2 = self.argon2.clone();
        let is_somebody = hash.is_some();
        let hash = hash.map_or_else(|| self.nobody.to_string(), |hash| hash.text().to_owned());
        let verified = self.in_turn(move || {
            let hash = PasswordHash::new(&hash)?;
            argon2.verify_password(password.expose(), &hash)
        });
        match verified.await? {
            Ok(()) => Ok(is_somebody),
            Err(argon2::password_hash::Error::Password) => Ok(false),
            Err(error) => Err(Denied::Unavailable(format!("a hash of a password cannot be read: {error}"))),
        }
    }

    /// A place in the line of those who want a password compared, to be held from before anything is looked up for it. So whoever tries
    /// passwords waits for others who do, and takes no place of those who ask something.
    ///
    /// # Errors
    /// `Busy` when the line is full.
    pub fn line_up(&self) -> Result<OwnedSemaphorePermit, Denied> {
        self.line.clone().try_acquire_owned().map_err(|_| Denied::Busy)
    }

    /// Works when it is its turn. The work keeps its turn also when nobody waits for it any more.
    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Denied> {
        let turn = timeout(WAIT, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Denied::Busy) };
        let worked = spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        worked.await.map_err(|error| Denied::Unavailable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> Passwords {
        let settings = config::Passwords { memory: config::ByteSize(64 << 10), iterations: 1, ..Default::default() };
        Passwords::new(&settings).unwrap()
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_alone() {
        let passwords = cheap();
        let secret = |text: &str| Secret::new(text);
        let hash = passwords.hash(secret("correct horse battery")).await.unwrap();
        assert!(hash.text().starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{}", hash.text());
        assert_ne!(hash, passwords.hash(secret("correct horse battery")).await.unwrap(), "salted");
        assert!(passwords.verify(secret("correct horse battery"), Some(&hash)).await.unwrap());
        for wrong in ["correct horse batterY", "", "correct horse battery "] {
            assert!(!passwords.verify(secret(wrong), Some(&hash)).await.unwrap(), "{wrong}");
            assert!(!passwords.verify(secret(wrong), None).await.unwrap(), "{wrong}");
        }
        let odd = passwords.verify(secret("x"), Some(&secret("no hash"))).await;
        assert!(matches!(odd, Err(Denied::Unavailable(_))));
    }

    #[test]
    fn the_defaults_are_those_that_owasp_recommends() {
        let passwords = Passwords::new(&config::Passwords::default()).unwrap();
        assert!(passwords.nobody.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", passwords.nobody);
        assert!(PasswordHash::new(&passwords.nobody).is_ok());
        let none = config::Passwords { iterations: 0, ..Default::default() };
        assert!(Passwords::new(&none).err().unwrap().to_string().contains("passwords.iterations"));
    }

    #[test]
    fn the_line_has_an_end() {
        let passwords = cheap();
        let line: Vec<_> = (0..LINE).map(|_| passwords.line_up().unwrap()).collect();
        assert!(matches!(passwords.line_up(), Err(Denied::Busy)));
        drop(line);
        assert!(passwords.line_up().is_ok());
    }

    #[test]
    fn passwords_are_neither_short_nor_endless() {
        let passwords = cheap();
        assert!(passwords.check("twelve chars").is_ok() && passwords.check(&"é".repeat(12)).is_ok());
        assert!(passwords.check("eleven char").unwrap_err().contains("passwords.shortest"));
        assert!(passwords.check(&"x".repeat(LONGEST)).is_ok() && passwords.check(&"x".repeat(LONGEST + 1)).is_err());
    }
}
