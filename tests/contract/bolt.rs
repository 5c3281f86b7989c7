//! Just enough of Bolt 4.4 to have a statement explained: the driver does not hand plans out.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use quipu::stores::cypher::{Parameter, Statement};
use serde_json::{Map, Value as Json};

/// A connection.
pub struct Bolt(TcpStream);

impl Bolt {
    pub fn connect(address: &str, user: &str, password: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut hello = vec![0x60, 0x60, 0xb0, 0x17, 0, 0, 4, 4];
        hello.resize(20, 0);
        stream.write_all(&hello).unwrap();
        let mut version = [0; 4];
        stream.read_exact(&mut version).unwrap();
        assert_eq!(version, [0, 0, 4, 4]);
        let mut bolt = Self(stream);
        let named = [("user_agent", "test/1"), ("scheme", "basic"), ("principal", user), ("credentials", password)];
        let named = named.iter().map(|(name, value)| ((*name).to_owned(), Parameter::from(*value))).collect();
        bolt.send(0x01, &[Parameter::Map(named)]);
        bolt.success();
        bolt
    }

    /// Runs a statement and throws its rows away; gives what the server says at the end.
    pub fn run(&mut self, text: &str, parameters: Vec<(String, Parameter)>) -> Json {
        self.send(0x10, &[text.into(), Parameter::Map(parameters), Parameter::Map(Vec::new())]);
        self.success();
        self.send(0x3f, &[Parameter::Map(vec![("n".to_owned(), Parameter::Int(-1))])]);
        self.success()
    }

    /// The plan, one operator a line, indented by depth; those that look something up with what they look at.
    pub fn plan(&mut self, statement: &Statement) -> String {
        let answer = self.run(&format!("EXPLAIN {}", statement.text), statement.parameters.clone());
        let mut lines = String::new();
        show(&answer["plan"], 0, &mut lines);
        lines
    }

    fn send(&mut self, signature: u8, fields: &[Parameter]) {
        let mut message = vec![0xb0 + u8::try_from(fields.len()).unwrap(), signature];
        fields.iter().for_each(|field| pack(field, &mut message));
        for chunk in message.chunks(0xffff) {
            self.0.write_all(&u16::try_from(chunk.len()).unwrap().to_be_bytes()).unwrap();
            self.0.write_all(chunk).unwrap();
        }
        self.0.write_all(&[0, 0]).unwrap();
    }

    /// What comes with the next success, after any records.
    fn success(&mut self) -> Json {
        loop {
            let message = self.message();
            let (signature, mut rest) = (message[1], &message[2..]);
            match signature {
                0x70 => return unpack(&mut rest),
                0x71 => {}
                _ => panic!("{}", unpack(&mut rest)),
            }
        }
    }

    fn message(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        loop {
            let mut size = [0; 2];
            self.0.read_exact(&mut size).unwrap();
            let size = usize::from(u16::from_be_bytes(size));
            if size == 0 && !message.is_empty() {
                return message;
            }
            let begin = message.len();
            message.resize(begin + size, 0);
            self.0.read_exact(&mut message[begin..]).unwrap();
        }
    }
}

fn show(plan: &Json, depth: usize, lines: &mut String) {
    let operator = plan["operatorType"].as_str().unwrap().trim_end_matches("@neo4j");
    // Where values are fetched ahead changes with the statistics, and costs the same.
    let told = !matches!(operator, "CacheProperties" | "Projection" | "Argument" | "EmptyRow");
    if told {
        let looks = ["Seek", "Scan", "Procedure"].iter().any(|word| operator.contains(word));
        let details = plan["args"]["Details"].as_str().filter(|_| looks).unwrap_or_default();
        let details = details.split(", cache[").next().unwrap_or_default();
        lines.push_str(format!("{}{operator} {details}", "  ".repeat(depth)).trim_end());
        lines.push('\n');
    }
    for child in plan["children"].as_array().into_iter().flatten() {
        show(child, depth + usize::from(told), lines);
    }
}

fn pack(value: &Parameter, to: &mut Vec<u8>) {
    let sized = |to: &mut Vec<u8>, marker: u8, size: usize| {
        to.push(marker);
        to.extend(u32::try_from(size).unwrap().to_be_bytes());
    };
    match value {
        Parameter::Null => to.push(0xc0),
        Parameter::Bool(flag) => to.push(if *flag { 0xc3 } else { 0xc2 }),
        Parameter::Int(number) => {
            to.push(0xcb);
            to.extend(number.to_be_bytes());
        }
        Parameter::Float(number) => {
            to.push(0xc1);
            to.extend(number.to_be_bytes());
        }
        Parameter::Text(text) => {
            sized(to, 0xd2, text.len());
            to.extend(text.as_bytes());
        }
        Parameter::List(items) => {
            sized(to, 0xd6, items.len());
            items.iter().for_each(|item| pack(item, to));
        }
        Parameter::Map(entries) => {
            sized(to, 0xda, entries.len());
            for (name, value) in entries {
                pack(&name.as_str().into(), to);
                pack(value, to);
            }
        }
    }
}

fn unpack(from: &mut &[u8]) -> Json {
    let marker = take(from, 1)[0];
    match marker {
        0x80..=0x8f => text(from, usize::from(marker & 0xf)),
        0x90..=0x9f => list(from, usize::from(marker & 0xf)),
        0xa0..=0xaf => map(from, usize::from(marker & 0xf)),
        0xc0 => Json::Null,
        0xc1 => f64::from_be_bytes(take(from, 8).try_into().unwrap()).into(),
        0xc2 => false.into(),
        0xc3 => true.into(),
        0xc8 => i8::from_be_bytes(take(from, 1).try_into().unwrap()).into(),
        0xc9 => i16::from_be_bytes(take(from, 2).try_into().unwrap()).into(),
        0xca => i32::from_be_bytes(take(from, 4).try_into().unwrap()).into(),
        0xcb => i64::from_be_bytes(take(from, 8).try_into().unwrap()).into(),
        0xd0..=0xd2 => {
            let size = size(from, marker - 0xd0);
            text(from, size)
        }
        0xd4..=0xd6 => {
            let size = size(from, marker - 0xd4);
            list(from, size)
        }
        0xd8..=0xda => {
            let size = size(from, marker - 0xd8);
            map(from, size)
        }
        small if !(0x80..0xf0).contains(&small) => i64::from(small.cast_signed()).into(),
        other => panic!("marker {other:x}"),
    }
}

fn take<'a>(from: &mut &'a [u8], size: usize) -> &'a [u8] {
    let (taken, rest) = from.split_at(size);
    *from = rest;
    taken
}

/// A size in 1, 2 or 4 bytes.
fn size(from: &mut &[u8], power: u8) -> usize {
    take(from, 1 << power).iter().fold(0, |size, byte| size << 8 | usize::from(*byte))
}

fn text(from: &mut &[u8], size: usize) -> Json {
    String::from_utf8(take(from, size).to_vec()).unwrap().into()
}

fn list(from: &mut &[u8], size: usize) -> Json {
    (0..size).map(|_| unpack(from)).collect()
}

fn map(from: &mut &[u8], size: usize) -> Json {
    let entry = |from: &mut &[u8]| (unpack(from).as_str().unwrap().to_owned(), unpack(from));
    Json::Object((0..size).map(|_| entry(from)).collect::<Map<_, _>>())
}
