//! Opening a file: first a look that changes nothing, then migrations, then the connections.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::migrations;
use crate::stores::migrations::Ran;

/// Quipu's number in the header of its files: "QUIP".
pub const APPLICATION_ID: u32 = 0x5155_4950;

/// How the file is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Connections for reading.
    pub readers: usize,
    /// Longest wait for a free connection before a request is refused as `OVERLOADED`.
    pub wait: Duration,
    /// Longest wait for another process that writes.
    pub busy: Duration,
    /// Whether an acknowledged change survives a power cut, and not only a crash of the process.
    pub durable: bool,
    /// Bytes of the file that are mapped into memory.
    pub mapped: u64,
    /// Bytes of page cache per connection.
    pub cache: u64,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            readers: (cores * 2).max(4),
            wait: Duration::from_secs(2),
            busy: Duration::from_secs(5),
            durable: true,
            mapped: 1 << 30,
            cache: 8 << 20,
        }
    }
}

/// Why a file was not opened. It was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct OpenError {
    /// The file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What can be done.
    pub help: String,
}

impl OpenError {
    pub(super) fn new(path: &Path, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { path: path.display().to_string(), message: message.into(), help: help.into() }
    }
}

impl Options {
    fn common(&self, path: &Path) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(self.busy)
            .statement_cache_capacity(500)
            .disable_statement_logging()
            .pragma("mmap_size", self.mapped.to_string())
            .pragma("cache_size", format!("-{}", self.cache / 1024))
            .pragma("temp_store", "memory")
            .pragma("trusted_schema", "off")
    }

    pub(super) fn reading(&self, path: &Path) -> SqliteConnectOptions {
        self.common(path).read_only(true).pragma("query_only", "on")
    }

    pub(super) fn writing(&self, path: &Path) -> SqliteConnectOptions {
        let synchronous = if self.durable { SqliteSynchronous::Full } else { SqliteSynchronous::Normal };
        self.common(path)
            .foreign_keys(false)
            .synchronous(synchronous)
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864")
    }
}

/// Sets SQLite up, once per process: without statistics of its memory, for which all connections would wait in line at every
/// allocation, and with the vector functions.
pub(super) fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        type Init = unsafe extern "C" fn(
            *mut libsqlite3_sys::sqlite3,
            *mut *mut std::ffi::c_char,
            *const libsqlite3_sys::sqlite3_api_routines,
        ) -> std::ffi::c_int;
        // SAFETY: the option takes one integer. It is refused, and nothing happens, where the process used SQLite before.
        #[allow(unsafe_code)]
        unsafe {
            libsqlite3_sys::sqlite3_config(libsqlite3_sys::SQLITE_CONFIG_MEMSTATUS, 0 as std::ffi::c_int);
        }
        // SAFETY: `sqlite3_vec_init` has the C signature of an extension's entry point, its crate merely declares it without
        // arguments; both libraries are linked statically and live as long as the process.
        #[allow(unsafe_code)]
        unsafe {
            let init = std::mem::transmute::<*const (), Init>(sqlite_vec::sqlite3_vec_init as *const ());
            libsqlite3_sys::sqlite3_auto_extension(Some(init));
        }
    });
}

/// What a look at a file found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, or an empty file.
    Nothing,
    /// A store, with the number of its last migration.
    Store(i64),
}

/// Looks at a file without changing it, and refuses one that is not to be used.
pub(super) async fn look(path: &Path, options: &Options) -> Result<Found, OpenError> {
    match glance(path)? {
        None => Ok(Found::Nothing),
        Some(at_rest) => Ok(Found::Store(check_contents(path, options, at_rest).await?)),
    }
}

/// What ran on a file, which may be of a newer version; nothing on none.
pub(super) async fn ran(path: &Path, options: &Options) -> Result<Vec<Ran>, OpenError> {
    let Some(at_rest) = glance(path)? else { return Ok(Vec::new()) };
    let torn =
        |error: sqlx::Error| OpenError::new(path, format!("cannot be read: {error}"), "restore the file from a backup");
    let mut connection = options.reading(path).immutable(at_rest).connect().await.map_err(torn)?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await.map_err(torn)?;
    let ran = if version == 0 { Vec::new() } else { migrations::ran(&mut connection).await.map_err(torn)? };
    let _ = connection.close().await;
    Ok(ran)
}

