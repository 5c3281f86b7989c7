//! The same API as a schema of async-graphql, which answers introspection by itself: what ours is compared with.

use async_graphql::Value;
use async_graphql::dynamic::{
    Enum, EnumItem, Field, FieldFuture, InputObject, InputValue, Interface, InterfaceField, Object, Scalar, Schema,
    SchemaBuilder, Subscription, SubscriptionField, SubscriptionFieldFuture, TypeRef, Union,
};
use quipu_schema::api::{Api, EnumDef, FieldDef, InputDef, InputField, ObjectDef, TypeDef, TypeRef as ApiType};

/// The schema.
pub(crate) fn schema(api: &Api) -> Schema {
    let mut builder = Schema::build("Query", Some("Mutation"), Some("Subscription"));
    for (name, def) in &api.types {
        builder = register(builder, name, def);
    }
    builder.finish().expect("the API binds")
}

fn register(builder: SchemaBuilder, name: &str, def: &TypeDef) -> SchemaBuilder {
    match def {
        TypeDef::Scalar { name, description, .. } => {
            let mut scalar = Scalar::new(name);
            if let Some(text) = description {
                scalar = scalar.description(text);
            }
            builder.register(scalar)
        }
        TypeDef::Enum(def) => builder.register(enumeration(def)),
        TypeDef::Input(def) => builder.register(input_object(def)),
        TypeDef::Object(def) if name == "Subscription" => builder.register(subscription(def)),
        TypeDef::Object(def) => builder.register(object(def)),
        TypeDef::Interface(def) => builder.register(interface(def)),
        TypeDef::Union { name, description, members } => {
            let mut union = Union::new(name);
            if let Some(text) = description {
                union = union.description(text);
            }
            for member in members {
                union = union.possible_type(member);
            }
            builder.register(union)
        }
    }
}

fn object(def: &ObjectDef) -> Object {
    let mut object = Object::new(&def.name);
    if let Some(text) = &def.description {
        object = object.description(text);
    }
    for name in &def.implements {
        object = object.implement(name);
    }
    for field in def.fields.values() {
        object = object.field(output(field));
    }
    object
}

/// A field whose resolver is never reached: introspection asks for no data.
fn output(def: &FieldDef) -> Field {
    let mut field = Field::new(&def.name, type_ref(&def.ty), |_| FieldFuture::from_value(None));
    if let Some(text) = &def.description {
        field = field.description(text);
    }
    if let Some(reason) = &def.deprecated {
        field = field.deprecation(Some(reason));
    }
    for arg in def.args.values() {
        field = field.argument(input_value(arg));
    }
    field
}

fn subscription(def: &ObjectDef) -> Subscription {
    let mut subscription = Subscription::new(&def.name);
    if let Some(text) = &def.description {
        subscription = subscription.description(text);
    }
    for field in def.fields.values() {
        let mut made = SubscriptionField::new(&field.name, type_ref(&field.ty), |_| {
            SubscriptionFieldFuture::new(async { Ok(futures_util::stream::empty::<async_graphql::Result<Value>>()) })
        });
        if let Some(text) = &field.description {
            made = made.description(text);
        }
        for arg in field.args.values() {
            made = made.argument(input_value(arg));
        }
        subscription = subscription.field(made);
    }
    subscription
}

fn interface(def: &ObjectDef) -> Interface {
    let mut interface = Interface::new(&def.name);
    if let Some(text) = &def.description {
        interface = interface.description(text);
    }
    for name in &def.implements {
        interface = interface.implement(name);
    }
    for field in def.fields.values() {
        let mut made = InterfaceField::new(&field.name, type_ref(&field.ty));
        if let Some(text) = &field.description {
            made = made.description(text);
        }
        if let Some(reason) = &field.deprecated {
            made = made.deprecation(Some(reason));
        }
        for arg in field.args.values() {
            made = made.argument(input_value(arg));
        }
        interface = interface.field(made);
    }
    interface
}

fn enumeration(def: &EnumDef) -> Enum {
    let mut made = Enum::new(&def.name);
    if let Some(text) = &def.description {
        made = made.description(text);
    }
    for value in &def.values {
        let mut item = EnumItem::new(&value.name);
        if let Some(text) = &value.description {
            item = item.description(text);
        }
        if let Some(reason) = &value.deprecated {
            item = item.deprecation(Some(reason));
        }
        made = made.item(item);
    }
    made
}

fn input_object(def: &InputDef) -> InputObject {
    let mut made = InputObject::new(&def.name);
    if let Some(text) = &def.description {
        made = made.description(text);
    }
    for field in def.fields.values() {
        made = made.field(input_value(field));
    }
    made
}

fn input_value(def: &InputField) -> InputValue {
    let mut made = InputValue::new(&def.name, type_ref(&def.ty));
    if let Some(text) = &def.description {
        made = made.description(text);
    }
    if let Some(reason) = &def.deprecated {
        made = made.deprecation(Some(reason));
    }
    if let Some(default) = &def.default {
        // A default that is no GraphQL value cannot come out of a compiled ontology; leaving it out only hides it from introspection.
        if let Ok(value) = Value::from_json(default.clone()) {
            made = made.default_value(value);
        }
    }
    made
}

fn type_ref(ty: &ApiType) -> TypeRef {
    match ty {
        ApiType::Named(name) => TypeRef::named(name),
        ApiType::List(inner) => TypeRef::List(Box::new(type_ref(inner))),
        ApiType::NonNull(inner) => TypeRef::NonNull(Box::new(type_ref(inner))),
    }
}
