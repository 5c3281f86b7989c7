//! Cursors and positions: what was sealed opens to what it was, for its tenant and list alone, and nothing that was changed or made up opens.

use quipu_resolvers::guard::TenantId;
use quipu_resolvers::value::cursor::Cursors;
use quipu_resolvers::value::{Value, position};

const SECRET: &[u8] = b"a secret of thirty-two bytes....";
const OTHER: &[u8] = b"a secret of thirty-two bytes...!";
/// Nothing is ever signed with this one: fuzzers remember what they have seen compared.
const UNUSED: &[u8] = b"a secret that nothing is sealed with";
const LIST: &str = "Query.facilities:name";

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).expect("a name of a tenant")
}

/// Takes the bytes as a cursor, then as values and a change that is made to the cursor of these: a place (two bytes), what is done (one
/// byte), and JSON.
pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        made_up(text);
    }
    let cursors = Cursors::new(SECRET, &tenant("acme"), LIST);
    let [high, low, change, json @ ..] = data else { return };
    positions(data);
    let Ok(value) = serde_json::from_slice::<Value>(json) else { return };
    let values = match value {
        Value::List(values) => values,
        // One more list around it may be too deep to be read.
        Value::Json(_) => return,
        one => vec![one],
    };
    let cursor = cursors.seal(&values.iter().collect::<Vec<_>>());
    let opened = cursors.open(&cursor, values.len()).expect("what was sealed opens");
    assert_eq!(opened, values, "a cursor opens to something else");
    assert!(cursors.open(&cursor, values.len() + 1).is_err(), "a cursor opens for another order");
    for (secret, of, list) in
        [(OTHER, "acme", LIST), (SECRET, "acm", LIST), (SECRET, "acme", "Query.facilities:id"), (SECRET, "acme", "")]
    {
        let other = Cursors::new(secret, &tenant(of), list);
        assert!(other.open(&cursor, values.len()).is_err(), "a cursor opens for {of}, {list:?}");
    }
    let changed = changed(&cursor, usize::from(*high) << 8 | usize::from(*low), *change);
    if changed != cursor {
        assert!(cursors.open(&changed, values.len()).is_err(), "a changed cursor opens: {changed}");
    }
}

/// Nothing here knows the secret, so nothing here is a cursor.
fn made_up(text: &str) {
    let cursors = Cursors::new(UNUSED, &tenant("acme"), LIST);
    for width in 0..3 {
        assert!(cursors.open(text, width).is_err(), "a cursor was made up: {text}");
    }
    assert!(position::open(UNUSED, &tenant("acme"), text).is_err(), "a position was made up: {text}");
}

fn positions(data: &[u8]) {
    let mut seq = [0; 8];
    let length = data.len().min(8);
    seq[..length].copy_from_slice(&data[..length]);
    let seq = u64::from_le_bytes(seq);
    let token = position::seal(SECRET, &tenant("acme"), seq);
    assert_eq!(position::open(SECRET, &tenant("acme"), &token).ok(), Some(seq), "a position opens to something else");
    assert!(position::open(SECRET, &tenant("acm"), &token).is_err());
    assert!(position::open(OTHER, &tenant("acme"), &token).is_err());
    let changed = changed(&token, seq as usize >> 8, data[0]);
    if changed != token {
        assert!(position::open(SECRET, &tenant("acme"), &changed).is_err(), "a changed position opens: {changed}");
    }
}

/// The text with one letter replaced, put in, taken out or added at the end.
fn changed(text: &str, place: usize, change: u8) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = char::from(LETTERS[usize::from(change >> 2)]);
    let mut letters: Vec<char> = text.chars().collect();
    let at = place % letters.len();
    match change % 4 {
        0 => letters[at] = letter,
        1 => letters.insert(at, letter),
        2 => drop(letters.remove(at)),
        _ => letters.push(letter),
    }
    letters.into_iter().collect()
}
