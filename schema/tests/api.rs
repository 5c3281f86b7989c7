//! Tests of the API that an ontology gets: its text, and what must hold of any of it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use indexmap::IndexMap;
use quipu_schema::api::{Api, FieldDef, InputField, ObjectDef, Source, TypeDef, TypeRef, generated_names};
use quipu_schema::compile;

mod collisions;
mod reading;
mod shapes;

const STANDARD: [&str; 5] = ["ID", "String", "Int", "Float", "Boolean"];

/// Runs a check on the ontologies beside the tests and on those that ship.
fn each_file(check: impl Fn(&Path)) {
    insta::glob!("..", "{tests/api,ontologies}/*.graphql", |path| check(path));
}

/// Runs a check on the API of each of them.
fn each(check: impl Fn(&str, &Api)) {
    each_file(|path| check(&name(path), &api(path)));
}

fn name(path: &Path) -> String {
    path.file_stem().expect("a file has a name").to_string_lossy().into_owned()
}

fn api(path: &Path) -> Api {
    let sdl = std::fs::read_to_string(path).expect("the ontology can be read");
    of(&sdl)
}

fn of(sdl: &str) -> Api {
    match compile(sdl) {
        Ok(ontology) => Api::of(&ontology),
        Err(problems) => panic!("{problems}"),
    }
}

fn objects(api: &Api) -> impl Iterator<Item = &ObjectDef> {
    api.types.values().filter_map(|def| match def {
        TypeDef::Object(object) | TypeDef::Interface(object) => Some(object),
        _ => None,
    })
}

/// Every argument and input field, by what it belongs to.
fn inputs(api: &Api) -> impl Iterator<Item = (&str, &InputField)> {
    let args = objects(api)
        .flat_map(|object| object.fields.values())
        .flat_map(|field| field.args.values().map(|arg| (field.name.as_str(), arg)));
    let fields = api.types.values().filter_map(|def| match def {
        TypeDef::Input(input) => Some(input.fields.values().map(|field| (input.name.as_str(), field))),
        _ => None,
    });
    args.chain(fields.flatten())
}

#[test]
fn text_is_as_recorded() {
    each_file(|path| {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("api");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.remove_snapshot_suffix();
        settings.bind(|| insta::assert_snapshot!(name(path), api(path).sdl()));
    });
}

#[test]
fn text_reads_back_as_the_same_api() {
    each(|name, api| {
        let (written, meant) = (reading::written(&api.sdl()), reading::meant(api));
        for (written, meant) in written.iter().zip(&meant) {
            assert_eq!(written, meant, "{name}");
        }
        assert_eq!(written.len(), meant.len(), "{name}");
    });
}

#[test]
fn roots_come_first_and_two_runs_agree() {
    each(|name, api| {
        let first: Vec<_> = api.types.keys().take(3).map(String::as_str).collect();
        assert_eq!(first, ["Query", "Mutation", "Subscription"], "{name}");
    });
    each_file(|path| assert_eq!(api(path).sdl(), api(path).sdl()));
}

#[test]
fn every_type_is_known_and_on_its_side() {
    each(|name, api| {
        let known = |ty: &TypeRef| STANDARD.contains(&ty.name()) || api.types.contains_key(ty.name());
        let is_input = |ty: &TypeRef| matches!(api.types.get(ty.name()), Some(TypeDef::Input(_)));
        let is_record = |ty: &TypeRef| {
            let def = api.types.get(ty.name());
            matches!(def, Some(TypeDef::Object(_) | TypeDef::Interface(_) | TypeDef::Union { .. }))
        };
        for object in objects(api) {
            for field in object.fields.values() {
                assert!(known(&field.ty), "{name}: {}.{}: {}", object.name, field.name, field.ty);
                assert!(!is_input(&field.ty), "{name}: {}.{} gives an input", object.name, field.name);
            }
        }
        for (of, field) in inputs(api) {
            assert!(known(&field.ty), "{name}: {of}.{}: {}", field.name, field.ty);
            assert!(!is_record(&field.ty), "{name}: {of}.{} takes a record", field.name);
        }
    });
}

#[test]
fn every_type_has_content_and_keeps_its_name() {
    each(|api_name, api| {
        for (name, def) in &api.types {
            assert_eq!(name, def.name(), "{api_name}");
            let size = match def {
                TypeDef::Scalar { .. } => 1,
                TypeDef::Enum(def) => def.values.len(),
                TypeDef::Input(def) => def.fields.len(),
                TypeDef::Object(def) | TypeDef::Interface(def) => def.fields.len(),
                TypeDef::Union { members, .. } => members.len(),
            };
            assert!(size > 0, "{api_name}: {name} is empty");
        }
    });
}

