//! The ONNX Runtime library: found, examined and loaded, within a time limit and never twice.
//!
//! Loading foreign code can hang or panic, so it happens on a thread of its own. `ort` 2.0.0-rc.14 keeps the library in a slot that
//! counts as filled even when loading failed, and would use what is not there at the next call; so the library is examined first with
//! functions that leave that slot alone, and handed over only once it has passed.

use super::EmbedError;
use ort::environment::Environment;
use ort::logging::LogLevel;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

const HELP: &str = "run `make setup`, which fetches ONNX Runtime, and set ORT_DYLIB_PATH to the library file it prints";

/// The process's one environment, or why there is none; a library once taken stays for the life of the process.
static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
/// The way into the dynamic loader.
static LOADER: Gate = Gate::new();

/// The runtime's environment, loading the library if need be.
///
/// # Errors
/// [`EmbedError::Unavailable`] where the file is missing, is not ONNX Runtime, is too old, or does not answer within `limit`.
pub(super) fn environment(dylib: Option<&Path>, limit: Duration) -> Result<Environment, EmbedError> {
    let path = locate(dylib)?;
    LOADER.within(limit, move || {
        examine(&path)?;
        let ready = ENVIRONMENT.get_or_init(|| create(&path));
        ready.clone().map_err(|reason| EmbedError::unavailable(reason, HELP))
    })
}

/// Whether the library could be used; loads it into the process but creates nothing in it.
///
/// # Errors
/// As [`environment`].
pub(super) fn probe(dylib: Option<&Path>, limit: Duration) -> Result<(), EmbedError> {
    let path = locate(dylib)?;
    LOADER.within(limit, move || examine(&path))
}

/// Whether the file is there that would be loaded; nothing is loaded. A name that the system looks for is taken to be there.
///
/// # Errors
/// [`EmbedError::Unavailable`] where it is not.
pub(super) fn present(dylib: Option<&Path>) -> Result<(), EmbedError> {
    locate(dylib).map(drop)
}

/// The file to load. Only a regular file is opened: a pipe or a device would block the loader.
fn locate(dylib: Option<&Path>) -> Result<PathBuf, EmbedError> {
    let Some(path) = dylib else {
        let name = format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(&name)));
        return Ok(beside.filter(|path| path.is_file()).unwrap_or_else(|| name.into()));
    };
    match std::fs::metadata(path) {
        Ok(about) if about.is_file() => {}
        Ok(_) => return Err(EmbedError::unavailable(format!("`{}` is not a file", path.display()), HELP)),
        Err(error) => {
            let reason = format!("cannot read the ONNX Runtime library `{}`: {error}", path.display());
            return Err(EmbedError::unavailable(reason, HELP));
        }
    }
    std::path::absolute(path).map_err(|error| EmbedError::unavailable(format!("`{}`: {error}", path.display()), HELP))
}

fn examine(path: &Path) -> Result<(), EmbedError> {
    let refuse = |reason: String| Err(EmbedError::unavailable(reason, HELP));
    match cut_short(path) {
        Ok(false) => {}
        Ok(true) => return refuse(format!("`{}` is cut short, as by an interrupted download", path.display())),
        Err(error) => return refuse(format!("cannot read `{}`: {error}", path.display())),
    }
    // Stays loaded, so that what follows sees the very same library.
    if let Err(error) = ort::util::preload_dylib(path) {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        return refuse(format!("cannot load `{}`: {error}{cause}", path.display()));
    }
    match ort::util::probe(path) {
        None => refuse(format!("`{}` is a library, but not ONNX Runtime 1", path.display())),
        Some(minor) if minor < ort::MINOR_VERSION => refuse(format!(
            "`{}` is ONNX Runtime 1.{minor}; 1.{} or newer is needed",
            path.display(),
            ort::MINOR_VERSION
        )),
        Some(_) => Ok(()),
    }
}

