//! Splitting a text into chunks for retrieval.
//!
//! Chunks end where the text does: at headings, paragraphs, sentences, words, in this order of preference, found by the crate
//! `text-splitter`. Their size is counted by the embedding model's own tokenizer, so that nothing of a chunk is cut off when it is
//! embedded; without a model, words are counted instead.

use std::ops::Range;
use text_splitter::{ChunkConfig, ChunkSizer, MarkdownSplitter};
use tokenizers::Tokenizer;

/// Bytes that count as one token at least, whatever the tokenizer says: it takes a word of a hundred letters for one unknown token, and
/// control characters for none. No chunk is longer than this times its most tokens.
const BYTES_PER_TOKEN: usize = 32;
/// The least size of chunks in tokens; less would not hold the special tokens and a word.
const LEAST_TOKENS: usize = 8;
/// Bytes of a text that are split at a time, for each token of a chunk: a dozen chunks of ordinary text, two of the longest. For every
/// chunk `text-splitter` may look at all that follows, so without a window its work would grow with the square of the text.
const WINDOW_PER_TOKEN: usize = 2 * BYTES_PER_TOKEN;

/// Counts tokens as an embedding model would see them.
pub trait TokenCount: Send + Sync {
    /// How many tokens the text has, special ones included. Never fails; what cannot be read counts as one token a character.
    fn count(&self, text: &str) -> usize;

    /// The bytes of the text where a token begins, ascending, special tokens left out.
    fn starts(&self, text: &str) -> Vec<usize>;
}

impl TokenCount for Tokenizer {
    fn count(&self, text: &str) -> usize {
        self.encode_fast(text, true).map_or_else(|_| text.chars().count(), |encoding| encoding.len())
    }

    fn starts(&self, text: &str) -> Vec<usize> {
        match self.encode(text, false) {
            Ok(encoding) => encoding.get_offsets().iter().map(|(start, _)| *start).collect(),
            Err(_) => text.char_indices().map(|(at, _)| at).collect(),
        }
    }
}

/// Counts words where there is no model: a word is a token and one more for every eight of its letters, any other sign is a token, and
/// so is each character of scripts that do not separate words. For English prose that is a tenth above a WordPiece vocabulary's count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Words;

impl TokenCount for Words {
    fn count(&self, text: &str) -> usize {
        self.starts(text).len() + 2
    }

    fn starts(&self, text: &str) -> Vec<usize> {
        let (mut starts, mut letters) = (Vec::new(), 0_usize);
        for (at, c) in text.char_indices() {
            // From here on in Unicode: ideographs, kana, hangul and pictures.
            let alone = c >= '\u{2E80}' || !c.is_alphanumeric();
            letters = if alone { 0 } else { letters + 1 };
            if if alone { !c.is_whitespace() && !c.is_control() } else { letters % 8 == 1 } {
                starts.push(at);
            }
        }
        starts
    }
}

/// Where a chunk is in its text: half-open ranges in bytes of UTF-8 and in characters (Unicode scalar values).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSpan {
    /// First byte.
    pub start_byte: usize,
    /// Byte after the last.
    pub end_byte: usize,
    /// First character.
    pub start_char: usize,
    /// Character after the last.
    pub end_char: usize,
}

/// Splits a text into chunks of at most `max_tokens`, in order, without the blanks around them.
///
/// A text that fits is one chunk; a blank one is none. Neighbours share up to `overlap` tokens, in whole sentences or words, and at most
/// half a chunk; with 0 they share nothing. All that is not blank is in some chunk. The work grows with the text, to about
/// half a second for a megabyte, so call it off the async threads.
pub fn split(text: &str, sizer: &dyn TokenCount, max_tokens: usize, overlap: usize) -> Vec<ChunkSpan> {
    let max = max_tokens.max(LEAST_TOKENS);
    let overlap = overlap.min(max / 2);
    let mut spans = Spans { text, byte: 0, char: 0, found: Vec::new() };
    let reach = max.saturating_mul(WINDOW_PER_TOKEN);
    let mut from = 0;
    while from < text.len() {
        let rest = &text[from..];
        let window = &rest[..rest.floor_char_boundary(reach)];
        let mut chunks = pieces(window, sizer, max, overlap);
        let next = if window.len() == rest.len() {
            text.len()
        } else if chunks.len() > 1 {
            // The last one may go on behind the window: begin the next window with it.
            chunks.pop().map_or(text.len(), |chunk| from + chunk.start)
        } else {
            from + window.len()
        };
        for chunk in chunks {
            spans.push(from + chunk.start, from + chunk.end);
        }
        from = next;
    }
    spans.found
}

