//! What the engine knows of types: fields, shapes, how lists and maps are merged and owned.
//!
//! [`Definitions`] is a closed set of types that refer to each other by place. The built-in one comes from the committed
//! table; a set for custom resources is made with [`Definitions::new`] from their structural schemas. A [`Schema`] is one
//! type of a set: `Copy`, and what every function of this crate takes.

mod table;
mod unset;

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use serde_json::Value;

pub(crate) use unset::Unset;

/// A type's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Anything: embedded JSON.
    Any,
    /// A string.
    String,
    /// A base64 string.
    Bytes,
    /// `metav1.Time`: RFC 3339 in whole seconds.
    Time,
    /// `metav1.MicroTime`: RFC 3339 in microseconds.
    MicroTime,
    /// A boolean.
    Boolean,
    /// A 32-bit integer.
    Int32,
    /// A 64-bit integer.
    Int64,
    /// A floating-point number.
    Number,
    /// `resource.Quantity`
    Quantity,
    /// `intstr.IntOrString`
    IntOrString,
    /// A list.
    List(Box<Type>),
    /// A map with free keys.
    Map(Box<Type>),
    /// A struct, by its place among the definitions.
    Struct(usize),
}

/// How the items of a list are told apart (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListKind {
    /// Not at all: the list is one value.
    #[default]
    Atomic,
    /// By value.
    Set,
    /// By the values of these fields, in the schema's order.
    Map(Vec<Box<str>>),
}

/// How finely a value is owned (KEP-555), derived from type, list kind and atomicity.
#[derive(Clone, Debug, PartialEq)]
pub enum Grain {
    /// As one value.
    Leaf,
    /// Field by field.
    Struct(usize),
    /// Entry by entry.
    Map(Box<Grain>),
    /// Item by item, told apart by value.
    Set,
    /// Item by item, told apart by keys.
    Keyed {
        /// Sorted by name, as they are written in `managedFields`.
        keys: Vec<Key>,
        /// Of the items.
        item: usize,
    },
}

/// A field that list items are told apart by.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// `containerPort`
    pub name: Box<str>,
    /// Stands for an absent field.
    pub default: Option<Value>,
}

/// One field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// `f:` and the JSON name: the field as `managedFields` spell it.
    label: Box<str>,
    /// Shape.
    pub ty: Type,
    /// Whether OpenAPI calls it required (in Go: no `omitempty`).
    pub required: bool,
    /// For lists.
    pub list: ListKind,
    /// Whether the schema says outright that a list, map or struct is owned as one value.
    pub atomic: bool,
    /// Whether the schema says outright that a struct is owned field by field, although its type is owned as one value.
    pub granular: bool,
    /// Merge key of strategic merge patches.
    pub merge_key: Option<Box<str>>,
    /// Strategic merge patches merge the list.
    pub merge: bool,
    /// Strategic merge patches heed `$retainKeys` in the value.
    pub retain_keys: bool,
    /// Strategic merge patches replace the value, although it is a map.
    pub replace: bool,
    /// A struct that the owner holds in place: it exists as soon as the owner does, so that no writer comes to own the field
    /// itself.
    pub in_place: bool,
    /// Default of a field that list items are keyed by. Other defaults are the kinds' business.
    pub default: Option<Value>,
    /// How finely the value is owned.
    pub grain: Grain,
    /// Kubernetes loses an empty value of the field: its Go struct holds it without a pointer and marks it `omitempty`.
    pub hidden_empty: bool,
    /// Go's encoder writes it although it is empty (no `omitempty`).
    shown_empty: bool,
    /// Behind a pointer in Go; so are fields that no Go struct is known of.
    pointer: bool,
}

/// Fields of which at most one is set (`x-kubernetes-unions`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Union {
    /// The field that says which one.
    pub discriminator: Option<Box<str>>,
    /// Field and the discriminator's value for it.
    pub fields: Vec<(Box<str>, Box<str>)>,
}

/// One type.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Full name: `io.k8s.api.core.v1.Pod`.
    pub name: Box<str>,
    /// Fields, in the order that [`Definition::field`] searches by.
    fields: Vec<Field>,
    /// For types that are no structs.
    pub scalar: Option<Type>,
    /// Whether values are owned whole.
    pub atomic: bool,
    /// (group, version, kind), for types that are objects of their own.
    pub kinds: Vec<(Box<str>, Box<str>, Box<str>)>,
    /// Unions among the fields.
    pub unions: Vec<Union>,
    /// Fields that an object has whether it was given them or not.
    unset: Unset,
}

/// A closed set of types.
#[derive(Debug)]
pub struct Definitions {
    types: Vec<Definition>,
    /// Of each type as such.
    grains: Vec<Grain>,
    /// Lookups only; iteration goes over `types`.
    by_name: HashMap<Box<str>, usize>,
}

/// One type of a set.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    definitions: &'a Definitions,
    /// The type itself.
    pub root: &'a Definition,
    index: usize,
}

