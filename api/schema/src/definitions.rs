//! The facts of every built-in type, from the committed table.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A type's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Anything: embedded JSON.
    Any,
    /// A string.
    String,
    /// A base64 string.
    Bytes,
    /// RFC 3339.
    Time,
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
    /// A struct, by its place in the table.
    Struct(usize),
}

/// How the items of a list are told apart (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListKind {
    /// As one value.
    #[default]
    Atomic,
    /// By value.
    Set,
    /// By the values of these fields.
    Map(Vec<&'static str>),
}

/// One field of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// JSON name.
    pub name: &'static str,
    /// Shape.
    pub ty: Type,
    /// Whether OpenAPI calls it required.
    pub required: bool,
    /// For lists.
    pub list: ListKind,
    /// Whether a map or struct is owned as one value.
    pub atomic: bool,
    /// Merge key of strategic merge patches.
    pub merge_key: Option<&'static str>,
    /// Strategic merge patches merge the list.
    pub merge: bool,
    /// Strategic merge patches keep only named fields of the value (`retainKeys`).
    pub retain_keys: bool,
}

/// A type of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Full name: `io.k8s.api.core.v1.Pod`.
    pub name: String,
    /// Fields, sorted by name; empty for scalars.
    pub fields: Vec<Field>,
    /// For types that are no structs.
    pub scalar: Option<Type>,
    /// Whether values are owned whole.
    pub atomic: bool,
    /// (group, version, kind), for types that are objects of their own.
    pub kinds: Vec<(&'static str, &'static str, &'static str)>,
}

impl Definition {
    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by(|field| field.name.cmp(name)).ok().map(|index| &self.fields[index])
    }

    /// `Pod` of `io.k8s.api.core.v1.Pod`.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or_default()
    }
}

struct Table {
    definitions: Vec<Definition>,
    by_name: BTreeMap<String, usize>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| parse(include_str!("definitions.txt")))
}

/// The definition of a full name.
pub fn by_name(name: &str) -> Option<&'static Definition> {
    table().by_name.get(name).map(|index| &table().definitions[*index])
}

/// The definition that a [`Type::Struct`] names.
pub fn at(index: usize) -> &'static Definition {
    &table().definitions[index]
}

/// All definitions, by name.
pub fn all() -> impl Iterator<Item = &'static Definition> {
    table().definitions.iter()
}

fn full(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("m/") {
        format!("io.k8s.apimachinery.pkg.{rest}")
    } else if let Some(rest) = name.strip_prefix("a/") {
        format!("io.k8s.api.{rest}")
    } else {
        name.to_owned()
    }
}

fn parse(text: &'static str) -> Table {
    let lines = || text.lines().filter(|line| !line.starts_with('#'));
    let mut by_name = BTreeMap::new();
    for line in lines().filter_map(|line| line.strip_prefix("T ")) {
        let name = line.split(' ').next().unwrap_or_default();
        by_name.insert(full(name), by_name.len());
    }
    let mut definitions: Vec<Definition> = Vec::with_capacity(by_name.len());
    for line in lines() {
        let mut words = line.split(' ');
        match (words.next(), definitions.last_mut()) {
            (Some("T"), _) => definitions.push(definition(words)),
            (Some("g"), Some(last)) => {
                let mut word = || words.next().map_or("", |w| if w == "-" { "" } else { w });
                last.kinds.push((word(), word(), word()));
            }
            (Some("f"), Some(last)) => last.fields.push(field(words, &by_name)),
            _ => {}
        }
    }
    for definition in &mut definitions {
        definition.fields.sort_by_key(|field| field.name);
    }
    resolve_scalars(&mut definitions);
    Table { definitions, by_name }
}

