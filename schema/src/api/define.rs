//! Short forms to define fields, arguments and types.

use crate::ontology::{EnumType, EnumValue, Property};

use super::{EnumDef, FieldDef, InputDef, InputField, ObjectDef, Part, Source, TypeDef, TypeRef, naming};

/// A field without arguments.
pub(super) fn field(name: &str, ty: TypeRef, source: Source, description: impl Into<String>) -> FieldDef {
    FieldDef {
        name: name.to_owned(),
        description: Some(description.into()),
        deprecated: None,
        args: Default::default(),
        ty,
        source,
    }
}

/// A fixed part of a generated object.
pub(super) fn part(name: &str, ty: TypeRef, part: Part, description: impl Into<String>) -> FieldDef {
    field(name, ty, Source::Part(part), description)
}

/// A property of a record or relationship, as the ontology describes it.
pub(super) fn property(property: &Property) -> FieldDef {
    FieldDef {
        name: property.name.clone(),
        description: property.description.clone(),
        deprecated: property.deprecated.clone(),
        args: Default::default(),
        ty: naming::property(property),
        source: Source::Property(property.name.clone()),
    }
}

impl FieldDef {
    /// The field with these arguments.
    pub(super) fn with(mut self, args: Vec<InputField>) -> Self {
        self.args = args.into_iter().map(|arg| (arg.name.clone(), arg)).collect();
        self
    }

    /// The field as the ontology describes and deprecates it; its own description stays where the ontology is silent.
    pub(super) fn described(mut self, description: &Option<String>, deprecated: &Option<String>) -> Self {
        if description.is_some() {
            self.description.clone_from(description);
        }
        self.deprecated.clone_from(deprecated);
        self
    }
}

/// An argument or a field of an input object.
pub(super) fn input(name: &str, ty: TypeRef, description: impl Into<String>) -> InputField {
    InputField { name: name.to_owned(), description: Some(description.into()), ty, default: None, deprecated: None }
}

/// A field of an input object that stands for a property, as the ontology describes it. What has to be given cannot be deprecated
/// (GraphQL specification, section 3.13.3).
pub(super) fn input_property(property: &Property, ty: TypeRef) -> InputField {
    let deprecated = property.deprecated.clone().filter(|_| !ty.is_required());
    InputField { name: property.name.clone(), description: property.description.clone(), ty, default: None, deprecated }
}

/// A value of an enum.
pub(super) fn value(name: &str, description: impl Into<String>) -> EnumValue {
    EnumValue { name: name.to_owned(), description: Some(description.into()), deprecated: None }
}

/// An object.
pub(super) fn object(name: String, description: Option<String>, fields: Vec<FieldDef>) -> ObjectDef {
    let fields = fields.into_iter().map(|field| (field.name.clone(), field)).collect();
    ObjectDef { name, description, implements: Vec::new(), fields }
}

/// An input object.
pub(super) fn input_object(name: String, description: String, fields: Vec<InputField>) -> InputDef {
    let fields = fields.into_iter().map(|field| (field.name.clone(), field)).collect();
    InputDef { name, description: Some(description), fields }
}

/// An enum of the ontology.
pub(super) fn ontology_enum(of: &EnumType) -> EnumDef {
    EnumDef { name: of.name.clone(), description: of.description.clone(), values: of.values.clone() }
}

impl TypeDef {
    /// Name of the type.
    pub fn name(&self) -> &str {
        match self {
            Self::Scalar { name, .. } | Self::Union { name, .. } => name,
            Self::Enum(def) => &def.name,
            Self::Input(def) => &def.name,
            Self::Object(def) | Self::Interface(def) => &def.name,
        }
    }

    /// Description of the type.
    pub fn description(&self) -> Option<&str> {
        let description = match self {
            Self::Scalar { description, .. } | Self::Union { description, .. } => description,
            Self::Enum(def) => &def.description,
            Self::Input(def) => &def.description,
            Self::Object(def) | Self::Interface(def) => &def.description,
        };
        description.as_deref()
    }
}
