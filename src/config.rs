//! Configuration: a file, over it the environment. This is the only place that reads the environment.
//!
//! Every setting has a safe default but the key that signs tokens. [`reference()`] prints all of them.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use toml::de::DeTable;

mod audit;
mod claims;
mod form;
mod issuers;
mod origins;
mod plans;
mod sections;
mod tables;
mod tenants;
#[cfg(test)]
mod tests;
mod written;

pub use audit::{AuditKinds, AuditVariables};
pub use claims::{ANY, Algorithms, ClaimPath, RequiredClaims, SpokenFor, Texts};
pub use form::{
    ByteSize, CacheUrl, ClientCertificate, DocumentMode, GraphUrl, LogFormat, MetadataUrl, Mode, SameSite, Secret,
    Tenancy, VectorsUrl, duration,
};
pub use issuers::{Issuer, KeySource, issuer_settings, may_be_asked};
pub use origins::Origins;
pub use plans::{OwnPlan, Quota};
pub use sections::{
    Admin, Audit, Auth, Cache, Config, Cursor, Embedding, Graph, Limits, Live, Logs, Metadata, Passwords, Plan,
    Playground, Server, Sessions, Store, Tls, Vectors,
};
pub use tables::OpenTables;
pub use tenants::TenantGraph;

use form::Raw;
use sections::{Key, SECTIONS};

const PREFIX: &str = "QUIPU_";
/// Names the file when no `--config` does.
const FILE_VARIABLE: &str = "QUIPU_CONFIG";
/// Variables that begin like ours and are no settings: they are for the project's scripts.
const SCRIPTS: [&str; 9] = [
    "QUIPU_CACHE",
    "QUIPU_CHROMIUM",
    "QUIPU_DEMO_LIMIT",
    "QUIPU_NEO4J_DIR",
    "QUIPU_POSTGRES_DIR",
    "QUIPU_QDRANT_DIR",
    "QUIPU_QDRANT_PROGRAM",
    "QUIPU_REDIS_DIR",
    "QUIPU_URL",
];
/// So do those that tell tests where servers are.
const TESTS: &str = "QUIPU_TEST_";
const DEFAULT_FILE: &str = "quipu.toml";
const DYLIB_VARIABLE: &str = "ORT_DYLIB_PATH";
/// Bytes of a key for HS256 at least, as RFC 7518 section 3.2 asks.
const SHORTEST_KEY: usize = 32;
/// Keys of our own tokens at most: a token may have to be verified by each.
const MOST_KEYS: usize = 8;

