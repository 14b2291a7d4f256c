//! Single values as they are written, each with the schema that names its kind.

use crate::config::decode::{Spanned, decode_map};
use crate::secret::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Declares a text type: its name, the kind its schema names, and an example.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident $kind:literal $example:literal)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(transparent)]
        pub(in crate::config) struct $name(pub(in crate::config) String);

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "title": $kind, "examples": [$example]})
            }
        }
    )*};
}

texts! {
    /// A number and its unit.
    DurationText "duration" "15s"
    /// A duration, or `off` for none.
    OffOrDuration "duration or `off`" "30s"
    /// How many, at least one, or `off` for none.
    OffOrCount "count or `off`" "5"
    /// IP address and port.
    AddressText "address" "0.0.0.0:8080"
    /// IP address and port, or `off`.
    OffOrAddress "address or `off`" "127.0.0.1:9901"
    /// An IP address or a network.
    NetworkText "network" "10.0.0.0/8"
    /// A name that a certificate bears: a URI, a host or an e-mail address.
    NameText "certificate name" "spiffe://prod.example/ns/shop/*"
    /// A path of the file system, relative to the configuration's folder.
    FileText "file" "tls/chain.pem"
    /// Where an upstream is.
    EndpointText "endpoint" "http://127.0.0.1:3000"
    /// A header's name.
    HeaderName "header name" "x-request-source"
    /// A number of requests and a unit of time.
    RequestRateText "rate of requests" "100/s"
    /// Where a Redis is.
    RedisText "URL of a Redis" "redis://127.0.0.1:6379"
    /// A method.
    MethodText "method" "GET"
    /// A host or a wildcard.
    HostText "host" "*.example.com"
    /// A path of a URL.
    PathText "path" "/api/v1"
    /// An expression of CEL that is true or false.
    ExpressionText "CEL expression" "request.method == \"GET\""
    /// A path of a URL, or `off`.
    OffOrPath "path or `off`" "/auth/nginx"
    /// A regular expression that matches a whole text.
    RegexText "regular expression" "/v[0-9]+/.*"
}

/// A number of bytes, with or without a unit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct SizeText(pub(in crate::config) String);

impl JsonSchema for SizeText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Size")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "integer"], "title": "byte size", "examples": ["64KiB"]})
    }
}

/// A number of bytes, or `off`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct SizeOrOff(pub(in crate::config) String);

impl JsonSchema for SizeOrOff {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("SizeOrOff")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let types = ["string", "integer"];
        json_schema!({"type": types, "title": "byte size or `off`", "examples": ["1GiB"]})
    }
}

/// A share between none and all.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct Rate(pub(in crate::config) f64);

impl JsonSchema for Rate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Rate")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "title": "rate", "minimum": 0, "maximum": 1})
    }
}

/// How many; at least one.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct Count(pub(in crate::config) usize);

impl JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Count")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "title": "count", "minimum": 1, "maximum": 10_000_000})
    }
}

/// A status code.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct Status(pub(in crate::config) u16);

impl JsonSchema for Status {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Status")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "title": "status", "minimum": 200, "maximum": 599})
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct OneOrMany<T>(pub(in crate::config) Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Owned(format!("OneOrMany{}", T::schema_name()))
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
    }
}

/// Where a value is kept that does not stand in the file. Exactly one of the two.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct SecretSource {
    /// A file that holds the value; one line break at its end is dropped.
    pub(in crate::config) file: Option<Spanned<FileText>>,
    /// A variable of the environment that holds the value.
    pub(in crate::config) env: Option<Spanned<String>>,
}

/// A text, `{file: PATH}` or `{env: NAME}`. Never shown.
#[derive(Clone, Debug)]
pub(in crate::config) enum SecretText {
    Inline(Secret),
    Elsewhere(SecretSource),
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => Self::Inline(Secret::new(text)),
            Either::Fields(source) => Self::Elsewhere(source),
        })
    }
}

impl JsonSchema for SecretText {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Secret")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let source = generator.subschema_for::<SecretSource>();
        json_schema!({
            "anyOf": [{"type": "string"}, source],
            "title": "secret",
            "description": "A text, or where it is kept. Never shown.",
            "writeOnly": true,
        })
    }
}

/// A header's value: a text, `{file: PATH}` or `{env: NAME}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct HeaderText(pub(in crate::config) SecretText);

impl JsonSchema for HeaderText {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("HeaderValue")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let source = generator.subschema_for::<SecretSource>();
        json_schema!({
            "anyOf": [{"type": "string"}, source],
            "title": "header value",
            "description": "A text, or where it is kept.",
        })
    }
}

/// A text as written, or a struct.
pub(super) enum Either<T> {
    Text(String),
    Fields(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Either<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Asked for a map, the tree gives a text where there is none, as it was written.
        deserializer.deserialize_map(EitherVisitor(PhantomData))
    }
}

struct EitherVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EitherVisitor<T> {
    type Value = Either<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text or a map")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Either::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        decode_map(map).map(Either::Fields)
    }
}

/// A resource attribute's value, typed as YAML types plain values.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) enum AttributeValue {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
}

impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AttributeVisitor)
    }
}

struct AttributeVisitor;

impl Visitor<'_> for AttributeVisitor {
    type Value = AttributeValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a single value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(AttributeValue::Text(text.to_owned()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(AttributeValue::Int(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(AttributeValue::Double(value))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(AttributeValue::Bool(value))
    }
}

impl JsonSchema for AttributeValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("AttributeValue")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "integer", "number", "boolean"], "title": "single value"})
    }
}
