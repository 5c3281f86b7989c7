//! Introspection: the API tells of itself (specification, section 4). Written while planning, since it asks no store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use quipu_schema::api::{Api, FieldDef, InputField, TypeDef, TypeRef};
use quipu_schema::ontology::EnumValue;

use crate::document::built_in::{self, DirectiveDef};
use crate::fault::{Code, Fault};
use crate::plan::Asked;

#[cfg(test)]
mod peer;
#[cfg(test)]
mod tests;

/// Most bytes that one field answers: types that are nested in each other again and again multiply.
const MOST: usize = 32 << 20;

/// The answer to `__schema` or `__type`, as JSON.
///
/// # Errors
/// What is wrong with the arguments, or `TOO_EXPENSIVE` when the answer is larger than anybody can want.
pub(super) fn written(api: &Api, asked: &Asked<'_>) -> Result<Arc<[u8]>, Fault> {
    let args = asked.args.clone()?;
    let mut teller = Teller { api, implementing: HashMap::new(), out: Vec::new() };
    if asked.name == "__schema" {
        teller.object(&Thing::Schema, asked)?;
    } else {
        let name = args.get("name").and_then(serde_json::Value::as_str).unwrap_or_default();
        match teller.named(name) {
            Some(def) => teller.object(&Thing::Type(def), asked)?,
            None => teller.null(),
        }
    }
    Ok(teller.out.into())
}

