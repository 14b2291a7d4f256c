//! Protobuf's wire format, as far as OTLP spans need it, appended to a buffer.
//!
//! Lengths are computed before the bytes are written, so a nested message costs neither a buffer
//! of its own nor a move. Defaults (an empty string, a zero) are left out, as proto3 asks, except
//! inside `AnyValue`, where the field says which type it is.

/// Wire type 0.
const VARINT: u32 = 0;
/// Wire type 1.
const FIXED64: u32 = 1;
/// Wire type 2.
const LENGTH: u32 = 2;
/// Wire type 5.
const FIXED32: u32 = 5;

/// Appends a base-128 number.
#[inline]
pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes [`varint`] appends.
#[inline]
pub(super) const fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// How many bytes a length-delimited field with a tag of one byte takes.
#[inline]
pub(super) const fn field_len(content: usize) -> usize {
    1 + varint_len(content as u64) + content
}

#[inline]
fn tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    varint(out, u64::from((field << 3) | wire_type));
}

/// Opens a length-delimited field; exactly `content` bytes have to follow.
#[inline]
pub(super) fn open(out: &mut Vec<u8>, field: u32, content: usize) {
    tag(out, field, LENGTH);
    varint(out, content as u64);
}

/// A `bytes` or `string` field, left out when empty.
#[inline]
pub(super) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    if !value.is_empty() {
        open(out, field, value.len());
        out.extend_from_slice(value);
    }
}

/// A `string` field in pieces, left out when empty.
#[inline]
pub(super) fn text(out: &mut Vec<u8>, field: u32, parts: &[&str]) {
    let content = parts_len(parts);
    if content != 0 {
        open(out, field, content);
        for part in parts {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// An unsigned or enumeration field, left out when zero.
#[inline]
pub(super) fn uint(out: &mut Vec<u8>, field: u32, value: u32) {
    if value != 0 {
        tag(out, field, VARINT);
        varint(out, u64::from(value));
    }
}

/// A `fixed64` field, left out when zero.
#[inline]
pub(super) fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        tag(out, field, FIXED64);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// A `fixed32` field, left out when zero.
#[inline]
pub(super) fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    if value != 0 {
        tag(out, field, FIXED32);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// A value of OTLP's `AnyValue`, borrowed. Text comes in pieces so that nobody has to join them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Any<'a> {
    Text(&'a [&'a str]),
    Int(i64),
    Double(f64),
    Bool(bool),
    TextArray(&'a [&'a str]),
}

impl Any<'_> {
    /// Length of the encoded `AnyValue` message.
    fn len(&self) -> usize {
        match self {
            Self::Text(parts) => field_len(parts_len(parts)),
            Self::Int(value) => 1 + varint_len(value.cast_unsigned()),
            Self::Double(_) => 9,
            Self::Bool(_) => 2,
            Self::TextArray(values) => field_len(array_len(values)),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(parts) => {
                open(out, 1, parts_len(parts));
                for part in *parts {
                    out.extend_from_slice(part.as_bytes());
                }
            }
            Self::Bool(value) => {
                tag(out, 2, VARINT);
                out.push(u8::from(*value));
            }
            Self::Int(value) => {
                tag(out, 3, VARINT);
                varint(out, value.cast_unsigned());
            }
            Self::Double(value) => {
                tag(out, 4, FIXED64);
                out.extend_from_slice(&value.to_le_bytes());
            }
            Self::TextArray(values) => {
                open(out, 5, array_len(values));
                for value in *values {
                    open(out, 1, field_len(value.len()));
                    open(out, 1, value.len());
                    out.extend_from_slice(value.as_bytes());
                }
            }
        }
    }
}

/// Length of all pieces of a text.
#[inline]
fn parts_len(parts: &[&str]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// Length of an encoded `ArrayValue` of texts.
fn array_len(values: &[&str]) -> usize {
    let element = |value: &&str| field_len(field_len(value.len()));
    values.iter().map(element).sum()
}

/// A `KeyValue` of text as the given field, which must be below 16. Most attributes are short
/// enough that every length is one byte, and most keys are constants: this is the hot path.
#[inline]
pub(super) fn key_text(out: &mut Vec<u8>, field: u32, key: &str, value: &str) {
    let any = value.len() + 2;
    let content = key.len() + any + 4;
    if content >= 0x80 {
        return key_value(out, field, key, &Any::Text(&[value]));
    }
    out.reserve(content + 2);
    out.extend_from_slice(&[
        ((field << 3) | LENGTH) as u8,
        content as u8,
        0x0a,
        key.len() as u8,
    ]);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(&[0x12, any as u8, 0x0a, value.len() as u8]);
    out.extend_from_slice(value.as_bytes());
}

/// A `KeyValue` as the given field of the surrounding message.
#[inline]
pub(super) fn key_value(out: &mut Vec<u8>, field: u32, key: &str, value: &Any<'_>) {
    let value_len = value.len();
    let content = field_len(key.len()) + field_len(value_len);
    out.reserve(content + 6);
    open(out, field, content);
    open(out, 1, key.len());
    out.extend_from_slice(key.as_bytes());
    open(out, 2, value_len);
    value.write(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
    use proptest::prelude::*;
    use prost::Message as _;

    fn decoded(key: &str, value: &Any<'_>) -> KeyValue {
        let mut out = Vec::new();
        key_value(&mut out, 9, key, value);
        let mut rest = out.get(1..).unwrap_or_default();
        assert_eq!(out.first(), Some(&0x4a), "field 9, length-delimited");
        KeyValue::decode_length_delimited(&mut rest).unwrap()
    }

    proptest! {
        #[test]
        fn a_number_is_as_long_as_it_says_and_reads_back(value: u64) {
            let mut out = Vec::new();
            varint(&mut out, value);

            prop_assert_eq!(out.len(), varint_len(value));
            prop_assert_eq!(prost::encoding::decode_varint(&mut out.as_slice()).unwrap(), value);
        }

        #[test]
        fn an_attribute_reads_back_as_it_was(key in ".{0,90}", text in ".{0,90}", int: i64,
                                             double: f64, flag: bool) {
            let read = |value: Any<'_>| decoded(&key, &value).value.and_then(|any| any.value);

            prop_assert_eq!(&decoded(&key, &Any::Bool(true)).key, &key);
            prop_assert_eq!(read(Any::Text(&[&text, &key])), Some(Value::StringValue(format!("{text}{key}"))));
            let (mut short, mut long) = (Vec::new(), Vec::new());
            key_text(&mut short, 9, &key, &text);
            key_value(&mut long, 9, &key, &Any::Text(&[&text]));
            prop_assert_eq!(short, long);
            prop_assert_eq!(read(Any::Int(int)), Some(Value::IntValue(int)));
            prop_assert_eq!(read(Any::Double(double)), Some(Value::DoubleValue(double)));
            prop_assert_eq!(read(Any::Bool(flag)), Some(Value::BoolValue(flag)));
        }
    }

    #[test]
    fn an_array_keeps_its_order_and_its_empty_texts() {
        let value = decoded("k", &Any::TextArray(&["b", "", "a"])).value;

        let Some(Value::ArrayValue(array)) = value.and_then(|any| any.value) else {
            panic!("not an array");
        };
        let text = |value: &str| AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        };
        assert_eq!(array.values, [text("b"), text(""), text("a")]);
    }
}
