//! The id of a relationship as a record of its own, the same from every store: its parts with colons between them.

/// The parts: type, then type and id of start and end, then the key.
pub(super) struct RelationshipId {
    pub(super) of: String,
    pub(super) from: (String, String),
    pub(super) to: (String, String),
    pub(super) key: String,
}

impl RelationshipId {
    /// Takes an id apart; `None` for what is none.
    pub(super) fn parse(id: &str) -> Option<Self> {
        let mut parts = id.splitn(6, ':');
        let mut next = || parts.next().map(|part| part.replace("%3A", ":").replace("%25", "%"));
        let (of, from, to) = (next()?, (next()?, next()?), (next()?, next()?));
        Some(Self { of, from, to, key: parts.next()?.to_owned() })
    }
}
