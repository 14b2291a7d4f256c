//! JSON of which there is one reading: a member that is there twice is refused, at every depth.
//!
//! Readers differ in which of two members they believe, and what is verified here is read again
//! behind us (RFC 7519, section 4; RFC 8725, section 2.6).

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Reads an object. None: it is none, or has a member twice, or a number that no double holds.
pub(super) fn object(json: &[u8]) -> Option<Map<String, Value>> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = One.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    if let Value::Object(members) = value {
        Some(members)
    } else {
        None
    }
}

/// One value, with all that it holds. How deep is bounded by the reader (128).
struct One;

impl<'de> DeserializeSeed<'de> for One {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for One {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("no finite number"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = elements.next_element_seed(One)? {
            all.push(element);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(One)?;
            if all.insert(name, value).is_some() {
                return Err(A::Error::custom("a member twice"));
            }
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_member_twice_is_refused_at_every_depth_and_in_every_spelling() {
        for json in [
            r#"{"aud":"a","aud":"b"}"#,
            r#"{"aud":"a","\u0061ud":"a"}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1},{"b":1,"c":2,"b":3}]}"#,
        ] {
            assert_eq!(object(json.as_bytes()), None, "{json}");
        }
        assert!(object(br#"{"a":{"b":1},"b":[{"a":1},{"a":1}]}"#).is_some());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in [
            &b""[..],
            b"null",
            b"[]",
            b"\"a\"",
            b"{}{}",
            b"{} x",
            b"\xef\xbb\xbf{}",
            b"{\"a\":1e400}",
            b"{\"a\":-1e400}",
            b"{\"a\":NaN}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":1,}",
        ] {
            assert_eq!(object(json), None, "{json:?}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(object(deep.as_bytes()), None, "too deep");
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_a_plain_reader_reads(json in "[{}\\[\\]\":,a-c0-9.e\\-]{0,40}") {
            if let Some(read) = object(json.as_bytes()) {
                let plain: Value = serde_json::from_str(&json).unwrap();
                prop_assert_eq!(Value::Object(read), plain);
            }
        }

        #[test]
        fn no_bytes_break_it(json in prop::collection::vec(any::<u8>(), 0..60)) {
            let _read = object(&json);
        }
    }
}