/// What is wrong with the configuration: every problem found, one a line, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl ConfigError {
    pub(crate) fn one(problem: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl Key {
    fn dotted(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    fn variable(&self) -> String {
        format!("{PREFIX}{}_{}", self.section, self.name).to_uppercase()
    }
}

impl Config {
    /// Reads the file and the environment. Without a path it is the file that `QUIPU_CONFIG` names, then `quipu.toml` in the current
    /// folder if there is one, then the defaults alone.
    ///
    /// Relative paths in the file, and default paths, are relative to the file's folder; those in the environment to the current one.
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let named = path.map(Path::to_path_buf).or_else(|| env::var_os(FILE_VARIABLE).map(PathBuf::from));
        let path = named.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
        let file = match &path {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| ConfigError::one(format!("cannot read {}: {error}", path.display())))?;
                Some((path.as_path(), text))
            }
            None => None,
        };
        Self::read(file.as_ref().map(|(path, text)| (*path, text.as_str())), env::vars_os())
    }

    /// Makes the configuration of a file's text and variables: `load` without the world.
    ///
    /// # Errors
    /// All that is wrong, a line each, with its place.
    pub fn read(
        file: Option<(&Path, &str)>,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let mut problems = Vec::new();
        if let Some((path, text)) = file {
            config.take_file(path, text, &mut problems);
        }
        config.take_environment(variables, &mut problems);
        if problems.is_empty() {
            config.check_issuers()?;
        }
        if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
    }

    fn take_file(&mut self, path: &Path, text: &str, problems: &mut Vec<String>) {
        let shown = path.display();
        let line = |at: usize| text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let at = error.span().map_or(1, |span| line(span.start));
                problems.push(format!("{shown}:{at}: {}", error.message()));
                return;
            }
        };
        for (section, value) in table.get_ref() {
            let place = |at: usize| format!("{shown}:{}", line(at));
            let Some(keys) = value.get_ref().as_table() else {
                problems.push(format!("{}: `{}` belongs in a section", place(section.span().start), section.get_ref()));
                continue;
            };
            for (name, value) in keys {
                if section.get_ref() == "graph" && name.get_ref() == "tenants" {
                    tenants::take(&mut self.graph_tenants, value, path, &place, problems);
                    continue;
                }
                if section.get_ref() == "auth" && name.get_ref() == "issuers" {
                    issuers::take(&mut self.auth_issuers, value, path, &place, problems);
                    continue;
                }
                if section.get_ref() == plans::SECTION && value.get_ref().is_table() {
                    plans::take(&mut self.own_plans, name, value, &place, problems);
                    continue;
                }
                let dotted = format!("{}.{}", section.get_ref(), name.get_ref());
                if let Err(problem) = self.set(&dotted, &Raw::Toml(value.get_ref())) {
                    problems.push(format!("{}: {problem}", place(name.span().start)));
                }
            }
            if keys.is_empty() && !SECTIONS.iter().any(|(known, _)| known == section.get_ref()) {
                problems.push(format!("{}: unknown section `{}`", place(section.span().start), section.get_ref()));
            }
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        self.visit(&mut |_, setting| setting.rebase(folder));
    }

    /// Sets what a dotted name says.
    fn set(&mut self, dotted: &str, raw: &Raw<'_>) -> Result<(), String> {
        let mut outcome = None;
        let mut names = Vec::new();
        self.visit(&mut |key, setting| {
            if key.dotted() == dotted {
                outcome = Some(setting.set(raw));
            }
            names.push(key.dotted());
        });
        match outcome {
            Some(Ok(())) => Ok(()),
            Some(Err(expected)) => Err(format!("`{dotted}`: expected {expected}{}", raw.found())),
            None => Err(unknown(dotted, &names)),
        }
    }

    fn take_environment(&mut self, variables: impl Iterator<Item = (OsString, OsString)>, problems: &mut Vec<String>) {
        let mut dylib = None;
        for (name, value) in variables {
            match name.to_str() {
                Some(DYLIB_VARIABLE) if !value.is_empty() => dylib = Some(PathBuf::from(value)),
                Some(name) if SCRIPTS.contains(&name) || name.starts_with(TESTS) || name == FILE_VARIABLE => {}
                Some(name) if name.starts_with(tenants::VARIABLE) => problems.push(format!(
                    "`{name}` in the environment: databases of tenants are named in the file, as [graph.tenants.NAME]; a password \
                     can be in a file of its own, which `password_file` names"
                )),
                Some(name) if name.starts_with(issuers::VARIABLE) => problems.push(format!(
                    "`{name}` in the environment: identity providers are named in the file, as [auth.issuers.NAME]"
                )),
                Some(name) if name.starts_with(PREFIX) => {
                    match value.to_str() {
                        Some(text) => problems.extend(self.set_variable(name, text).err()),
                        None => problems.push(format!("`{name}`: expected UTF-8")),
                    };
                }
                _ => {}
            }
        }
        if self.embedding.dylib.is_none() {
            self.embedding.dylib = dylib;
        }
    }

    fn set_variable(&mut self, name: &str, text: &str) -> Result<(), String> {
        let mut outcome = None;
        let mut names = Vec::new();
        self.visit(&mut |key, setting| {
            if key.variable() == name {
                outcome = Some(setting.set(&Raw::Text(text)));
            }
            names.push(key.variable());
        });
        match outcome {
            Some(Ok(())) => Ok(()),
            Some(Err(expected)) => Err(format!("`{name}` in the environment: expected {expected}")),
            None => Err(format!("{} in the environment", unknown(name, &names))),
        }
    }

    /// Whether it runs for the world: no introspection, no suggestions, no playground.
    pub fn is_production(&self) -> bool {
        self.server.mode == Mode::Production
    }

    /// Whether the analysts' page is served.
    pub fn serves_playground(&self) -> bool {
        self.playground.enabled.unwrap_or(!self.is_production())
    }

    /// The key that signs tokens. Fails with a line of help when there is none, or one that is no secret.
    pub fn auth_key(&self) -> Result<Secret, ConfigError> {
        self.auth_keys().map(|mut keys| keys.swap_remove(0))
    }

    /// The keys of our own tokens, at least one: the first signs, and all verify. Their file is read anew each time.
    ///
    /// # Errors
    /// When there is none, or one that is no secret.
    pub fn auth_keys(&self) -> Result<Vec<Secret>, ConfigError> {
        let Some(text) = given("auth.secret", self.auth.secret.as_ref(), self.auth.secret_file.as_deref())? else {
            return Err(ConfigError::one(
                "`auth.secret` is not set: tokens cannot be verified without a key\n\
                 help: set `auth.secret_file` to a file with at least 32 random bytes (`openssl rand -hex 32`), or \
                 QUIPU_AUTH_SECRET in the environment; `quipu demo` makes one of its own",
            ));
        };
        let lines = text.text().lines().filter(|line| !line.trim().is_empty());
        let keys: Vec<Secret> =
            lines.map(|line| checked("auth", Secret::new(line))).collect::<Result<_, ConfigError>>()?;
        match keys.len() {
            0 => checked("auth", text).map(|key| vec![key]),
            1..=MOST_KEYS => Ok(keys),
            many => Err(ConfigError::one(format!(
                "`auth.secret` has {many} lines, each of which is a key, and at most {MOST_KEYS} are taken\n\
                 help: take those out that sign no token any more"
            ))),
        }
    }

    /// Looks whether the issuers can be told apart, and each is whole.
    ///
    /// # Errors
    /// All that is wrong, a line each.
    pub fn check_issuers(&self) -> Result<(), ConfigError> {
        issuers::check(&self.auth_issuers, self.auth.issuer.as_deref())
    }

    /// The keys that verify tokens of our own, when there are any. Without them all tokens are of identity providers, of which one has
    /// to be there.
    ///
    /// # Errors
    /// When no token could be verified, or a key is no secret.
    pub fn token_keys(&self) -> Result<Option<Vec<Secret>>, ConfigError> {
        let is_named = self.auth.secret.is_some() || self.auth.secret_file.is_some();
        if is_named || self.auth_issuers.is_empty() { self.auth_keys().map(Some) } else { Ok(None) }
    }

    /// The key that signs cursors, 32 bytes or more: as configured, or derived from the key that signs tokens.
    pub fn cursor_key(&self) -> Result<Vec<u8>, ConfigError> {
        if let Some(key) = given("cursor.secret", self.cursor.secret.as_ref(), self.cursor.secret_file.as_deref())? {
            return checked("cursor", key).map(|key| key.expose().to_vec());
        }
        if self.token_keys()?.is_none() {
            return Err(ConfigError::one(
                "`cursor.secret` is not set, and there is no `auth.secret` that it could be derived from\n\
                 help: set `cursor.secret_file` to a file with at least 32 random bytes (`openssl rand -hex 32`), or \
                 QUIPU_CURSOR_SECRET in the environment; all instances need the same",
            ));
        }
        let mut derived = Hmac::<Sha256>::new_from_slice(self.auth_key()?.expose())
            .map_err(|error| ConfigError::one(format!("`auth.secret`: {error}")))?;
        derived.update(b"quipu cursor");
        Ok(derived.finalize().into_bytes().to_vec())
    }

    /// The password of the cache, from where it is configured.
    pub fn cache_password(&self) -> Result<Option<String>, ConfigError> {
        password("cache.password", self.cache.password.as_ref(), self.cache.password_file.as_deref())
    }

    /// The password of the graph, from where it is configured.
    pub fn graph_password(&self) -> Result<Option<String>, ConfigError> {
        password("graph.password", self.graph.password.as_ref(), self.graph.password_file.as_deref())
    }

    /// The passwords of the metadata's login and of its owner, from where they are configured.
    pub fn metadata_passwords(&self) -> Result<[Option<String>; 2], ConfigError> {
        let Metadata { password: login, password_file, owner_password, owner_password_file, .. } = &self.metadata;
        Ok([
            password("metadata.password", login.as_ref(), password_file.as_deref())?,
            password("metadata.owner_password", owner_password.as_ref(), owner_password_file.as_deref())?,
        ])
    }

    /// The key of the vectors' server, from where it is configured.
    pub fn vectors_key(&self) -> Result<Option<String>, ConfigError> {
        password("vectors.key", self.vectors.key.as_ref(), self.vectors.key_file.as_deref())
    }

    /// How the engine behaves under this configuration.
    pub fn engine_settings(&self) -> Result<quipu_resolvers::Settings, ConfigError> {
        Ok(quipu_resolvers::Settings {
            limits: self.limits.engine(),
            introspection: !self.is_production(),
            cursor_secret: self.cursor_key()?,
        })
    }
}