/// The chunks of a window, as ranges of its bytes.
fn pieces(window: &str, sizer: &dyn TokenCount, max: usize, overlap: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let size = Size::of(window, sizer);
    let trimmed = window.trim();
    let start = window.len() - window.trim_start().len();
    if size.size(trimmed) <= max {
        pieces.extend((!trimmed.is_empty()).then_some(start..start + trimmed.len()));
        return pieces;
    }
    let Ok(config) = ChunkConfig::new(max).with_sizer(&size).with_overlap(overlap) else {
        unreachable!("half a chunk is less than a chunk")
    };
    for (at, chunk) in MarkdownSplitter::new(config).chunk_indices(window) {
        // Half a word has other tokens than the whole one. Counted by itself the piece may turn out too long, but it is shorter.
        if cuts_a_word(window, at, at + chunk.len()) && chunk.len() < window.len() && sizer.count(chunk) > max {
            pieces.extend(self::pieces(chunk, sizer, max, overlap).into_iter().map(|p| at + p.start..at + p.end));
        } else {
            pieces.push(at..at + chunk.len());
        }
    }
    pieces
}

/// Whether a slice begins or ends between two signs that are not blank, which a tokenizer may join.
fn cuts_a_word(text: &str, start: usize, end: usize) -> bool {
    let inside = |at: usize| {
        let (before, after) = (text[..at].chars().next_back(), text[at..].chars().next());
        before.is_some_and(|c| !c.is_whitespace()) && after.is_some_and(|c| !c.is_whitespace())
    };
    inside(start) || inside(end)
}

/// The sizes of all slices of one window, whose tokens are found once: asking the tokenizer for every slice that `text-splitter` tries
/// takes a hundred times as long.
struct Size<'a> {
    tokens: &'a dyn TokenCount,
    window: &'a str,
    starts: Vec<usize>,
    special: usize,
}

impl<'a> Size<'a> {
    fn of(window: &'a str, tokens: &'a dyn TokenCount) -> Self {
        Self { tokens, window, starts: tokens.starts(window), special: tokens.count("") }
    }
}

impl ChunkSizer for Size<'_> {
    fn size(&self, slice: &str) -> usize {
        let least = slice.len().div_ceil(BYTES_PER_TOKEN);
        // Slices are of the window, so their addresses tell where in it they are.
        let start = (slice.as_ptr() as usize).wrapping_sub(self.window.as_ptr() as usize);
        if start > self.window.len() || slice.len() > self.window.len() - start {
            return least.max(self.tokens.count(slice));
        }
        let before = |byte: usize| self.starts.partition_point(|start| *start < byte);
        least.max(self.special + before(start + slice.len()) - before(start))
    }
}

/// Chunks found so far, and how far characters have been counted.
struct Spans<'a> {
    text: &'a str,
    byte: usize,
    char: usize,
    found: Vec<ChunkSpan>,
}

impl Spans<'_> {
    /// Adds the chunk `start..end` in bytes. Where windows and halved words meet, a chunk may reach back behind the one before: it then
    /// begins where that ended, and is left out where it adds nothing.
    fn push(&mut self, mut start: usize, end: usize) {
        if let Some(last) = self.found.last() {
            if start <= last.start_byte {
                start = last.end_byte;
            }
            if end <= last.end_byte || self.text[start..end].trim().is_empty() {
                return;
            }
            start = end - self.text[start..end].trim_start().len();
        }
        self.char += self.text[self.byte..start].chars().count();
        self.byte = start;
        let end_char = self.char + self.text[start..end].chars().count();
        self.found.push(ChunkSpan { start_byte: start, end_byte: end, start_char: self.char, end_char });
    }
}

#[cfg(test)]
mod tests;
