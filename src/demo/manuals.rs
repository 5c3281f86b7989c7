//! The manual of the cold chain: pages of prose with a few lines of facts above each.

use std::io;

const PAGES: &str = include_str!("../../playground/demo/cryox/manuals.md");

/// A page of the manual.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Page {
    /// Its heading.
    pub title: String,
    /// Number of its revision, from 1.
    pub revision: u32,
    /// Day of the revision, `YYYY-MM-DD`.
    pub issued: String,
    /// Kinds of device that it applies to, by their names in the ontology, and `VEHICLE`.
    pub kinds: Vec<String>,
    /// Ids of the facilities that it applies to in particular.
    pub facilities: Vec<String>,
    /// Ids of the products that it names.
    pub products: Vec<String>,
    /// Paragraphs, separated by empty lines.
    pub text: String,
}

/// All pages, in the order of the file.
///
/// # Errors
/// `InvalidData` with the title of the page that cannot be read.
pub fn pages() -> io::Result<Vec<Page>> {
    PAGES.split("\n---\n").map(page).collect()
}

fn page(block: &str) -> io::Result<Page> {
    let invalid = |what: &str| {
        let title = block.trim_start().lines().next().unwrap_or_default();
        io::Error::new(io::ErrorKind::InvalidData, format!("manuals.md, \"{title}\": {what}"))
    };
    let (head, text) = block.trim().split_once("\n\n").ok_or_else(|| invalid("no text"))?;
    let mut page = Page { text: text.trim().to_owned(), ..Page::default() };
    for line in head.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            page.title = title.trim().to_owned();
            continue;
        }
        let (key, value) = line.split_once(": ").ok_or_else(|| invalid("a fact is `key: value`"))?;
        let list = || value.split(',').map(|item| item.trim().to_owned()).collect();
        match key {
            "revision" => page.revision = value.trim().parse().map_err(|_| invalid("revision is a number"))?,
            "issued" => page.issued = value.trim().to_owned(),
            "kinds" => page.kinds = list(),
            "facilities" => page.facilities = list(),
            "products" => page.products = list(),
            _ => return Err(invalid(&format!("unknown fact `{key}`"))),
        }
    }
    if page.title.is_empty() || page.revision == 0 || page.issued.is_empty() {
        return Err(invalid("title, revision and issued are needed"));
    }
    Ok(page)
}