/// A password that is given in place or in the file that `NAME_file` names.
fn password(name: &str, inline: Option<&Secret>, file: Option<&Path>) -> Result<Option<String>, ConfigError> {
    Ok(given(name, inline, file)?.map(|password| password.text().to_owned()))
}

/// A secret that is given in place or in the file that `NAME_file` names.
fn given(name: &str, inline: Option<&Secret>, file: Option<&Path>) -> Result<Option<Secret>, ConfigError> {
    match (inline, file) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(ConfigError::one(format!("set `{name}` or `{name}_file`, not both"))),
        (Some(secret), None) => Ok(Some(secret.clone())),
        (None, Some(path)) => {
            let text = fs::read_to_string(path)
                .map_err(|error| ConfigError::one(format!("`{name}_file`: cannot read {}: {error}", path.display())))?;
            Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
        }
    }
}

/// A key to sign with, checked for what that needs.
fn checked(section: &str, key: Secret) -> Result<Secret, ConfigError> {
    if key.expose().starts_with(b"-----BEGIN") {
        // whoever knows a public key could sign tokens with it
        return Err(ConfigError::one(format!(
            "`{section}.secret` is a PEM file, not a shared secret\nhelp: use at least {SHORTEST_KEY} random bytes"
        )));
    }
    if key.expose().len() < SHORTEST_KEY {
        return Err(ConfigError::one(format!(
            "`{section}.secret` has {} bytes, and at least {SHORTEST_KEY} are needed\nhelp: `openssl rand -hex 32` makes one",
            key.expose().len()
        )));
    }
    Ok(key)
}

