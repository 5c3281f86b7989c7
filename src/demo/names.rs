//! Names of things: when two spellings are one thing, and what sort of name it is.

use sha2::{Digest, Sha256};

/// Longest id, in characters; longer ones are cut and end in a digest.
const LONGEST: usize = 80;

/// The id of the thing with that name: its words of letters and digits in lower case, joined by hyphens. Names that differ in
/// case and punctuation alone have the same one. A name without any letter or digit is spelt by its code points.
pub fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let words: Vec<&str> = words(&lower).collect();
    if words.is_empty() {
        return name.trim().chars().map(|c| format!("u{:x}", u32::from(c))).collect::<Vec<_>>().join("-");
    }
    let slug = words.join("-");
    if slug.chars().count() <= LONGEST {
        return slug;
    }
    let digest = Sha256::digest(slug.as_bytes());
    let start: String = slug.chars().take(LONGEST - 9).collect();
    format!("{}-{:02x}{:02x}{:02x}{:02x}", start.trim_end_matches('-'), digest[0], digest[1], digest[2], digest[3])
}

/// A title without what stands in brackets at its end: `Mercury (planet)` is about Mercury.
pub fn without_suffix(title: &str) -> &str {
    match title.trim_end().strip_suffix(')').and_then(|rest| rest.rsplit_once(" (")) {
        Some((start, _)) if !start.trim().is_empty() => start.trim_end(),
        _ => title,
    }
}

/// The value of `ThingKind` for a name that passages mention, by its spelling alone.
pub fn kind(name: &str) -> &'static str {
    let lower = name.to_lowercase();
    let words: Vec<&str> = words(&lower).collect();
    let period = |word: &&str| is_year(word) || MONTHS.contains(word) || *word == "century";
    if words.iter().any(period) && words.iter().all(|word| period(word) || is_part_of_date(word)) {
        "DATE"
    } else if words.iter().any(|word| is_digits(word))
        && words.iter().all(|word| is_digits(word) || QUANTITIES.contains(word))
    {
        "NUMBER"
    } else {
        "NAME"
    }
}

fn words(lower: &str) -> impl Iterator<Item = &str> {
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn is_digits(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_digit())
}

/// 1000 to 2099, also as a decade: `1940s`.
fn is_year(word: &str) -> bool {
    let year = word.strip_suffix('s').unwrap_or(word);
    year.len() == 4 && is_digits(year) && (year.starts_with('1') || year.starts_with("20"))
}

fn is_part_of_date(word: &str) -> bool {
    let number = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let ending = &word[number.len()..];
    let day_or_ordinal = !number.is_empty() && number.len() <= 2 && is_digits(number);
    (day_or_ordinal && ["", "st", "nd", "rd", "th", "s"].contains(&ending))
        || ["bc", "bce", "ad", "ce", "early", "mid", "late", "to", "and", "of", "the"].contains(&word)
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const QUANTITIES: [&str; 6] = ["hundred", "thousand", "million", "billion", "trillion", "percent"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_have_one_id() {
        for name in ["St Giles-in-the-Fields", "st giles in the fields", " St. Giles: in the «Fields»! "] {
            assert_eq!(slug(name), "st-giles-in-the-fields");
        }
        assert_eq!(slug("East–West Schism"), slug("East -- West Schism"));
        assert_eq!(slug("Río de la Miel"), "río-de-la-miel");
        assert_ne!(slug("$"), slug("+"));
        assert_eq!(slug("$"), "u24");
    }

    #[test]
    fn a_long_name_is_cut_and_stays_itself() {
        let (long, other) = ("word ".repeat(60) + "one", "word ".repeat(60) + "two");
        assert!(slug(&long).chars().count() <= LONGEST);
        assert_ne!(slug(&long), slug(&other));
    }

    #[test]
    fn kinds_are_told_by_spelling() {
        for date in ["1963", "January 1960", "3 May 1808", "the 1940s", "19th century", "early 2000s", "May"] {
            assert_eq!(kind(date), "DATE", "{date}");
        }
        for number in ["9%", "1,500", "35", "2.5 million", "12500"] {
            assert_eq!(kind(number), "NUMBER", "{number}");
        }
        for name in ["2010 census", "Carl Rogers", "Boeing 747", "$", "May Day", "U2", "the"] {
            assert_eq!(kind(name), "NAME", "{name}");
        }
    }

    #[test]
    fn the_suffix_of_a_title_comes_off() {
        assert_eq!(without_suffix("Mercury (planet)"), "Mercury");
        assert_eq!(without_suffix("Mercury"), "Mercury");
        assert_eq!(without_suffix("(What's the Story)"), "(What's the Story)");
    }
}
