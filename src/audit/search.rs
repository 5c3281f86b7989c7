//! Looks for records of a chain.

use quipu_resolvers::fault::Fault;

use super::{Decision, Kept, Record, Trail, Whose};

/// Records that are looked at at once.
const PORTION: u32 = 1_000;
/// Portions that one search goes through: what it does is bounded, whatever there is.
const PORTIONS: u32 = 20;

/// Which records are looked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only what was refused, in whole or in part.
    pub refused: bool,
    /// Only what somebody did.
    pub who: Option<String>,
    /// Only this action, or with a dot at its end all that begin so.
    pub action: Option<String>,
    /// Only what was done from then on, as RFC 3339 or the beginning of it.
    pub since: Option<String>,
    /// Only what was done before.
    pub until: Option<String>,
}

/// Some of the records that were looked for.
#[derive(Debug, Default)]
pub struct Page {
    /// The records with their places in the chain, the oldest first.
    pub records: Vec<(Kept, Record)>,
    /// Behind which position the search goes on; nothing when the chain ends.
    pub next: Option<u64>,
}

impl Wanted {
    fn takes(&self, record: &Record) -> bool {
        let acted =
            |action: &String| record.action == *action || action.ends_with('.') && record.action.starts_with(action);
        (!self.refused || record.decision != Decision::Allowed)
            && self.who.as_ref().is_none_or(|who| record.who.as_ref() == Some(who))
            && self.action.as_ref().is_none_or(acted)
            && self.since.as_ref().is_none_or(|since| record.at.as_str() >= since.as_str())
            && self.until.as_ref().is_none_or(|until| record.at.as_str() < until.as_str())
    }
}

/// The first records behind a position that are wanted, at most `limit`.
///
/// # Errors
/// A store's; `INTERNAL` when a record cannot be read.
pub async fn search(
    trail: &dyn Trail,
    whose: &Whose,
    wanted: &Wanted,
    after: u64,
    limit: usize,
) -> Result<Page, Fault> {
    let mut page = Page { records: Vec::new(), next: Some(after) };
    for _ in 0..PORTIONS {
        let portion = trail.kept(whose, page.next.unwrap_or(after), PORTION).await?;
        if portion.is_empty() {
            return Ok(Page { next: None, ..page });
        }
        for kept in portion {
            let seq = kept.seq;
            let record: Record = serde_json::from_str(&kept.text).map_err(|error| {
                Fault::internal("audit", format!("record {seq} of {whose} cannot be read: {error}"))
            })?;
            if wanted.takes(&record) {
                if page.records.len() == limit {
                    return Ok(page);
                }
                page.records.push((kept, record));
            }
            page.next = Some(seq);
        }
    }
    Ok(page)
}
