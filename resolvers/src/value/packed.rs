//! Values as bytes that read back exactly: a tag, then the value; lengths and numbers little-endian.

use super::{Key, Value};

/// Lists inside lists, at most; the answer of a store is less deep than a document may be.
const DEPTH: usize = 256;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 4;
const TEXT: u8 = 5;
const LIST: u8 = 6;
const JSON: u8 = 7;
const HIDDEN: u8 = 8;

/// Writes values until a number of bytes is reached.
pub(crate) struct Packer {
    bytes: Vec<u8>,
    most: usize,
}

impl Packer {
    /// Nothing yet, and never more than that many bytes.
    pub fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most }
    }

    /// The bytes.
    pub fn finish(self) -> Box<[u8]> {
        self.bytes.into_boxed_slice()
    }

    /// A single byte. `None`, here and below, when there is no room, and then the bytes are good for nothing.
    pub fn byte(&mut self, byte: u8) -> Option<()> {
        self.raw(&[byte])
    }

    /// A number of things.
    pub fn count(&mut self, count: usize) -> Option<()> {
        self.raw(&u32::try_from(count).ok()?.to_le_bytes())
    }

    /// A key.
    pub fn key(&mut self, key: &Key) -> Option<()> {
        match key {
            Key::Int(number) => self.tagged(INT, &number.to_le_bytes()),
            Key::Text(text) => self.text(TEXT, text.as_bytes()),
        }
    }

    /// A value.
    pub fn value(&mut self, value: &Value) -> Option<()> {
        self.within(value, DEPTH)
    }

    fn within(&mut self, value: &Value, depth: usize) -> Option<()> {
        match value {
            Value::Null => self.byte(NULL),
            Value::Hidden => self.byte(HIDDEN),
            Value::Bool(false) => self.byte(FALSE),
            Value::Bool(true) => self.byte(TRUE),
            Value::Int(number) => self.tagged(INT, &number.to_le_bytes()),
            Value::Float(number) => self.tagged(FLOAT, &number.to_le_bytes()),
            Value::Text(text) => self.text(TEXT, text.as_bytes()),
            Value::Json(json) => self.text(JSON, json.to_string().as_bytes()),
            Value::List(items) => {
                let depth = depth.checked_sub(1)?;
                self.byte(LIST)?;
                self.count(items.len())?;
                items.iter().try_for_each(|item| self.within(item, depth))
            }
        }
    }

    fn text(&mut self, tag: u8, text: &[u8]) -> Option<()> {
        self.byte(tag)?;
        self.count(text.len())?;
        self.raw(text)
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) -> Option<()> {
        self.byte(tag)?;
        self.raw(bytes)
    }

    fn raw(&mut self, bytes: &[u8]) -> Option<()> {
        if self.most - self.bytes.len() < bytes.len() {
            return None;
        }
        self.bytes.extend_from_slice(bytes);
        Some(())
    }
}

/// Reads what a [`Packer`] wrote. `None`, in all of it, when the bytes are something else.
pub(crate) struct Unpacker<'b>(&'b [u8]);

impl<'b> Unpacker<'b> {
    /// From the beginning.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Whether everything was read.
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// A single byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// A number of things. There are never more of them than bytes.
    pub fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    /// A key.
    pub fn key(&mut self) -> Option<Key> {
        self.value()?.key()
    }

    /// A value.
    pub fn value(&mut self) -> Option<Value> {
        self.within(DEPTH)
    }

    fn within(&mut self, depth: usize) -> Option<Value> {
        Some(match self.byte()? {
            NULL => Value::Null,
            HIDDEN => Value::Hidden,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            INT => Value::Int(i64::from_le_bytes(self.take()?)),
            FLOAT => Value::Float(f64::from_le_bytes(self.take()?)),
            TEXT => Value::Text(std::str::from_utf8(self.text()?).ok()?.to_owned()),
            JSON => Value::Json(serde_json::from_slice(self.text()?).ok()?),
            LIST => {
                let depth = depth.checked_sub(1)?;
                let count = self.count()?;
                Value::List((0..count).map(|_| self.within(depth)).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    fn text(&mut self) -> Option<&'b [u8]> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn packed(value: &Value, most: usize) -> Option<Box<[u8]>> {
        let mut packer = Packer::new(most);
        packer.value(value)?;
        Some(packer.finish())
    }

    fn unpacked(bytes: &[u8]) -> Option<Value> {
        let mut unpacker = Unpacker::new(bytes);
        let value = unpacker.value()?;
        unpacker.is_done().then_some(value)
    }

    fn everything() -> Value {
        let numbers = [0.0, -0.0, 0.1, 1.0, f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::INFINITY].map(Value::Float);
        Value::List(vec![
            Value::Null,
            Value::Hidden,
            Value::Bool(true),
            Value::Bool(false),
            Value::List([i64::MIN, -1, 0, 1, i64::MAX].map(Value::Int).to_vec()),
            Value::List(numbers.to_vec()),
            Value::List(vec![Value::from(""), Value::from("1"), Value::from("\0 ü 𝄞")]),
            Value::List(vec![]),
            Value::Json(json!({"a": [1, 1.0, null, {"b": "c"}], "": 18446744073709551615_u64})),
        ])
    }

    #[test]
    fn values_read_back_exactly() {
        let bytes = packed(&everything(), usize::MAX).expect("there is room");
        let back = unpacked(&bytes).expect("it reads back");
        assert_eq!(format!("{back:?}"), format!("{:?}", everything()), "signs of zero and all");
        for key in [Key::Int(-7), Key::Text("seven".into())] {
            let mut packer = Packer::new(100);
            packer.key(&key).expect("there is room");
            assert_eq!(Unpacker::new(&packer.finish()).key(), Some(key));
        }
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_not_packed() {
        let length = packed(&everything(), usize::MAX).expect("there is room").len();
        assert!(packed(&everything(), length).is_some());
        assert!((0..length).all(|most| packed(&everything(), most).is_none()));
        let deep = |levels| (0..levels).fold(Value::Null, |inner, _| Value::List(vec![inner]));
        let bytes = packed(&deep(DEPTH), usize::MAX).expect("just enough");
        assert_eq!(unpacked(&bytes), Some(deep(DEPTH)));
        assert!(packed(&deep(DEPTH + 1), usize::MAX).is_none());
        let mut deeper = vec![LIST, 1, 0, 0, 0];
        deeper.extend_from_slice(&bytes);
        assert!(unpacked(&deeper).is_none());
    }

    #[test]
    fn other_bytes_are_refused() {
        let bytes = packed(&everything(), usize::MAX).expect("there is room");
        assert!((0..bytes.len()).all(|end| unpacked(&bytes[..end]).is_none()), "cut off");
        for wrong in
            [&[9][..], &[255], &[TEXT, 1, 0, 0, 0, 0xff], &[JSON, 1, 0, 0, 0, b'{'], &[LIST, 255, 255, 255, 255]]
        {
            assert!(unpacked(wrong).is_none(), "{wrong:?}");
        }
    }
}
