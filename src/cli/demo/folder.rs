//! The demo's folder: its settings, its key, and the tokens that the playground offers.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::config::Config;

/// The model that ships with Quipu, in the folder it is built from.
const MODEL: &str = "models/all-MiniLM-L6-v2";
/// Where the demo's tokens are, beside its settings.
const TOKENS: &str = "tokens.json";

/// Reads a demo's settings, making folder and settings when they are not there.
///
/// # Errors
/// When they cannot be made, or not be read.
pub fn settings(dir: &Path, named: Option<PathBuf>, listen: SocketAddr) -> Result<Config, Failure> {
    let path = named.unwrap_or_else(|| dir.join("quipu.toml"));
    if !path.exists() {
        let made = make(&path, listen, None);
        made.map_err(|error| Failure::store(format!("cannot make {}: {error}", path.display())))?;
        // What the environment says of the library is kept, so that the other commands find it, too.
        let dylib = Config::load(Some(&path))?.embedding.dylib.filter(|dylib| dylib.exists());
        let made = make(&path, listen, dylib.as_deref());
        made.map_err(|error| Failure::store(format!("cannot make {}: {error}", path.display())))?;
    }
    Ok(Config::load(Some(&path))?)
}

fn make(path: &Path, listen: SocketAddr, dylib: Option<&Path>) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(dir)?;
    let key = dir.join("secret");
    if !key.exists() {
        let bytes: [u8; 32] = rand::random();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        private(&key, &format!("{hex}\n"))?;
    }
    // Serving reads it; filled when the tenants are there.
    let tokens = dir.join(TOKENS);
    if !tokens.exists() {
        private(&tokens, "[]\n")?;
    }
    let mut text = format!(
        "# The demo's settings, made by `quipu demo`. Delete the folder to begin anew.\n\n\
         [server]\nlisten = \"{listen}\"\n\n\
         [store]\npath = \"quipu.db\"\n\n\
         [auth]\nsecret_file = \"secret\"\n\n\
         [playground]\ndemo_tokens = \"{TOKENS}\"\n"
    );
    let quoted = |path: &Path| toml::Value::from(path.display().to_string()).to_string();
    let found = [model().map(|model| ("model", model)), dylib.map(|dylib| ("dylib", absolute(dylib)))];
    if found.iter().any(Option::is_some) {
        text.push_str("\n[embedding]\n");
        for (key, value) in found.iter().flatten() {
            text.push_str(&format!("{key} = {}\n", quoted(value)));
        }
    }
    replace(path, &text)
}

/// The model that ships with Quipu: from the current folder, or from one around the program.
fn model() -> Option<PathBuf> {
    let program = env::current_exe().ok();
    let around = program.iter().flat_map(|program| program.ancestors().skip(1).map(|dir| dir.join(MODEL)));
    std::iter::once(PathBuf::from(MODEL)).chain(around).find(|model| model.is_dir()).map(|model| absolute(&model))
}

fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Writes the tokens that the playground offers, each with the name of its tenant.
///
/// # Errors
/// When the file cannot be written.
pub fn offer(config: &Config, tokens: &[(&str, &str)]) -> Result<(), Failure> {
    let Some(path) = &config.playground.demo_tokens else { return Ok(()) };
    let offered: Vec<_> =
        tokens.iter().map(|(name, token)| serde_json::json!({ "name": name, "token": token })).collect();
    let text = format!("{:#}\n", serde_json::Value::from(offered));
    replace(path, &text).map_err(|error| Failure::store(format!("cannot write {}: {error}", path.display())))
}

/// Writes a file whole, or leaves the one before.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    private(&beside, text)?;
    fs::rename(&beside, path)
}

/// Writes a file that only its owner may read.
fn private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
