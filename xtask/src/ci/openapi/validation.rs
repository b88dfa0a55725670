//! Exchanges beside GitHub's description: what differs at once, and the bodies with the schemas that a validator
//! compares them with.

use std::collections::{BTreeMap, BTreeSet};

use fakes::github::Exchange;
use serde_json::{Map, Value, json};

/// Statuses that any operation may answer, although few descriptions mention them.
const ANYWHERE: [u16; 4] = [304, 401, 403, 404];

/// What there is to validate.
pub struct Validation {
    /// The schema of the bodies at each place.
    pub schema: Value,
    /// The bodies by place, such as `GET /repos/{owner}/{repo}/releases answers 200`.
    pub bodies: Value,
    /// Exchanges that are wrong whatever their bodies.
    pub objections: BTreeSet<String>,
    pub operations: BTreeSet<String>,
}

impl Validation {
    pub fn of(description: &Value, exchanges: &[Exchange]) -> Self {
        let mut schemas = Map::new();
        let mut bodies: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        let mut objections = BTreeSet::new();
        let mut operations = BTreeSet::new();
        for exchange in exchanges {
            let operation = format!("{} {}", exchange.method, exchange.template);
            let described = &description["paths"][&exchange.template][exchange.method.to_ascii_lowercase()];
            if described.is_null() {
                objections.insert(format!("{operation} is not described"));
                continue;
            }
            let known = parameters(description, described);
            for name in exchange.query.iter().filter(|name| !known.contains(name.as_str())) {
                objections.insert(format!("{operation} has no parameter {name}"));
            }
            let (status, sent) = (exchange.status.to_string(), body_of(&described["requestBody"]));
            let answer = resolved(description, &described["responses"][&status]);
            if answer.is_null() && !ANYWHERE.contains(&exchange.status) {
                objections.insert(format!("{operation} does not answer {status}"));
            }
            let request = (format!("{operation} takes"), strict(sent), &exchange.request);
            let response = (format!("{operation} answers {status}"), body_of(answer).clone(), &exchange.response);
            for (place, schema, body) in [request, response] {
                // A body that is not described as JSON, such as an uploaded file, is not checked.
                if let (Some(body), false) = (body, schema.is_null()) {
                    schemas.insert(place.clone(), json!({"type": "array", "items": translated(&schema)}));
                    bodies.entry(place).or_default().push(body);
                }
            }
            operations.insert(operation);
        }
        let components = components(description, &schemas);
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": schemas,
            "components": {"schemas": components},
        });
        Self { schema, bodies: json!(bodies), objections, operations }
    }
}

/// The target of `$ref`, or the value itself.
pub fn resolved<'a>(description: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    pointer.map_or(value, |pointer| description.pointer(pointer).unwrap_or(&Value::Null))
}

fn body_of(message: &Value) -> &Value {
    &message["content"]["application/json"]["schema"]
}

/// Names of an operation's query parameters.
fn parameters<'a>(description: &'a Value, operation: &'a Value) -> BTreeSet<&'a str> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    let in_query = all.map(|parameter| resolved(description, parameter)).filter(|parameter| parameter["in"] == "query");
    in_query.filter_map(|parameter| parameter["name"].as_str()).collect()
}

/// A schema that allows no other fields: a field that GitHub ignores is a mistake of ours.
fn strict(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if schema["properties"].is_object() {
        schema["additionalProperties"] = false.into();
    }
    schema
}

/// A schema of OpenAPI 3.0 as JSON Schema: `nullable` becomes a choice with null.
fn translated(schema: &Value) -> Value {
    match schema {
        Value::Array(all) => all.iter().map(translated).collect(),
        Value::Object(fields) => {
            let fields: Map<String, Value> =
                fields.iter().map(|(name, value)| (name.clone(), translated(value))).collect();
            // If `nullable` is the name of a field, its value is a schema and not a boolean.
            let is_nullable = fields.get("nullable") == Some(&Value::Bool(true));
            if is_nullable { json!({"anyOf": [{"type": "null"}, fields]}) } else { Value::Object(fields) }
        }
        other => other.clone(),
    }
}

/// The schemas that are referred to, directly or through others.
fn components(description: &Value, schemas: &Map<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    let mut wanted = Vec::new();
    schemas.values().for_each(|schema| references(schema, &mut wanted));
    while let Some(name) = wanted.pop() {
        if !found.contains_key(&name) {
            let schema = translated(&description["components"]["schemas"][&name]);
            references(&schema, &mut wanted);
            found.insert(name, schema);
        }
    }
    found
}

fn references(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Array(all) => all.iter().for_each(|value| references(value, names)),
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str);
            names.extend(name.and_then(|name| name.strip_prefix("#/components/schemas/")).map(str::to_owned));
            fields.values().for_each(|value| references(value, names));
        }
        _ => {}
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn exchange(method: &str, status: u16, query: &str, bodies: [Value; 2]) -> Exchange {
        let [request, response] = bodies.map(Some);
        let query = query.split_whitespace().map(str::to_owned).collect();
        let (method, template, version) = (method.to_owned(), "/things".to_owned(), Some("2026-03-10".to_owned()));
        Exchange { method, template, version, query, status, request, response }
    }

    /// A collection that can be listed and added to.
    fn description() -> Value {
        json!({
            "paths": {"/things": {
                "get": {"parameters": [{"$ref": "#/components/parameters/page"}], "responses": {"200": {"description": ""}}},
                "post": {
                    "requestBody": {"content": {"application/json": {"schema": {"properties": {"name": {"type": "string"}}}}}},
                    "responses": {"201": {"$ref": "#/components/responses/made"}},
                },
            }},
            "components": {
                "parameters": {"page": {"name": "page", "in": "query"}},
                "responses": {"made": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/thing"}}}}},
                "schemas": {
                    "thing": {"required": ["id"], "properties": {"of": {"$ref": "#/components/schemas/owner"}}},
                    "owner": {"type": "string", "nullable": true},
                    "other": {},
                },
            },
        })
    }

    #[test]
    fn each_body_is_checked_by_the_schema_of_its_place() {
        let validation =
            Validation::of(&description(), &[exchange("POST", 201, "", [json!({"name": "a"}), json!({"id": 1})])]);
        assert!(validation.objections.is_empty(), "{:?}", validation.objections);
        let places = json!({"POST /things takes": [{"name": "a"}], "POST /things answers 201": [{"id": 1}]});
        assert_eq!(validation.bodies, places);
        assert_eq!(validation.schema["properties"]["POST /things takes"]["items"]["additionalProperties"], false);
        let components = &validation.schema["components"]["schemas"];
        assert_eq!(components["thing"]["required"], json!(["id"]));
        assert_eq!(components["owner"]["anyOf"][0]["type"], "null");
        assert!(components["other"].is_null(), "nothing refers to it");
    }

    #[test]
    fn an_exchange_that_is_not_described_is_an_objection() {
        let nothing = || [Value::Null, Value::Null];
        let exchanges = [
            exchange("GET", 200, "page", nothing()),
            exchange("GET", 304, "", nothing()),
            exchange("GET", 500, "size", nothing()),
            exchange("PUT", 200, "", nothing()),
        ];
        let objections: Vec<String> = Validation::of(&description(), &exchanges).objections.into_iter().collect();
        let expected =
            ["GET /things does not answer 500", "GET /things has no parameter size", "PUT /things is not described"];
        assert_eq!(objections, expected);
    }
}