/// What there is to tell of.
enum Thing<'a> {
    Schema,
    Type(&'a TypeDef),
    /// A list, or what is never null.
    Wrapper(&'a TypeRef),
    Field(&'a FieldDef),
    Input(&'a InputField),
    Value(&'a EnumValue),
    Directive(&'a str, &'a DirectiveDef),
}

struct Teller<'a> {
    api: &'a Api,
    /// Objects of each interface; filled when the first interface is asked for them.
    implementing: HashMap<&'a str, Vec<&'a TypeDef>>,
    out: Vec<u8>,
}

impl<'a> Teller<'a> {
    fn named(&self, name: &str) -> Option<&'a TypeDef> {
        self.api.types.get(name).or_else(|| built_in::types().get(name))
    }

    /// Writes an object with the fields that are asked of it.
    fn object(&mut self, thing: &Thing<'a>, asked: &Asked<'_>) -> Result<(), Fault> {
        if self.out.len() > MOST {
            let message = "introspection would answer more than 32 MiB; ask for fewer types at once, or nest less";
            return Err(Fault::client(Code::TooExpensive, message));
        }
        self.out.push(b'{');
        for (at, field) in asked.fields().iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.text(&field.key);
            self.out.push(b':');
            if field.name == "__typename" {
                self.text(asked.typename());
                continue;
            }
            match thing {
                Thing::Schema => self.schema(field)?,
                Thing::Type(def) => self.of_type(def, field)?,
                Thing::Wrapper(ty) => self.wrapper(ty, field)?,
                Thing::Field(def) => self.field(def, field)?,
                Thing::Input(def) => self.input(def, field)?,
                Thing::Value(value) => self.value(value, field),
                Thing::Directive(name, def) => self.directive(name, def, field)?,
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    fn schema(&mut self, field: &Asked<'_>) -> Result<(), Fault> {
        match field.name {
            "types" => {
                let types = self.all();
                self.list(types.into_iter().map(Thing::Type), field)
            }
            "directives" => {
                let directives = built_in::directives().iter();
                self.list(directives.map(|(name, def)| Thing::Directive(name, def)), field)
            }
            root => {
                let name = match root {
                    "queryType" => "Query",
                    "mutationType" => "Mutation",
                    "subscriptionType" => "Subscription",
                    _ => "",
                };
                match self.api.types.get(name) {
                    Some(def) => self.object(&Thing::Type(def), field),
                    None => self.nothing(),
                }
            }
        }
    }

    /// All types: those of the API, those of introspection, and of the standard scalars the ones that occur.
    fn all(&self) -> Vec<&'a TypeDef> {
        let mut used = HashSet::from(["String", "Boolean"]);
        for def in self.api.types.values() {
            match def {
                TypeDef::Object(def) | TypeDef::Interface(def) => {
                    let fields = def.fields.values();
                    used.extend(fields.flat_map(|f| f.args.values().map(|a| a.ty.name()).chain([f.ty.name()])));
                }
                TypeDef::Input(def) => used.extend(def.fields.values().map(|field| field.ty.name())),
                TypeDef::Scalar { .. } | TypeDef::Enum(_) | TypeDef::Union { .. } => {}
            }
        }
        let standard = built_in::types().values();
        let standard = standard.filter(|def| def.name().starts_with("__") || used.contains(def.name()));
        self.api.types.values().chain(standard.filter(|def| def.name() != "Query")).collect()
    }

    fn of_type(&mut self, def: &'a TypeDef, field: &Asked<'_>) -> Result<(), Fault> {
        let deprecated = with_deprecated(field);
        match (field.name, def) {
            ("kind", def) => self.text(match def {
                TypeDef::Scalar { .. } => "SCALAR",
                TypeDef::Enum(_) => "ENUM",
                TypeDef::Input(_) => "INPUT_OBJECT",
                TypeDef::Object(_) => "OBJECT",
                TypeDef::Interface(_) => "INTERFACE",
                TypeDef::Union { .. } => "UNION",
            }),
            ("name", def) => self.text(def.name()),
            ("description", def) => self.maybe(def.description()),
            ("fields", TypeDef::Object(def) | TypeDef::Interface(def)) => {
                let fields = def.fields.values().filter(|field| deprecated || field.deprecated.is_none());
                return self.list(fields.map(Thing::Field), field);
            }
            ("interfaces", TypeDef::Object(def) | TypeDef::Interface(def)) => {
                let types: Vec<_> = def.implements.iter().filter_map(|name| self.named(name)).collect();
                return self.list(types.into_iter().map(Thing::Type), field);
            }
            ("possibleTypes", TypeDef::Interface(def)) => {
                let types = self.implementing(&def.name);
                return self.list(types.into_iter().map(Thing::Type), field);
            }
            ("possibleTypes", TypeDef::Union { members, .. }) => {
                let types: Vec<_> = members.iter().filter_map(|name| self.named(name)).collect();
                return self.list(types.into_iter().map(Thing::Type), field);
            }
            ("enumValues", TypeDef::Enum(def)) => {
                let values = def.values.iter().filter(|value| deprecated || value.deprecated.is_none());
                return self.list(values.map(Thing::Value), field);
            }
            ("inputFields", TypeDef::Input(def)) => {
                let fields = def.fields.values().filter(|field| deprecated || field.deprecated.is_none());
                return self.list(fields.map(Thing::Input), field);
            }
            ("isOneOf", TypeDef::Input(_)) => self.flag(false),
            _ => self.null(),
        }
        Ok(())
    }

    fn implementing(&mut self, interface: &str) -> Vec<&'a TypeDef> {
        if self.implementing.is_empty() {
            for def in self.api.types.values() {
                let TypeDef::Object(object) = def else { continue };
                for name in &object.implements {
                    self.implementing.entry(name).or_default().push(def);
                }
            }
        }
        self.implementing.get(interface).cloned().unwrap_or_default()
    }

    fn wrapper(&mut self, ty: &'a TypeRef, field: &Asked<'_>) -> Result<(), Fault> {
        match (field.name, ty) {
            ("kind", TypeRef::List(_)) => self.text("LIST"),
            ("kind", TypeRef::NonNull(_)) => self.text("NON_NULL"),
            ("ofType", TypeRef::List(inner) | TypeRef::NonNull(inner)) => return self.type_ref(inner, field),
            _ => self.null(),
        }
        Ok(())
    }

    fn type_ref(&mut self, ty: &'a TypeRef, field: &Asked<'_>) -> Result<(), Fault> {
        match ty {
            TypeRef::Named(name) => match self.named(name) {
                Some(def) => self.object(&Thing::Type(def), field),
                None => Err(Fault::internal("introspection", format!("{name} is no type"))),
            },
            wrapper => self.object(&Thing::Wrapper(wrapper), field),
        }
    }

    fn field(&mut self, def: &'a FieldDef, field: &Asked<'_>) -> Result<(), Fault> {
        match field.name {
            "name" => self.text(&def.name),
            "description" => self.maybe(def.description.as_deref()),
            "args" => return self.inputs(def.args.values(), field),
            "type" => return self.type_ref(&def.ty, field),
            "isDeprecated" => self.flag(def.deprecated.is_some()),
            "deprecationReason" => self.maybe(def.deprecated.as_deref()),
            _ => self.null(),
        }
        Ok(())
    }

    fn inputs(&mut self, of: impl Iterator<Item = &'a InputField>, field: &Asked<'_>) -> Result<(), Fault> {
        let deprecated = with_deprecated(field);
        self.list(of.filter(|input| deprecated || input.deprecated.is_none()).map(Thing::Input), field)
    }

    fn input(&mut self, def: &'a InputField, field: &Asked<'_>) -> Result<(), Fault> {
        match field.name {
            "name" => self.text(&def.name),
            "description" => self.maybe(def.description.as_deref()),
            "type" => return self.type_ref(&def.ty, field),
            "defaultValue" => self.maybe(self.api.default_of(def).as_deref()),
            "isDeprecated" => self.flag(def.deprecated.is_some()),
            "deprecationReason" => self.maybe(def.deprecated.as_deref()),
            _ => self.null(),
        }
        Ok(())
    }

    fn value(&mut self, value: &EnumValue, field: &Asked<'_>) {
        match field.name {
            "name" => self.text(&value.name),
            "description" => self.maybe(value.description.as_deref()),
            "isDeprecated" => self.flag(value.deprecated.is_some()),
            "deprecationReason" => self.maybe(value.deprecated.as_deref()),
            _ => self.null(),
        }
    }

    fn directive(&mut self, name: &str, def: &'a DirectiveDef, field: &Asked<'_>) -> Result<(), Fault> {
        match field.name {
            "name" => self.text(name),
            "description" => self.maybe(def.description.as_deref()),
            "isRepeatable" => self.flag(false),
            "locations" => {
                let places: Vec<&str> = def.places.iter().map(built_in::place).collect();
                self.json(&places);
            }
            "args" => return self.inputs(def.args.values(), field),
            _ => self.null(),
        }
        Ok(())
    }

    fn list(&mut self, things: impl Iterator<Item = Thing<'a>>, field: &Asked<'_>) -> Result<(), Fault> {
        self.out.push(b'[');
        for (at, thing) in things.enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.object(&thing, field)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn json(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        // Writing texts into a vector cannot fail.
        let _ = serde_json::to_writer(&mut self.out, value);
    }

    fn text(&mut self, text: &str) {
        self.json(text);
    }

    fn maybe(&mut self, text: Option<&str>) {
        self.json(&text);
    }

    fn flag(&mut self, flag: bool) {
        self.json(&flag);
    }

    fn null(&mut self) {
        self.out.extend_from_slice(b"null");
    }

    fn nothing(&mut self) -> Result<(), Fault> {
        self.null();
        Ok(())
    }
}

fn with_deprecated(field: &Asked<'_>) -> bool {
    let wanted = field.args.as_ref().ok().and_then(|args| args.get("includeDeprecated"));
    wanted.and_then(serde_json::Value::as_bool).unwrap_or(false)
}
