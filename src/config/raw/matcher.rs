//! What a value has to be, and JSON, as they are written in a probe.

use super::scalar::Either;
use crate::config::decode::{Spanned, decode_map};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Any value of JSON, each part with its place.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Number(f64),
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(String, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Map(members))
    }
}

impl JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Json")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"title": "any value", "x-any": true})
    }
}

/// Conditions on a value; all of them have to hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct MatchFields {
    /// The same.
    pub(in crate::config) equals: Option<Spanned<Json>>,
    /// This expression is found somewhere in it; `^` and `$` are its ends.
    pub(in crate::config) matches: Option<Spanned<String>>,
    /// This is somewhere in the text, is an item of the list, or a key of the map.
    pub(in crate::config) contains: Option<Spanned<String>>,
    /// It is there, or it is not.
    pub(in crate::config) exists: Option<Spanned<bool>>,
    /// `true`: it is not there.
    pub(in crate::config) absent: Option<Spanned<bool>>,
    /// A number that is more.
    pub(in crate::config) greater_than: Option<Spanned<f64>>,
    /// A number that is less.
    pub(in crate::config) less_than: Option<Spanned<f64>>,
    /// A number that is as much or more.
    pub(in crate::config) at_least: Option<Spanned<f64>>,
    /// A number that is as much or less.
    pub(in crate::config) at_most: Option<Spanned<f64>>,
}

/// A value, or conditions on it.
#[derive(Debug)]
pub(in crate::config) enum MatchText {
    Exactly(Json),
    Fields(Box<MatchFields>),
}

impl<'de> Deserialize<'de> for MatchText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MatchVisitor)
    }
}

struct MatchVisitor;

impl<'de> Visitor<'de> for MatchVisitor {
    type Value = MatchText;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value or conditions")
    }

    fn visit_bool<E>(self, value: bool) -> Result<MatchText, E> {
        Ok(MatchText::Exactly(Json::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<MatchText, E> {
        Ok(MatchText::Exactly(Json::Int(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<MatchText, E> {
        Ok(MatchText::Exactly(Json::Number(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<MatchText, E> {
        Ok(MatchText::Exactly(Json::Text(value.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MatchText, A::Error> {
        Ok(MatchText::Fields(Box::new(decode_map(map)?)))
    }
}

impl JsonSchema for MatchText {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Match")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fields = generator.subschema_for::<MatchFields>();
        json_schema!({
            "anyOf": [{"type": ["string", "integer", "number", "boolean"]}, fields],
            "title": "value or conditions",
            "description": "A value, or conditions on it.",
        })
    }
}

/// Bounds of a count.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct CountFields {
    /// Not fewer.
    #[schemars(range(min = 0, max = 10_000))]
    pub(in crate::config) at_least: Option<Spanned<usize>>,
    /// Not more.
    #[schemars(range(min = 0, max = 10_000))]
    pub(in crate::config) at_most: Option<Spanned<usize>>,
}

/// How many: a number, or bounds.
#[derive(Debug)]
pub(in crate::config) enum CountText {
    Exactly(String),
    Fields(CountFields),
}

impl<'de> Deserialize<'de> for CountText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => Self::Exactly(text),
            Either::Fields(fields) => Self::Fields(fields),
        })
    }
}

impl JsonSchema for CountText {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("SpanCount")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fields = generator.subschema_for::<CountFields>();
        json_schema!({
            "anyOf": [{"type": "integer", "minimum": 0, "maximum": 10_000}, fields],
            "title": "count or bounds",
            "description": "A number, or bounds.",
        })
    }
}
