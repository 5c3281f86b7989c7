//! The forms that values take in the file and in the environment: text, numbers, sizes, durations, secrets.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

/// A value as it was written: a TOML value of the file, or the text of a variable of the environment.
pub(super) enum Raw<'a> {
    /// From the file.
    Toml(&'a DeValue<'a>),
    /// From the environment.
    Text(&'a str),
}

impl Raw<'_> {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Toml(value) => value.as_str(),
            Self::Text(text) => Some(text),
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Toml(value) => {
                let number = value.as_integer()?;
                i64::from_str_radix(number.as_str(), number.radix()).ok()
            }
            Self::Text(text) => text.trim().parse().ok(),
        }
    }

    fn flag(&self) -> Option<bool> {
        match self {
            Self::Toml(value) => value.as_bool(),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }

    /// What stood where another form was expected, for the end of an error. Text is not repeated: it may be a secret in the wrong
    /// place.
    pub(super) fn found(&self) -> String {
        match self {
            Self::Toml(DeValue::Integer(number)) => format!(", found {}", number.as_str()),
            Self::Toml(DeValue::Boolean(flag)) => format!(", found {flag}"),
            Self::Toml(DeValue::String(_)) | Self::Text(_) => String::new(),
            Self::Toml(other) => format!(", found {}", other.type_str()),
        }
    }
}

/// What a setting's type must be able to do.
pub(super) trait Form: Sized {
    /// What is expected, as it stands in an error.
    const EXPECTED: &'static str;
    /// A value to show where there is no default, as TOML.
    const EXAMPLE: &'static str = "\"...\"";

    /// Takes a value; `None` when it has another form.
    fn take(raw: &Raw<'_>) -> Option<Self>;

    /// The value as TOML; `None` when there is none.
    fn show(&self) -> Option<String>;

    /// Resolves a relative path against the folder of the file that names it.
    fn rebase(&mut self, _folder: &Path) {}
}

/// A setting whose type is not known: what the list of all settings hands out.
pub(super) trait Setting {
    /// Takes a value; says what was expected when it has another form.
    fn set(&mut self, raw: &Raw<'_>) -> Result<(), &'static str>;
    /// The value or an example as TOML.
    fn show(&self) -> String;
    /// The value as TOML; `None` when there is none.
    fn written(&self) -> Option<String>;
    /// Resolves a relative path against the folder of the file that names it.
    fn rebase(&mut self, folder: &Path);
}

impl<T: Form> Setting for T {
    fn set(&mut self, raw: &Raw<'_>) -> Result<(), &'static str> {
        *self = T::take(raw).ok_or(T::EXPECTED)?;
        Ok(())
    }

    fn show(&self) -> String {
        self.written().unwrap_or_else(|| T::EXAMPLE.into())
    }

    fn written(&self) -> Option<String> {
        Form::show(self)
    }

    fn rebase(&mut self, folder: &Path) {
        Form::rebase(self, folder);
    }
}

impl<T: Form> Form for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const EXAMPLE: &'static str = T::EXAMPLE;

    fn take(raw: &Raw<'_>) -> Option<Self> {
        T::take(raw).map(Some)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(Form::show)
    }

    fn rebase(&mut self, folder: &Path) {
        if let Some(inner) = self {
            inner.rebase(folder);
        }
    }
}

/// Reads a value that the environment has in the form of the file, like a list.
pub(super) fn as_in_file<T: Form>(text: &str) -> Option<T> {
    let text = format!("value = {text}");
    let table = DeTable::parse(&text).ok()?;
    let only = table.get_ref().len() == 1;
    T::take(&Raw::Toml(table.get_ref().get("value").filter(|_| only)?.get_ref()))
}

/// Text as a TOML literal.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

impl Form for String {
    const EXPECTED: &'static str = "text";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        raw.text().filter(|text| !text.is_empty()).map(Into::into)
    }