impl Field {
    /// A field with nothing special about it.
    pub fn new(name: &str, ty: Type) -> Self {
        Self {
            label: format!("f:{name}").into(),
            ty,
            required: false,
            list: ListKind::Atomic,
            atomic: false,
            granular: false,
            merge_key: None,
            merge: false,
            retain_keys: false,
            replace: false,
            in_place: false,
            default: None,
            grain: Grain::Leaf,
            hidden_empty: false,
            shown_empty: false,
            pointer: true,
        }
    }

    /// Whether Kubernetes loses this value of the field on its way through a Go struct.
    pub(crate) fn hides(&self, value: &Value) -> bool {
        self.hidden_empty
            && match value {
                Value::String(text) => text.is_empty() && !matches!(self.ty, Type::IntOrString | Type::Any),
                Value::Bool(set) => !set && self.ty == Type::Boolean,
                Value::Number(number) => {
                    matches!(self.ty, Type::Int32 | Type::Int64 | Type::Number) && number.as_f64() == Some(0.0)
                }
                Value::Array(items) => items.is_empty() && matches!(self.ty, Type::List(_)),
                Value::Object(map) => map.is_empty() && matches!(self.ty, Type::Map(_)),
                Value::Null => false,
            }
    }

    /// JSON name.
    pub fn name(&self) -> &str {
        &self.label[2..]
    }

    /// `f:` and the name.
    pub fn label(&self) -> &str {
        &self.label
    }
}

impl Definition {
    /// A struct. The order of the fields carries no meaning.
    pub fn structure(name: &str, mut fields: Vec<Field>) -> Self {
        // By length first: most comparisons of the search are then of two integers.
        fields.sort_by(|a, b| (a.label.len(), &a.label).cmp(&(b.label.len(), &b.label)));
        Self {
            name: name.into(),
            fields,
            scalar: None,
            atomic: false,
            kinds: Vec::new(),
            unions: Vec::new(),
            unset: Unset::default(),
        }
    }

    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        let found = self.fields.binary_search_by(|field| {
            let own = field.name();
            own.len().cmp(&name.len()).then_with(|| own.cmp(name))
        });
        found.ok().map(|index| &self.fields[index])
    }

    /// Says of a field how its Go struct holds it.
    fn held(&mut self, name: &str, pointer: bool, shown_empty: bool) {
        if let Some(field) = self.fields.iter_mut().find(|field| field.name() == name) {
            field.hidden_empty = !pointer && !shown_empty;
            (field.pointer, field.shown_empty) = (pointer, shown_empty);
        }
    }

    /// All fields, in no meaningful order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// All fields by name.
    pub fn fields_by_name(&self) -> BTreeMap<&str, &Field> {
        self.fields.iter().map(|field| (field.name(), field)).collect()
    }

    /// `Pod` of `io.k8s.api.core.v1.Pod`.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or_default()
    }

    /// `v1.Pod` of `io.k8s.api.core.v1.Pod`: how Go prints the type.
    pub fn go_name(&self) -> &str {
        let mut dots = self.name.rmatch_indices('.');
        let from = dots.nth(1).map_or(0, |(at, _)| at + 1);
        &self.name[from..]
    }
}

impl Definitions {
    /// A set of types. References by place that lead nowhere become [`Type::Any`].
    pub fn new(mut types: Vec<Definition>) -> Self {
        let grains = table::resolve(&mut types);
        unset::resolve(&mut types);
        let by_name = types.iter().enumerate().map(|(index, definition)| (definition.name.clone(), index)).collect();
        Self { types, grains, by_name }
    }

    /// Kubernetes' own types.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Definitions> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            let mut types = table::parse(include_str!("table.txt"));
            table::read_go(&mut types, include_str!("../protobuf/table.txt"));
            Self::new(types)
        })
    }

    /// The schema of a full name.
    pub fn named(&self, name: &str) -> Option<Schema<'_>> {
        let index = *self.by_name.get(name)?;
        Some(Schema { definitions: self, root: &self.types[index], index })
    }

    /// The definition that a [`Type::Struct`] or a grain of this set names.
    pub fn at(&self, index: usize) -> &Definition {
        &self.types[index]
    }

    /// How finely values of a type are owned, where nothing else is said.
    pub(crate) fn grain(&self, index: usize) -> &Grain {
        &self.grains[index]
    }

    /// All definitions, by name.
    pub fn all(&self) -> &[Definition] {
        &self.types
    }
}

impl Schema<'static> {
    /// The schema of a built-in type: `io.k8s.api.core.v1.Pod`.
    pub fn named(name: &str) -> Option<Self> {
        Definitions::builtin().named(name)
    }

    /// The schema of a built-in kind.
    pub fn of(kind: &api_kinds::Kind) -> Option<Self> {
        Self::named(kind.schema)
    }
}

