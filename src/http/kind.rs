//! What kind of operation a document asks for, seen from outside: whether a request is a short one or a stream is decided, and a
//! mutation over GET is answered, before the engine has it. The engine decides by itself again; nothing depends on this for safety.

/// Kinds of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Mutation,
    Subscription,
    /// Not to be told: the engine will say what is wrong.
    Unknown,
}

/// The kind of the operation of that name, or of the only one.
pub(super) fn kind_of(document: &str, name: Option<&str>) -> Kind {
    let operations = operations(document);
    let mut wanted = operations.iter().filter(|(_, other)| name.is_none() || *other == name);
    match (wanted.next(), wanted.next()) {
        (Some((kind, _)), None) => *kind,
        _ => Kind::Unknown,
    }
}

/// The operations at the top level of a document, with their names. Works on tokens alone (GraphQL specification, section 2.1).
fn operations(document: &str) -> Vec<(Kind, Option<&str>)> {
    let mut found = Vec::new();
    // the definition that is being read: its kind, its name, and whether the name may still come
    let mut header: Option<(Kind, Option<&str>, bool)> = None;
    let mut depth = 0_usize;
    let mut rest = document;
    while let Some((token, after)) = next_token(rest) {
        rest = after;
        match token {
            "{" if depth == 0 => {
                let (kind, name, _) = header.unwrap_or((Kind::Query, None, false));
                if kind != Kind::Unknown {
                    found.push((kind, name));
                }
                depth = 1;
            }
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token == "}" {
                    header = None;
                }
            }
            _ if depth > 0 => {}
            word => match &mut header {
                None => header = Some((keyword(word), None, true)),
                Some((_, name, expected)) if *expected => {
                    *name = is_name(word).then_some(word);
                    *expected = false;
                }
                Some(_) => {}
            },
        }
    }
    found
}

fn keyword(word: &str) -> Kind {
    match word {
        "query" => Kind::Query,
        "mutation" => Kind::Mutation,
        "subscription" => Kind::Subscription,
        _ => Kind::Unknown,
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
}

/// The next token and what follows it. Strings are one token; white space, commas and comments are none.
fn next_token(text: &str) -> Option<(&str, &str)> {
    let mut text = text;
    loop {
        text = text.trim_start_matches([' ', '\t', '\n', '\r', ',', '\u{feff}']);
        match text.strip_prefix('#') {
            Some(comment) => text = &comment[comment.find(['\n', '\r']).unwrap_or(comment.len())..],
            None => break,
        }
    }
    let first = text.chars().next()?;
    let end = match first {
        '"' => string_end(text),
        _ if is_name(text) => {
            text.find(|next: char| next != '_' && !next.is_ascii_alphanumeric()).unwrap_or(text.len())
        }
        _ => first.len_utf8(),
    };
    Some(text.split_at(end))
}

/// Where the string ends that begins the text.
fn string_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, close) = if text.starts_with("\"\"\"") { (3, "\"\"\"") } else { (1, "\"") };
    while at < bytes.len() {
        if bytes[at..].starts_with(close.as_bytes()) {
            return at + close.len();
        }
        at += match (bytes[at], close.len()) {
            (b'\\', 3) if bytes[at..].starts_with(b"\\\"\"\"") => 4,
            (b'\\', 1) => 2,
            (b'\n' | b'\r', 1) => return at,
            _ => 1,
        };
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told() {
        let expect = [
            ("{a}", None, Kind::Query),
            ("\u{feff} # mutation {b}\n query {a}", None, Kind::Query),
            ("mutation{a}", None, Kind::Mutation),
            ("mutation M($x: In = {a: \"{\", b: [1]}) @live(if: true) {a}", None, Kind::Mutation),
            ("subscription S {a}", Some("S"), Kind::Subscription),
            ("query A {a} mutation B {b(text: \"\"\"} query \\\"\"\" \"\"\")}", Some("B"), Kind::Mutation),
            ("query A {a} mutation B {b(text: \"} \\\" query\")}", Some("A"), Kind::Query),
            ("fragment mutation on Query {a} query Q {...mutation}", None, Kind::Query),
            ("query @mutation {a}", None, Kind::Query),
            ("query A {a} query B {b}", None, Kind::Unknown),
            ("query A {a}", Some("B"), Kind::Unknown),
            ("query A {a} mutation A {a}", Some("A"), Kind::Unknown),
            ("{a}", Some("A"), Kind::Unknown),
            ("type A {a: Int}", None, Kind::Unknown),
            ("", None, Kind::Unknown),
            ("\"", None, Kind::Unknown),
            ("}}}} mutation {é\u{0}\"\\", None, Kind::Mutation),
        ];
        for (document, name, kind) in expect {
            assert_eq!(kind_of(document, name), kind, "{document} {name:?}");
        }
    }

    #[test]
    fn any_text_is_survived() {
        for text in
            ["\"\"\"\\\"\"\"", "\"\\", "\"\\é", "\"é\"", "\"\"\"é", "#", "#é\u{2028}", "{{{{", "é", "\"\"\"\"\"\"\""]
        {
            kind_of(text, None);
        }
    }
}