/// Sets the setting of a name in a section of its own, whose settings are those that `visit` hands out.
///
/// # Errors
/// What is wrong with it, with the nearest known name where there is none of this one.
fn set_one(
    section: &str,
    name: &str,
    raw: &Raw<'_>,
    visit: impl FnOnce(&mut dyn FnMut(&'static str, &mut dyn form::Setting)),
) -> Result<(), String> {
    let (mut outcome, mut known) = (None, Vec::new());
    visit(&mut |key, setting| {
        if key == name {
            outcome = Some(setting.set(raw));
        }
        known.push(format!("{section}.{key}"));
    });
    let dotted = format!("{section}.{name}");
    match outcome {
        Some(Ok(())) => Ok(()),
        Some(Err(expected)) => Err(format!("`{dotted}`: expected {expected}{}", raw.found())),
        None => Err(unknown(&dotted, &known)),
    }
}

/// Names the nearest of the known names, when one is near enough to be meant.
fn unknown(name: &str, known: &[String]) -> String {
    let distance = |known: &&String| strsim::damerau_levenshtein(name, known);
    let nearest = known.iter().min_by_key(distance).filter(|known| distance(known) <= name.len().div_ceil(3));
    match nearest {
        Some(nearest) => format!("unknown setting `{name}`; did you mean `{nearest}`?"),
        None => format!("unknown setting `{name}`"),
    }
}

/// How many processors there are for this process: what some settings come to when they are not set.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A `quipu.toml` with every setting at its default, explained. Settings are commented out, so that it means what an empty file means.
pub fn reference() -> String {
    let mut text = String::from(
        "# Settings of Quipu. Each can also be set in the environment as QUIPU_<SECTION>_<KEY>,\n\
         # like QUIPU_SERVER_LISTEN; the environment wins.\n",
    );
    let mut config = Config::default();
    let mut section = "";
    config.visit(&mut |key, setting| {
        if key.section != section {
            section = key.section;
            let about = SECTIONS.iter().find(|(name, _)| *name == section).map_or(&[][..], |(_, about)| *about);
            text.push('\n');
            about.iter().for_each(|line| text.push_str(&format!("#{line}\n")));
            text.push_str(&format!("[{section}]\n"));
        }
        key.doc.iter().for_each(|line| text.push_str(&format!("#{line}\n")));
        text.push_str(&format!("#{} = {}\n", key.name, setting.show()));
        if (key.section, key.name) == tenants::AFTER {
            text.push_str(&tenants::reference());
        }
        if (key.section, key.name) == plans::AFTER {
            text.push_str(&plans::reference());
        }
        if (key.section, key.name) == issuers::AFTER {
            text.push_str(&issuers::reference());
        }
    });
    text
}
