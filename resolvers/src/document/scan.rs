//! Limits on the bytes of a document, before a parser sees it: the parser recurses per bracket and could run out of stack.

use crate::Limits;
use crate::fault::{Code, Fault};

/// What a block string begins and ends with.
const BLOCK: &[u8] = b"\"\"\"";

/// A token: its first byte and the byte after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) start: usize,
    pub(super) end: usize,
    /// False for a block string that never ends.
    closed: bool,
}

/// The tokens of a text, without ignored ones. Numbers and the dots of a spread may come in pieces.
pub(super) fn tokens(bytes: &[u8]) -> impl Iterator<Item = Token> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at;
            let mut closed = true;
            at = match *bytes.get(start)? {
                b'#' => line_end(bytes, start),
                b' ' | b'\t' | b'\n' | b'\r' | b',' => start + 1,
                b'"' => string_end(bytes, start).unwrap_or_else(|| {
                    closed = !bytes[start..].starts_with(BLOCK);
                    bytes.len()
                }),
                byte if is_word(byte) => {
                    bytes[start..].iter().position(|b| !is_word(*b)).map_or(bytes.len(), |n| start + n)
                }
                _ => start + 1,
            };
            if !matches!(bytes[start], b'#' | b' ' | b'\t' | b'\n' | b'\r' | b',') {
                return Some(Token { start, end: at, closed });
            }
        }
    })
}

/// Checks nesting of brackets and number of tokens, passing over strings and comments.
pub(super) fn within(text: &str, limits: &Limits) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let (mut depth, mut seen) = (0_usize, 0_usize);
    for token in tokens(bytes) {
        // The parser would take its quotes for empty strings, and see brackets behind them that were not counted.
        if !token.closed {
            return Err(Fault::client(Code::GraphqlParseFailed, "a block string is not closed"));
        }
        match bytes[token.start] {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limits.nesting {
            let message = format!("brackets are nested deeper than `limits.nesting`, {}", limits.nesting);
            return Err(Fault::client(Code::NestingTooDeep, message));
        }
        seen += 1;
        if seen > limits.tokens {
            let message = format!("the document has more tokens than `limits.tokens`, {}", limits.tokens);
            return Err(Fault::client(Code::TooManyTokens, message));
        }
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|b| matches!(b, b'\n' | b'\r')).map_or(bytes.len(), |n| from + n)
}

/// Where the string that begins at `from` ends, if it does.
fn string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let block = bytes[from..].starts_with(BLOCK);
    let mut at = from + if block { 3 } else { 1 };
    while at < bytes.len() {
        if block && bytes[at..].starts_with(b"\\\"\"\"") {
            at += 4;
        } else if block && bytes[at..].starts_with(BLOCK) {
            return Some(at + 3);
        } else if !block && bytes[at] == b'\\' {
            at += 2;
        } else if !block && matches!(bytes[at], b'"' | b'\n' | b'\r') {
            return Some(at + 1);
        } else {
            at += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<Code> {
        within(text, &Limits::default()).err().map(|fault| fault.code())
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let inside = "[".repeat(10_000);
        assert_eq!(
            code(&format!("{{ a(b: \"{inside}\") # {inside}\n c(d: \"\"\"{inside} \\\"\"\" {inside}\"\"\") }}")),
            None
        );
    }

    #[test]
    fn hostile_1_2_3_deep_nesting_is_refused_before_parsing() {
        for bracket in ["{a:", "[", "{a"] {
            assert_eq!(code(&bracket.repeat(100_000)), Some(Code::NestingTooDeep));
        }
    }

    #[test]
    fn an_unclosed_string_ends_the_scan() {
        assert_eq!(code("{ a(b: \""), None);
    }

    /// Found by a fuzzer: the parser takes the quotes of such a string for empty strings and goes on behind them.
    #[test]
    fn hostile_2_brackets_behind_a_block_string_without_an_end_are_not_hidden() {
        for text in ["{ a(b: \"\"\"\\\"\"\"".to_owned(), format!("{{ a(b: [\"\"\"\"{}", "[".repeat(100_000))] {
            assert_eq!(code(&text), Some(Code::GraphqlParseFailed));
        }
    }

    #[test]
    fn tokens_are_counted() {
        assert_eq!(code(&"a ".repeat(10_000)), None);
        assert_eq!(code(&"a ".repeat(10_001)), Some(Code::TooManyTokens));
    }
}
