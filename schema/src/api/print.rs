//! The API as SDL text.

use std::fmt::Write;

use indexmap::IndexMap;
use serde_json::Value;

use super::{Api, EnumDef, FieldDef, InputDef, InputField, ObjectDef, TypeDef};

impl Api {
    /// The API in GraphQL's schema definition language, with descriptions and deprecations; types and fields stand in the API's
    /// own order, so that equal APIs print equal text.
    pub fn sdl(&self) -> String {
        let mut printer = Printer { api: self, text: String::with_capacity(self.types.len() * 512) };
        for def in self.types.values() {
            if !printer.text.is_empty() {
                printer.text.push('\n');
            }
            printer.definition(def);
        }
        printer.text
    }
}

struct Printer<'a> {
    api: &'a Api,
    text: String,
}

impl Printer<'_> {
    fn definition(&mut self, def: &TypeDef) {
        match def {
            TypeDef::Scalar { name, description, .. } => {
                self.description(description, "");
                self.line(&["scalar ", name]);
            }
            TypeDef::Enum(def) => self.enumeration(def),
            TypeDef::Input(def) => self.input(def),
            TypeDef::Object(def) => self.object("type", def),
            TypeDef::Interface(def) => self.object("interface", def),
            TypeDef::Union { name, description, members } => {
                self.description(description, "");
                self.line(&["union ", name, " = ", &members.join(" | ")]);
            }
        }
    }

    fn line(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.text.push_str(part));
        self.text.push('\n');
    }

    fn enumeration(&mut self, def: &EnumDef) {
        self.description(&def.description, "");
        self.line(&["enum ", &def.name, " {"]);
        for value in &def.values {
            self.description(&value.description, "  ");
            self.text.push_str("  ");
            self.text.push_str(&value.name);
            self.deprecation(&value.deprecated);
            self.text.push('\n');
        }
        self.text.push_str("}\n");
    }

    fn input(&mut self, def: &InputDef) {
        self.description(&def.description, "");
        self.line(&["input ", &def.name, " {"]);
        self.inputs(&def.fields, "  ");
        self.text.push_str("}\n");
    }

    fn inputs(&mut self, fields: &IndexMap<String, InputField>, indent: &str) {
        for field in fields.values() {
            self.description(&field.description, indent);
            self.text.push_str(indent);
            self.put(format_args!("{}: {}", field.name, field.ty));
            if let Some(default) = &field.default {
                self.text.push_str(" = ");
                self.api.write_default(&mut self.text, field, default);
            }
            self.deprecation(&field.deprecated);
            self.text.push('\n');
        }
    }

    fn object(&mut self, keyword: &str, def: &ObjectDef) {
        self.description(&def.description, "");
        self.put(format_args!("{keyword} {}", def.name));
        if !def.implements.is_empty() {
            self.put(format_args!(" implements {}", def.implements.join(" & ")));
        }
        self.text.push_str(" {\n");
        for field in def.fields.values() {
            self.field(field);
        }
        self.text.push_str("}\n");
    }

    fn field(&mut self, field: &FieldDef) {
        self.description(&field.description, "  ");
        self.text.push_str("  ");
        self.text.push_str(&field.name);
        if !field.args.is_empty() {
            self.text.push_str("(\n");
            self.inputs(&field.args, "    ");
            self.text.push_str("  )");
        }
        self.put(format_args!(": {}", field.ty));
        self.deprecation(&field.deprecated);
        self.text.push('\n');
    }

    fn deprecation(&mut self, reason: &Option<String>) {
        if let Some(reason) = reason {
            self.text.push_str(" @deprecated(reason: ");
            string(&mut self.text, reason);
            self.text.push(')');
        }
    }

    /// A block string where one can hold the text, and a plain string where it cannot.
    fn description(&mut self, description: &Option<String>, indent: &str) {
        let Some(text) = description.as_ref().filter(|text| !text.is_empty()) else { return };
        self.text.push_str(indent);
        if !fits_block(text) {
            string(&mut self.text, text);
        } else if text.contains('\n') || text.ends_with(['"', '\\']) {
            self.text.push_str("\"\"\"\n");
            for line in text.split('\n') {
                if !line.is_empty() {
                    self.text.push_str(indent);
                    self.text.push_str(&line.replace("\"\"\"", "\\\"\"\""));
                }
                self.text.push('\n');
            }
            self.put(format_args!("{indent}\"\"\""));
        } else {
            self.put(format_args!("\"\"\"{}\"\"\"", text.replace("\"\"\"", "\\\"\"\"")));
        }
        self.text.push('\n');
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a `String` never fails.
        let _ = self.text.write_fmt(text);
    }
}

/// Whether a block string gives the text back as it is: it drops common indentation and blank lines at both ends, and knows no
/// escapes.
fn fits_block(text: &str) -> bool {
    let blank = |line: Option<&str>| line.is_none_or(|line| line.trim().is_empty());
    let controls = text.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    !controls && !text.starts_with([' ', '\t']) && !blank(text.split('\n').next()) && !blank(text.rsplit('\n').next())
}

/// A quoted string; JSON's escapes are GraphQL's.
fn string(text: &mut String, value: &str) {
    text.push_str(&Value::from(value).to_string());
}

impl Api {
    /// The default of an argument or input field as a GraphQL literal.
    pub fn default_of(&self, field: &InputField) -> Option<String> {
        let mut text = String::new();
        self.write_default(&mut text, field, field.default.as_ref()?);
        Some(text)
    }

    fn write_default(&self, text: &mut String, field: &InputField, default: &Value) {
        literal(text, default, matches!(self.types.get(field.ty.name()), Some(TypeDef::Enum(_))));
    }
}

/// A constant value; names of enum values go without quotes.
fn literal(text: &mut String, value: &Value, names_enum: bool) {
    match value {
        Value::String(name) if names_enum => text.push_str(name),
        Value::String(value) => string(text, value),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                literal(text, item, names_enum);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            text.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                text.push_str(name);
                text.push_str(": ");
                literal(text, field, false);
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
    }
}
