//! JSON Schema (draft 2020-12) of a table of keys, for editors.
//!
//! Made from the tables that the walk uses. Where the walk is more lenient than a schema can express, so is
//! the schema; editors help, `check` decides.

use serde_json::{Map, Value as Json, json};

use crate::language::read::keys::{Kind, Shape, Table, Variants, YamlKey, keys};

/// Describes a mapping with these keys, or an empty value.
#[must_use]
pub fn schema_of(table: Table) -> Json {
    let properties: Map<String, Json> = keys(table)
        .map(|key| (key.name.to_owned(), described(key)))
        .collect();
    json!({ "type": ["object", "null"], "properties": properties, "additionalProperties": false })
}

fn described(key: &YamlKey) -> Json {
    let mut schema = of(key.shape);
    let Some(members) = schema.as_object_mut() else {
        return schema;
    };
    members.insert("description".into(), key.doc.into());
    if !key.default.is_empty() {
        members.insert("default".into(), key.default.into());
    }
    schema
}

fn of(shape: Shape) -> Json {
    match shape {
        Shape::One(kind) => word(kind),
        Shape::Many(kind) => {
            json!({ "anyOf": [word(kind), { "type": "array", "items": word(kind) }] })
        }
        Shape::ManyOr(kind, table) => {
            let item = json!({ "anyOf": [word(kind), schema_of(table)] });
            json!({ "anyOf": [item, { "type": "array", "items": item }] })
        }
        // One string may hold several words, so its own form cannot be told.
        Shape::Commas(kind) => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": word(kind) }] })
        }
        Shape::Table(table) => schema_of(table),
        Shape::OneOf(table) => {
            let mut schema = schema_of(table);
            schema["type"] = "object".into();
            schema["minProperties"] = 1.into();
            schema["maxProperties"] = 1.into();
            schema
        }
        Shape::Either(kind, table) => json!({ "anyOf": [word(kind), schema_of(table)] }),
        Shape::List(item) => json!({ "type": "array", "items": of(*item) }),
        Shape::Named(what, value) => {
            json!({ "type": ["object", "null"], "title": what, "additionalProperties": of(*value) })
        }
        Shape::Variants(variants) => of_variants(variants),
    }
}

/// One branch per variant, told apart by the key that chooses; the first also without that key.
fn of_variants(variants: &Variants) -> Json {
    let mut branches = Vec::new();
    for (position, (name, table)) in variants.tables.iter().enumerate() {
        let mut branch = schema_of(table);
        branch["properties"][variants.key]["enum"] = json!([name]);
        if position > 0 {
            branch["required"] = json!([variants.key]);
        }
        branches.push(branch);
    }
    json!({ "anyOf": branches })
}

fn word(kind: Kind) -> Json {
    (kind.schema)()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::read::keys::{Word, key, many, one};

    const COLOURS: &[YamlKey] = &[key("paint", many::<bool>(), "yes", "whether to paint")];
    const NAMED: &[YamlKey] = &[
        key(
            "rooms",
            Shape::Named("room", &Shape::Table(&[COLOURS])),
            "",
            "by name",
        ),
        key("count", one::<u64>(), "", "how many"),
    ];

    #[test]
    fn a_table_becomes_an_object_that_allows_nothing_else() {
        let flag = bool::schema();
        let paint = json!({
            "anyOf": [flag, { "type": "array", "items": flag }],
            "description": "whether to paint",
            "default": "yes",
        });
        let mut count = u64::schema();
        count["description"] = "how many".into();
        assert_eq!(
            schema_of(&[NAMED]),
            json!({
                "type": ["object", "null"],
                "properties": {
                    "rooms": {
                        "type": ["object", "null"],
                        "title": "room",
                        "description": "by name",
                        "additionalProperties": {
                            "type": ["object", "null"],
                            "properties": { "paint": paint },
                            "additionalProperties": false,
                        },
                    },
                    "count": count,
                },
                "additionalProperties": false,
            })
        );
    }
}
