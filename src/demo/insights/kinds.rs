//! What an entity is, judged by what is said of it: each predicate that tells something of its subject or object is a vote.

/// Votes by kind, in the order of [`KINDS`].
#[derive(Debug, Default)]
pub struct Votes([u32; KINDS.len()]);

/// The kinds that predicates tell of.
const KINDS: [&str; 5] = ["PERSON", "PLACE", "ORGANISATION", "WORK", "EVENT"];

/// Predicates, with what they tell of their subject and of their object.
type Rule = (&'static [&'static str], Option<&'static str>, Option<&'static str>);

const PERSON: Option<&str> = Some("PERSON");
const PLACE: Option<&str> = Some("PLACE");
const ORGANISATION: Option<&str> = Some("ORGANISATION");
const WORK: Option<&str> = Some("WORK");
const EVENT: Option<&str> = Some("EVENT");

const RULES: [Rule; 12] = [
    (&["born in", "died in", "lived in", "moved to", "raised in", "buried in"], PERSON, PLACE),
    (
        &["born on", "died on", "wrote", "starred in", "served as", "son of", "daughter of", "president of"],
        PERSON,
        None,
    ),
    (&["married", "married to", "father of", "mother of", "brother of", "sister of", "friends with"], PERSON, PERSON),
    (&["played for", "worked at", "worked for", "studied at", "graduated from", "attended"], PERSON, ORGANISATION),
    (&["written by", "directed by", "starring", "stars", "composed by", "sung by", "created by"], WORK, PERSON),
    (&["published by", "released by", "produced by", "distributed by"], WORK, ORGANISATION),
    (&["released in", "released on", "premiered on", "premiered in", "set in", "published in"], WORK, None),
    (&["located in", "located on", "located near", "bordered by", "borders", "surrounded by"], PLACE, PLACE),
    (&["capital of", "county seat of", "city in", "a city in", "flows through", "region"], PLACE, PLACE),
    (&["headquartered in", "based in", "operates in"], ORGANISATION, PLACE),
    (&["founded by", "owned by", "managed by", "operated by"], ORGANISATION, None),
    (&["took place in", "takes place in", "held in", "occurred in", "fought in"], EVENT, PLACE),
];

/// What a predicate tells of its subject and of its object. `was born in` is `born in`.
pub fn said(predicate: &str) -> (Option<&'static str>, Option<&'static str>) {
    let lower = predicate.trim().to_lowercase();
    let bare = ["is ", "was ", "are ", "were "].iter().find_map(|verb| lower.strip_prefix(verb)).unwrap_or(&lower);
    let rule = RULES.iter().find(|(predicates, ..)| predicates.contains(&bare));
    rule.map_or((None, None), |(_, subject, object)| (*subject, *object))
}

impl Votes {
    /// One more vote.
    pub fn add(&mut self, kind: &str) {
        if let Some(at) = KINDS.iter().position(|known| *known == kind) {
            self.0[at] += 1;
        }
    }

    /// The kind with the most votes, the first of them where several have; and its share of the votes and one more, so that a single one is
    /// not taken for certain.
    pub fn won(&self) -> (&'static str, f64) {
        let (mut most, mut kind) = (0, "UNKNOWN");
        for (votes, known) in self.0.iter().zip(KINDS) {
            if *votes > most {
                (most, kind) = (*votes, known);
            }
        }
        (kind, f64::from(most) / f64::from(self.0.iter().sum::<u32>() + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_votes_win_and_one_is_not_certain() {
        let mut votes = Votes::default();
        assert_eq!(votes.won(), ("UNKNOWN", 0.0));
        votes.add("PLACE");
        assert_eq!(votes.won(), ("PLACE", 0.5));
        votes.add("PERSON");
        assert_eq!(votes.won().0, "PERSON");
        votes.add("PLACE");
        assert_eq!(votes.won(), ("PLACE", 0.5));
        votes.add("nothing known");
        assert_eq!(votes.won(), ("PLACE", 0.5));
    }

    #[test]
    fn predicates_tell_of_both_ends() {
        assert_eq!(said("was born in"), (PERSON, PLACE));
        assert_eq!(said(" Directed by "), (WORK, PERSON));
        assert_eq!(said("has"), (None, None));
    }

    #[test]
    fn no_predicate_tells_two_things() {
        let all: Vec<&str> = RULES.iter().flat_map(|(predicates, ..)| predicates.iter().copied()).collect();
        for (at, predicate) in all.iter().enumerate() {
            assert!(!all[..at].contains(predicate), "{predicate}");
            assert_ne!(said(predicate), (None, None), "{predicate}");
        }
    }
}