#[test]
fn every_type_is_reached_from_the_roots() {
    each(|api_name, api| {
        let mut reached: HashSet<&str> = HashSet::new();
        let mut open = vec!["Query", "Mutation", "Subscription"];
        while let Some(name) = open.pop() {
            if !reached.insert(name) {
                continue;
            }
            match api.types.get(name) {
                Some(TypeDef::Object(def) | TypeDef::Interface(def)) => {
                    for field in def.fields.values() {
                        open.push(field.ty.name());
                        open.extend(field.args.values().map(|arg| arg.ty.name()));
                    }
                }
                Some(TypeDef::Input(def)) => open.extend(def.fields.values().map(|field| field.ty.name())),
                Some(TypeDef::Union { members, .. }) => open.extend(members.iter().map(String::as_str)),
                Some(TypeDef::Enum(_) | TypeDef::Scalar { .. }) | None => {}
            }
        }
        for name in api.types.keys() {
            assert!(reached.contains(name.as_str()), "{api_name}: nothing leads to {name}");
        }
    });
}

#[test]
fn objects_keep_what_their_interfaces_promise() {
    each(|api_name, api| {
        for object in objects(api) {
            for interface in &object.implements {
                let promised = api.object(interface).expect("an object implements interfaces that are there");
                for field in promised.fields.values() {
                    let own = object.fields.get(&field.name);
                    let kept = own.is_some_and(|own| fits(&own.ty, &field.ty) && own.args.is_empty());
                    assert!(kept, "{api_name}: {} breaks {interface}.{}", object.name, field.name);
                }
            }
        }
    });
}

/// Whether one type may stand for the other in an answer. Fields of interfaces are values, so names must be the same.
fn fits(own: &TypeRef, promised: &TypeRef) -> bool {
    match (own, promised) {
        (TypeRef::NonNull(own), TypeRef::NonNull(promised)) => fits(own, promised),
        (TypeRef::NonNull(own), promised) => fits(own, promised),
        (TypeRef::List(own), TypeRef::List(promised)) => fits(own, promised),
        (TypeRef::Named(own), TypeRef::Named(promised)) => own == promised,
        _ => false,
    }
}

#[test]
fn generated_fields_and_arguments_are_described() {
    each(|api_name, api| {
        let own = |field: &FieldDef| matches!(field.source, Source::Property(_));
        for object in objects(api) {
            for field in object.fields.values().filter(|field| !own(field)) {
                let text = field.description.as_deref().unwrap_or_default();
                assert!(text.len() > 3, "{api_name}: {}.{} has no description", object.name, field.name);
            }
        }
        let args = objects(api).flat_map(|object| object.fields.values()).flat_map(|field| field.args.values());
        for arg in args {
            let text = arg.description.as_deref().unwrap_or_default();
            assert!(text.len() > 3, "{api_name}: argument {} has no description", arg.name);
        }
    });
}

#[test]
fn fields_are_listed_by_their_names() {
    fn check<T>(fields: &IndexMap<String, T>, name: impl Fn(&T) -> &str) {
        fields.iter().for_each(|(key, field)| assert_eq!(key, name(field)));
    }
    each(|_, api| {
        for object in objects(api) {
            check(&object.fields, |field| &field.name);
            object.fields.values().for_each(|field| check(&field.args, |arg| &arg.name));
        }
        api.types.values().for_each(|def| {
            if let TypeDef::Input(input) = def {
                check(&input.fields, |field| &field.name);
            }
        });
    });
}

#[test]
fn names_of_an_api_are_its_types_and_fields_once_each() {
    each_file(|path| {
        let sdl = std::fs::read_to_string(path).expect("the ontology can be read");
        let ontology = compile(&sdl).unwrap_or_else(|problems| panic!("{problems}"));
        let mut times: HashMap<String, usize> = HashMap::new();
        generated_names(&ontology).into_iter().for_each(|(name, _)| *times.entry(name).or_default() += 1);
        for (name, times) in &times {
            assert_eq!(*times, 1, "{name}");
        }
        let api = Api::of(&ontology);
        let fields = objects(&api).map(|object| object.fields.len()).sum::<usize>()
            + api
                .types
                .values()
                .map(|def| if let TypeDef::Input(input) = def { input.fields.len() } else { 0 })
                .sum::<usize>();
        assert_eq!(times.len(), api.types.len() + fields);
    });
}
