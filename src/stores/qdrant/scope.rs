//! What belongs to a tenant: filters, ids and payloads of points are made here, and nowhere else.

use std::collections::HashMap;

use qdrant_client::qdrant::{Condition, Filter, PointId, Value};
use quipu_resolvers::guard::TenantId;
use sha2::{Digest, Sha256};

/// Names of what a point carries beside its vector.
pub(super) const TENANT: &str = "tenant";
pub(super) const TYPE: &str = "type";
pub(super) const PROPERTY: &str = "property";
pub(super) const ID: &str = "id";
pub(super) const KIND: &str = "kind";

/// A tenant's part of a collection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a>(pub(super) &'a TenantId);

impl Scope<'_> {
    /// A filter for points of the tenant that meet all conditions. Whatever is asked or removed goes through it.
    pub(super) fn filter(self, conditions: impl IntoIterator<Item = Condition>) -> Filter {
        let mut must = vec![Condition::matches(TENANT, self.0.to_string())];
        must.extend(conditions);
        Filter { must, ..Filter::default() }
    }

    /// The vectors of a property of a type.
    pub(super) fn space(self, of: &str, property: &str) -> [Condition; 2] {
        [Condition::matches(TYPE, of.to_owned()), Condition::matches(PROPERTY, property.to_owned())]
    }

    /// The id of the vector of a record's property.
    pub(super) fn vector_id(self, of: &str, property: &str, id: &str) -> PointId {
        self.point_id(&[of, property, id])
    }

    /// The id of a note, or of whatever else is named by some words: always the same for the same tenant and words, and another one
    /// for others. A UUID of version 8 (RFC 9562), which takes SHA-256 where version 5 takes SHA-1.
    pub(super) fn point_id(self, words: &[&str]) -> PointId {
        let mut digest = Sha256::new();
        for word in std::iter::once(self.0.as_str()).chain(words.iter().copied()) {
            // Lengths first: two ways to cut the same letters into words are not the same.
            digest.update((word.len() as u64).to_le_bytes());
            digest.update(word);
        }
        let digest = digest.finalize();
        let mut bytes = [0_u8; 16];
        bytes.copy_from_slice(&digest[..16]);
        (bytes[6], bytes[8]) = (bytes[6] & 0x0f | 0x80, bytes[8] & 0x3f | 0x80);
        let mut text = String::with_capacity(36);
        for (at, byte) in bytes.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        PointId::from(text)
    }

    /// What a point of the tenant carries.
    pub(super) fn payload<'f>(self, fields: impl IntoIterator<Item = (&'f str, Value)>) -> HashMap<String, Value> {
        let mut payload = HashMap::from([(TENANT.to_owned(), Value::from(self.0.as_str()))]);
        payload.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        payload
    }
}

#[cfg(test)]
mod tests {
    use qdrant_client::qdrant::point_id::PointIdOptions;

    use super::*;

    fn id(tenant: &str, words: &[&str]) -> String {
        let tenant = TenantId::parse(tenant).unwrap();
        match Scope(&tenant).point_id(words).point_id_options {
            Some(PointIdOptions::Uuid(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ids_are_stable_and_never_another_s() {
        assert_eq!(id("alpha", &["Facility", "summary", "f1"]), "c340e603-a51e-81eb-b63c-e2320c49c96f");
        let all = [
            id("alpha", &["Facility", "summary", "f1"]),
            id("beta", &["Facility", "summary", "f1"]),
            id("alpha", &["Facility", "summaryf", "1"]),
            id("alpha", &["Facilitys", "ummary", "f1"]),
            id("alph", &["aFacility", "summary", "f1"]),
            id("alpha", &["Facility", "summary"]),
            id("alpha", &["Facility", "summary", "f1", ""]),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        for text in &all {
            let bytes = text.as_bytes();
            assert_eq!((text.len(), bytes[14], text.matches('-').count()), (36, b'8', 4), "{text}");
            assert!(b"89ab".contains(&bytes[19]), "{text}");
        }
    }

    #[test]
    fn every_filter_names_the_tenant_first() {
        let tenant = TenantId::parse("alpha").unwrap();
        let filter = Scope(&tenant).filter(Scope(&tenant).space("Facility", "summary"));
        assert_eq!(filter.must[0], Condition::matches(TENANT, "alpha".to_owned()));
        assert_eq!((filter.must.len(), filter.should.len(), filter.min_should), (3, 0, None));
    }
}
