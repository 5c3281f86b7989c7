//! Origins of pages, as browsers name them.

use url::Url;

use super::claims::{list, texts};
use super::form::{Form, Raw, as_in_file};

/// Origins like `https://app.example`, exactly as browsers name them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Reads origins; `None` when one is none, has a path, or stands for all.
    pub fn parse(texts: &[impl AsRef<str>]) -> Option<Self> {
        texts.iter().map(|text| origin(text.as_ref())).collect::<Option<_>>().map(Self)
    }

    /// Whether an origin is among them.
    pub fn includes(&self, origin: &str) -> bool {
        self.0.iter().any(|known| known == origin)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An origin in the form of browsers: small letters, and no port that goes without saying.
fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !text.contains(['@', '*']);
    bare.then(|| url.origin().ascii_serialization())
}

impl Form for Origins {
    const EXPECTED: &'static str = "a list of origins like \"https://app.example\", without a path; there is no \"*\"";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Text(list) if list.starts_with('[') => as_in_file(list),
            raw => Self::parse(&texts(raw)?),
        }
    }

    fn show(&self) -> Option<String> {
        Some(list(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_name_them() {
        let read = Origins::parse(&["https://App.example:443/", "http://localhost:3000"]).unwrap();
        assert!(read.includes("https://app.example") && read.includes("http://localhost:3000"));
        let variable = Origins::take(&Raw::Text("[\"https://app.example\", \"http://localhost:3000\"]"));
        assert_eq!(variable, Some(read.clone()));
        assert_eq!(Origins::take(&Raw::Text("https://app.example")), Origins::parse(&["https://app.example"]));
        assert!(!read.includes("https://app.example:443") && !read.includes("http://localhost"));
        for wrong in [
            "*",
            "https://*.example",
            "https://a.example/x",
            "https://a.example?x",
            "https://u@a.example",
            "a.example",
            "null",
            "file:///x",
            "",
        ] {
            assert_eq!(Origins::parse(&[wrong]), None, "{wrong}");
        }
    }
}