    fn show(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl Form for PathBuf {
    const EXPECTED: &'static str = "a path";
    const EXAMPLE: &'static str = "\"path/to/file\"";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        raw.text().filter(|text| !text.is_empty()).map(Into::into)
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }

    fn rebase(&mut self, folder: &Path) {
        // joining an absolute path replaces the folder
        *self = folder.join(&*self);
    }
}

impl Form for SocketAddr {
    const EXPECTED: &'static str = "an address and port like \"127.0.0.1:8080\"";
    const EXAMPLE: &'static str = "\"127.0.0.1:8081\"";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        raw.text()?.trim().parse().ok()
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl Form for bool {
    const EXPECTED: &'static str = "true or false";
    const EXAMPLE: &'static str = "true";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        raw.flag()
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! numbers {
    ($($type:ty: $expected:literal;)+) => {$(
        impl Form for $type {
            const EXPECTED: &'static str = $expected;
            const EXAMPLE: &'static str = "4";

            fn take(raw: &Raw<'_>) -> Option<Self> {
                Self::try_from(usize::try_from(raw.integer()?).ok()?).ok()
            }

            fn show(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )+};
}

numbers! {
    usize: "a whole number from 0";
    NonZeroUsize: "a whole number from 1";
    u32: "a whole number from 0 to 4294967295";
    u64: "a whole number from 0";
}

/// A number of bytes, written like `"1MiB"`, `"64KiB"` or `"500B"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

const UNITS: [(&str, usize); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl ByteSize {
    /// Reads a size; `None` when the unit is missing or unknown, or the number is not whole or too large.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.trim().strip_suffix(name)?, unit)))?;
        number.trim().parse::<usize>().ok()?.checked_mul(*unit).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |unit: usize| self.0.is_multiple_of(unit) && self.0 >= unit;
        let (name, unit) = UNITS.into_iter().find(|(_, unit)| fits(*unit)).unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl Form for ByteSize {
    const EXPECTED: &'static str = "a size like \"1MiB\", \"64KiB\" or \"500B\"";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        Self::parse(raw.text()?)
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

/// Reads a duration that is not negative, like `30s`, `500ms`, `1h 30m`; a bare number is refused.
pub fn duration(text: &str) -> Option<Duration> {
    let span: jiff::SignedDuration = text.trim().parse().ok()?;
    Duration::try_from(span).ok()
}

impl Form for Duration {
    const EXPECTED: &'static str = "a duration like \"30s\", \"500ms\" or \"1h\"";
    const EXAMPLE: &'static str = "\"1h\"";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        duration(raw.text()?)
    }

    fn show(&self) -> Option<String> {
        let span = jiff::SignedDuration::try_from(*self).ok()?;
        Some(quoted(&format!("{span:#}").replace(' ', "")))
    }
}

/// A text that is never shown: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The bytes, for the one place that signs or verifies with them.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text, for a client of the server that asks for it.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Form for Secret {
    const EXPECTED: &'static str = "text";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        String::take(raw).map(Self)
    }

    /// A word in its place.
    fn show(&self) -> Option<String> {
        Some(quoted("hidden"))
    }
}

/// Defines a setting that is one of a few words.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident: $expected:literal { $($(#[doc = $word_doc:literal])+ $word:ident = $text:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $word_doc])+ $word,)+
        }

        impl Form for $name {
            const EXPECTED: &'static str = $expected;

            fn take(raw: &Raw<'_>) -> Option<Self> {
                match raw.text()? {
                    $($text => Some(Self::$word),)+
                    _ => None,
                }
            }

            fn show(&self) -> Option<String> {
                Some(quoted(match self {
                    $(Self::$word => $text,)+
                }))
            }
        }
    };
}

words! {
    /// How the tenants of a graph are told apart.
    Tenancy: "\"property\" or \"database\"" {
        /// Every node and relationship says whose it is.
        Property = "property",
        /// The database holds one tenant, as others wrote it.
        Database = "database",
    }
}

words! {
    /// Which documents of clients are let through.
    DocumentMode: "\"open\", \"known-first\" or \"known-only\"" {
        /// All.
        Open = "open",
        /// All; those that are not published may cost less, and wait behind those that are.
        KnownFirst = "known-first",
        /// Those that are published for the tenant.
        KnownOnly = "known-only",
    }
}

words! {
    /// Who uses this process.
    Mode: "\"development\" or \"production\"" {
        /// Developers: introspection, suggestions and the playground are on.
        Development = "development",
        /// The world: those are off.
        Production = "production",
    }
}

words! {
    /// What clients have to show where there is an authority for them.
    ClientCertificate: "\"required\" or \"optional\"" {
        /// Who shows no certificate is refused.
        Required = "required",
        /// Who shows none is let in.
        Optional = "optional",
    }
}

/// Defines a setting that is "embedded" or the URL of a server, which may hold credentials: no more than the first scheme is shown.
macro_rules! places {
    ($(#[doc = $doc:literal])+ $name:ident: $expected:literal { $(#[doc = $embedded:literal])+ Embedded, $(#[doc = $server_doc:literal])+ $server:ident = [$($scheme:literal),+] }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = $embedded])+
            Embedded,
            $(#[doc = $server_doc])+
            $server(Secret),
        }

        impl Form for $name {
            const EXPECTED: &'static str = $expected;

            fn take(raw: &Raw<'_>) -> Option<Self> {
                match raw.text()? {
                    "embedded" => Some(Self::Embedded),
                    url if [$($scheme),+].iter().any(|scheme| url.starts_with(scheme)) => Some(Self::$server(Secret::new(url))),
                    _ => None,
                }
            }

            fn show(&self) -> Option<String> {
                Some(quoted(match self {
                    Self::Embedded => "embedded",
                    Self::$server(_) => [$($scheme),+][0],
                }))
            }
        }
    };
}

places! {
    /// Where nodes and relationships are.
    GraphUrl: "\"embedded\", or a URL like \"neo4j://host:7687\" (neo4j+s:// with TLS)" {
        /// In the file that `store.path` names.
        Embedded,
        /// On a Neo4j server.
        Neo4j = ["neo4j://", "neo4j+s://", "neo4j+ssc://", "bolt://", "bolt+s://", "bolt+ssc://"]
    }
}

places! {
    /// Where rows, keys, log and ontologies are.
    MetadataUrl: "\"embedded\", or a URL like \"postgres://user@host:5432/database\"" {
        /// In the file that `store.path` names.
        Embedded,
        /// On a Postgres server.
        Postgres = ["postgres://", "postgresql://"]
    }
}

places! {
    /// Where vectors are.
    VectorsUrl: "\"embedded\", or a URL like \"qdrant://host:6334\" (qdrants:// with TLS)" {
        /// In the file that `store.path` names.
        Embedded,
        /// On a Qdrant server.
        Qdrant = ["qdrant://", "qdrants://"]
    }
}

places! {
    /// Where instances tell each other of changes.
    CacheUrl: "\"embedded\", or a URL like \"redis://host:6379\"" {
        /// Nowhere: this process runs alone.
        Embedded,
        /// On a Redis server.
        Redis = ["redis://"]
    }
}

words! {
    /// Which requests a browser sends a cookie with.
    SameSite: "\"strict\", \"lax\" or \"none\"" {
        /// Those of pages of the same site.
        Strict = "strict",
        /// Those, and when somebody follows a link to it.
        Lax = "lax",
        /// All.
        None = "none",
    }
}

impl SameSite {
    /// The value of the attribute `SameSite`.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

words! {
    /// How a line of the log is written.
    LogFormat: "\"text\" or \"json\"" {
        /// For people.
        Text = "text",
        /// For machines: one JSON object a line.
        Json = "json",
    }
}