/// Whether there is a store, as far as its header tells, and whether nobody has it open: it is without a write-ahead log.
fn glance(path: &Path) -> Result<Option<bool>, OpenError> {
    let unreadable =
        |error: std::io::Error| OpenError::new(path, error.to_string(), "check the path and its permissions");
    let length = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            return Err(OpenError::new(path, "is a directory", "name a file inside it"));
        }
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(unreadable(error)),
    };
    let log = side_file(path, "-wal");
    let log_length = std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
    if length == 0 {
        if log_length > 0 {
            let help =
                format!("restore the file from a backup, or remove {} if its changes are not needed", log.display());
            return Err(OpenError::new(path, "is missing or empty, but its write-ahead log is there", help));
        }
        return Ok(None);
    }
    let mut header = Vec::with_capacity(100);
    File::open(path).and_then(|file| file.take(100).read_to_end(&mut header)).map_err(unreadable)?;
    check_header(path, &header, length, log_length > 0)?;
    Ok(Some(log_length == 0))
}

fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Checks what <https://www.sqlite.org/fileformat2.html#the_database_header> says about the file.
fn check_header(path: &Path, header: &[u8], length: u64, logged: bool) -> Result<(), OpenError> {
    let torn = |what: &str| OpenError::new(path, format!("is damaged: {what}"), "restore the file from a backup");
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(OpenError::new(path, "is not a database", "name another file, or a new one"));
    }
    if header.len() < 100 {
        return Err(torn("it ends inside its header"));
    }
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if word(68) != APPLICATION_ID {
        return Err(OpenError::new(path, "belongs to another program", "name another file, or a new one"));
    }
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size if size >= 512 && size.is_power_of_two() => u64::from(size),
        _ => return Err(torn("its page size is impossible")),
    };
    // While a write-ahead log is there, pages may be in it and not yet in the file.
    let pages = u64::from(word(28));
    if !logged && (!length.is_multiple_of(page) || length / page < pages) {
        return Err(torn("it is shorter than it says"));
    }
    Ok(())
}

async fn check_contents(path: &Path, options: &Options, at_rest: bool) -> Result<i64, OpenError> {
    let torn =
        |error: sqlx::Error| OpenError::new(path, format!("cannot be read: {error}"), "restore the file from a backup");
    // Without a write-ahead log nobody has the file open, and a look need not leave any file beside it.
    let mut connection = options.reading(path).immutable(at_rest).connect().await.map_err(torn)?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await.map_err(torn)?;
    let newest = migrations::newest();
    if version > newest {
        let message = format!("was written by a newer version (format {version}, this one knows {newest})");
        return Err(OpenError::new(path, message, "use the newer version of quipu"));
    }
    let checked = match migrations::check(&mut connection, version).await {
        Ok(None) => touch_tables(&mut connection).await.map_err(torn),
        Ok(Some(message)) => Err(OpenError::new(path, message, "use the version of quipu that wrote the file")),
        Err(error) => Err(torn(error)),
    };
    let _ = connection.close().await;
    checked.map(|()| version)
}

/// Reads the first record of every table: a file whose schema or roots are damaged fails here and not in the middle of a request.
async fn touch_tables(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name NOT GLOB 'sqlite_*'",
    )
    .fetch_all(&mut *connection)
    .await?;
    for name in names {
        let text = format!("SELECT 1 FROM \"{}\" LIMIT 1", name.replace('"', "\"\""));
        sqlx::query(AssertSqlSafe(text)).persistent(false).fetch_optional(&mut *connection).await?;
    }
    Ok(())
}

/// Makes a new file or brings an older one up to date.
pub(super) async fn prepare(path: &Path, options: &Options, found: &Found) -> Result<(), OpenError> {
    let failed = |error: sqlx::Error| {
        let message = format!("cannot be prepared: {error}");
        OpenError::new(path, message, "check the path, its permissions and the space on its disk")
    };
    let mut options = options.writing(path);
    match found {
        Found::Store(version) if *version == migrations::newest() => return Ok(()),
        Found::Store(_) => {}
        // The file is marked as ours before anything else is written, in one page, so that a crash never leaves a stranger.
        Found::Nothing => {
            options = options.create_if_missing(true).pragma("application_id", APPLICATION_ID.to_string());
        }
    }
    let mut connection = options.connect().await.map_err(failed)?;
    sqlx::query("PRAGMA journal_mode = WAL").fetch_all(&mut connection).await.map_err(failed)?;
    migrations::run(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)
}