fn definition<'a>(mut words: impl Iterator<Item = &'a str>) -> Definition {
    let name = full(words.next().unwrap_or_default());
    let mut definition = Definition { name, fields: Vec::new(), scalar: None, atomic: false, kinds: Vec::new() };
    for word in words {
        match word {
            "atomic" => definition.atomic = true,
            "quantity" => definition.scalar = Some(Type::Quantity),
            "intorstring" => definition.scalar = Some(Type::IntOrString),
            "time" => definition.scalar = Some(Type::Time),
            _ => definition.scalar = Some(Type::Any),
        }
    }
    definition
}

fn field(mut words: impl Iterator<Item = &'static str>, names: &BTreeMap<String, usize>) -> Field {
    let name = words.next().unwrap_or_default();
    let ty = shape(words.next().unwrap_or_default(), names);
    let mut field = Field {
        name,
        ty,
        required: false,
        list: ListKind::Atomic,
        atomic: false,
        merge_key: None,
        merge: false,
        retain_keys: false,
    };
    for word in words {
        match word {
            "!" => field.required = true,
            "set" => field.list = ListKind::Set,
            "atomic" => field.atomic = true,
            "merge" => field.merge = true,
            "retain" => field.retain_keys = true,
            _ => {
                if let Some(keys) = word.strip_prefix("map=") {
                    field.list = ListKind::Map(keys.split(',').collect());
                } else if let Some(key) = word.strip_prefix("key=") {
                    field.merge_key = Some(key);
                }
            }
        }
    }
    field
}

fn shape(text: &str, names: &BTreeMap<String, usize>) -> Type {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return Type::List(Box::new(shape(inner, names)));
    }
    if let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        return Type::Map(Box::new(shape(inner, names)));
    }
    match text {
        "s" => Type::String,
        "y" => Type::Bytes,
        "t" => Type::Time,
        "b" => Type::Boolean,
        "w" => Type::Int32,
        "i" => Type::Int64,
        "n" => Type::Number,
        _ => text.strip_prefix('@').and_then(|name| names.get(&full(name))).map_or(Type::Any, |i| Type::Struct(*i)),
    }
}

/// References to scalars become the scalars themselves.
fn resolve_scalars(definitions: &mut [Definition]) {
    let scalars: Vec<Option<Type>> = definitions.iter().map(|d| d.scalar.clone()).collect();
    fn resolve(ty: &mut Type, scalars: &[Option<Type>]) {
        match ty {
            Type::Struct(index) => {
                if let Some(scalar) = &scalars[*index] {
                    *ty = scalar.clone();
                }
            }
            Type::List(inner) | Type::Map(inner) => resolve(inner, scalars),
            _ => {}
        }
    }
    for field in definitions.iter_mut().flat_map(|d| &mut d.fields) {
        resolve(&mut field.ty, &scalars);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_knows_what_the_engine_needs_of_a_pod() {
        let spec = by_name("io.k8s.api.core.v1.PodSpec").unwrap();
        let containers = spec.field("containers").unwrap();
        assert!(containers.required && containers.merge);
        assert_eq!(containers.merge_key, Some("name"));
        assert_eq!(containers.list, ListKind::Map(vec!["name"]));
        assert!(spec.field("volumes").unwrap().retain_keys);
        assert!(spec.field("nodeSelector").unwrap().atomic);
        let container = by_name("io.k8s.api.core.v1.Container").unwrap();
        assert_eq!(container.field("args").unwrap().ty, Type::List(Box::new(Type::String)));
        let port = by_name("io.k8s.api.core.v1.ServicePort").unwrap();
        assert_eq!(
            (&port.field("port").unwrap().ty, &port.field("targetPort").unwrap().ty),
            (&Type::Int32, &Type::IntOrString)
        );
        assert_eq!(by_name("io.k8s.api.core.v1.Pod").unwrap().kinds, [("", "v1", "Pod")]);
        let requirements = by_name("io.k8s.api.core.v1.ResourceRequirements").unwrap();
        assert_eq!(requirements.field("limits").unwrap().ty, Type::Map(Box::new(Type::Quantity)));
    }
}