/// Whether a 64-bit ELF file ends before the segments that its header promises: the dynamic loader maps those without looking, and the
/// process dies of SIGBUS. Offsets are those of the ELF-64 format; other formats, and names without a path, are left to the loader.
fn cut_short(path: &Path) -> std::io::Result<bool> {
    const LOADED: u32 = 1;
    if !path.is_absolute() {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut header = [0_u8; 64];
    if length < 64 {
        return Ok(false);
    }
    file.read_exact(&mut header)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Ok(false);
    }
    let (start, count) = (u64_at(&header, 0x20), u64::from(header[0x38]) | u64::from(header[0x39]) << 8);
    if start.saturating_add(count * 56) > length {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(start))?;
    for _ in 0..count {
        let mut segment = [0_u8; 56];
        file.read_exact(&mut segment)?;
        let kind = u32::from_le_bytes([segment[0], segment[1], segment[2], segment[3]]);
        if kind == LOADED && u64_at(&segment, 0x08).saturating_add(u64_at(&segment, 0x20)) > length {
            return Ok(true);
        }
    }
    Ok(false)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn create(path: &Path) -> Result<Environment, String> {
    let environment = ort::init_from(path)
        .map_err(|error| error.to_string())?
        .with_name("quipu")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, category, _, location, message| log(level, category, location, message)))
        .build()
        .map_err(|error| error.to_string())?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

fn log(level: LogLevel, category: &str, location: &str, message: &str) {
    match level {
        LogLevel::Error | LogLevel::Fatal => tracing::error!(category, location, "{message}"),
        LogLevel::Warning => tracing::warn!(category, location, "{message}"),
        _ => tracing::trace!(category, location, "{message}"),
    }
}

/// Lets one load run at a time, each on a thread of its own and waited for no longer than its limit.
struct Gate {
    busy: Mutex<bool>,
    freed: Condvar,
}

impl Gate {
    const fn new() -> Self {
        Self { busy: Mutex::new(false), freed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work`. A thread that hangs is left behind, and until it ends nobody else starts one.
    fn within<T: Send + 'static>(
        &'static self,
        limit: Duration,
        work: impl FnOnce() -> Result<T, EmbedError> + Send + 'static,
    ) -> Result<T, EmbedError> {
        let slow = || {
            let reason = format!("ONNX Runtime did not load within {} s", limit.as_secs_f32());
            EmbedError::unavailable(reason, HELP)
        };
        let waited = self.freed.wait_timeout_while(self.lock(), limit, |busy| *busy);
        let (mut busy, wait) = waited.unwrap_or_else(PoisonError::into_inner);
        if wait.timed_out() {
            return Err(slow());
        }
        *busy = true;
        drop(busy);

        let pass = Pass(self);
        let (done, result) = mpsc::sync_channel(1);
        let load = move || {
            let _pass = pass;
            // Nobody listens any more when the limit has passed.
            let _ = done.send(work());
        };
        let thread = std::thread::Builder::new().name("onnx-load".to_owned()).spawn(load);
        thread.map_err(|error| EmbedError::Failed(format!("no thread to load ONNX Runtime: {error}")))?;
        result.recv_timeout(limit).unwrap_or_else(|error| match error {
            mpsc::RecvTimeoutError::Timeout => Err(slow()),
            mpsc::RecvTimeoutError::Disconnected => {
                Err(EmbedError::unavailable("ONNX Runtime broke while it was loaded", HELP))
            }
        })
    }
}

/// Held by the one thread that loads.
struct Pass(&'static Gate);

impl Drop for Pass {
    fn drop(&mut self) {
        *self.0.lock() = false;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hanging_load_ends_at_its_limit_and_keeps_others_out() {
        static GATE: Gate = Gate::new();
        let limit = Duration::from_millis(50);
        let (let_go, hold) = mpsc::channel::<()>();
        let hang = GATE.within(limit, move || {
            let _ = hold.recv();
            Ok(())
        });
        let late = |result: &Result<(), EmbedError>| format!("{result:?}").contains("did not load within 0.05 s");
        assert!(late(&hang), "{hang:?}");
        let second = GATE.within(limit, || Ok(()));
        assert!(late(&second), "a second load must not start beside a hanging one: {second:?}");
        drop(let_go);
        assert_eq!(GATE.within(Duration::from_secs(10), || Ok(7)), Ok(7), "once it has ended, the next may load");
    }

    #[test]
    fn a_panic_while_loading_is_an_answer() {
        static GATE: Gate = Gate::new();
        let broken: Result<(), _> = GATE.within(Duration::from_secs(10), || panic!("for the test"));
        assert!(format!("{broken:?}").contains("broke while it was loaded"), "{broken:?}");
        assert_eq!(GATE.within(Duration::from_secs(10), || Ok(7)), Ok(7));
    }
}