impl<'a> Schema<'a> {
    /// The set that the type belongs to.
    pub fn definitions(self) -> &'a Definitions {
        self.definitions
    }

    /// The place of the type in the set.
    pub(crate) fn index(self) -> usize {
        self.index
    }

    /// Another type of the same set, by place.
    pub fn at(self, index: usize) -> Self {
        Self { definitions: self.definitions, root: self.definitions.at(index), index }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(definition: &str, name: &str) -> &'static Field {
        let schema = Schema::named(definition).unwrap();
        schema.root.field(name).unwrap_or_else(|| panic!("{definition} has {name}"))
    }

    #[test]
    fn the_table_knows_what_the_engine_needs_of_a_pod() {
        let containers = field("io.k8s.api.core.v1.PodSpec", "containers");
        assert!(containers.required && containers.merge);
        assert_eq!(containers.merge_key.as_deref(), Some("name"));
        assert_eq!(containers.list, ListKind::Map(vec!["name".into()]));
        assert!(field("io.k8s.api.core.v1.PodSpec", "volumes").retain_keys);
        assert_eq!(field("io.k8s.api.core.v1.PodSpec", "nodeSelector").grain, Grain::Leaf);
        assert_eq!(field("io.k8s.api.core.v1.Container", "args").ty, Type::List(Box::new(Type::String)));
        assert_eq!(field("io.k8s.api.core.v1.ServicePort", "port").ty, Type::Int32);
        assert_eq!(field("io.k8s.api.core.v1.ServicePort", "targetPort").ty, Type::IntOrString);
        let limits = field("io.k8s.api.core.v1.ResourceRequirements", "limits");
        assert_eq!(limits.ty, Type::Map(Box::new(Type::Quantity)));
        assert_eq!(limits.grain, Grain::Map(Box::new(Grain::Leaf)));
        let pod = Schema::named("io.k8s.api.core.v1.Pod").unwrap();
        assert_eq!(pod.root.kinds, [("".into(), "v1".into(), "Pod".into())]);
        assert_eq!(pod.root.go_name(), "v1.Pod");
        assert!(field("io.k8s.api.core.v1.Pod", "spec").in_place);
        assert!(field("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "labels").hidden_empty);
        assert!(!field("io.k8s.api.core.v1.Volume", "name").hidden_empty, "shown although it is empty");
        assert!(field("io.k8s.api.core.v1.Probe", "initialDelaySeconds").hidden_empty);
        assert!(
            !field("io.k8s.api.core.v1.Probe", "exec").hidden_empty,
            "behind a pointer, in a struct that is inlined"
        );
    }

    #[test]
    fn grains_follow_list_kinds_and_atomicity() {
        assert_eq!(field("io.k8s.api.apps.v1.DeploymentSpec", "selector").grain, Grain::Leaf);
        assert_eq!(field("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "finalizers").grain, Grain::Set);
        let Grain::Keyed { keys, .. } = &field("io.k8s.api.core.v1.Container", "ports").grain else { panic!("keyed") };
        assert_eq!(keys[0], Key { name: "containerPort".into(), default: None });
        assert_eq!(keys[1], Key { name: "protocol".into(), default: Some("TCP".into()) });
        assert_eq!(field("io.k8s.api.core.v1.PodSpec", "tolerations").grain, Grain::Leaf);
    }

    #[test]
    fn every_type_is_found_by_its_name_and_every_field_by_its_own() {
        for definition in Definitions::builtin().all() {
            assert_eq!(Schema::named(&definition.name).unwrap().root, definition);
            for field in definition.fields() {
                assert_eq!(definition.field(field.name()), Some(field));
            }
            assert_eq!(definition.field("none of it"), None);
        }
    }

    #[test]
    fn types_that_are_not_built_in_go_through_the_same_engine() {
        let part = Definition::structure(
            "example.v1.Part",
            vec![Field::new("name", Type::String), Field::new("size", Type::Int32)],
        );
        let parts = Field {
            list: ListKind::Map(vec!["name".into()]),
            ..Field::new("parts", Type::List(Box::new(Type::Struct(0))))
        };
        let widget = Definition::structure("example.v1.Widget", vec![Field::new("kind", Type::String), parts]);
        let definitions = Definitions::new(vec![part, widget]);
        let schema = definitions.named("example.v1.Widget").unwrap();
        let writer =
            crate::apply::Writer { manager: "m", api_version: "example/v1", subresource: "", now_us: 0, reset: &[] };
        let live = serde_json::json!({"metadata": {}, "kind": "Widget", "parts": [{"name": "a", "size": 1}]});
        let config = serde_json::json!({"kind": "Widget", "parts": [{"name": "b"}, {"name": "a", "size": 2}]});
        let config = crate::apply::typed(schema, &config).unwrap();
        let applied = crate::apply::apply(schema, Some(&live), &config, &writer, true).unwrap();
        assert_eq!(applied["parts"], serde_json::json!([{"name": "b"}, {"name": "a", "size": 2}]));
        assert!(crate::apply::typed(schema, &serde_json::json!({"wheels": 4})).is_err());
    }

    #[test]
    fn every_registered_kind_has_a_schema() {
        for kind in api_kinds::registry::KINDS {
            assert!(Schema::of(kind).is_some(), "{}", kind.schema);
        }
    }
}
