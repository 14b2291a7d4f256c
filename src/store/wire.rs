//! Protobuf's wire format, read in place: as much as the store has to understand of a span without
//! decoding it. What breaks off or has an unknown wire type ends the message and is told.

/// A field's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    /// Its number.
    pub(super) number: u64,
    /// What it holds.
    pub(super) content: Content<'a>,
    /// All of its bytes, tag and length too.
    pub(super) raw: &'a [u8],
}

/// The fields of a message, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    /// Whether it broke off before its end.
    pub(super) is_broken: bool,
}

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Self {
            rest: message,
            is_broken: false,
        }
    }

    /// What has not been read yet.
    #[inline]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The first byte of the next field: its tag, if that has one byte.
    #[inline]
    pub(super) fn first(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Goes on behind so many bytes, which are whole fields.
    #[inline]
    pub(super) fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// What the fields of that number hold, which is below 16, if it is bytes.
    #[inline]
    pub(super) fn messages(mut self, number: u8) -> impl Iterator<Item = &'a [u8]> {
        std::iter::from_fn(move || {
            loop {
                if self.first()? == (number << 3 | 2)
                    && let Some(bytes) = self.next_bytes()
                {
                    return Some(bytes);
                }
                let field = self.next()?;
                if let Content::Bytes(bytes) = field.content
                    && field.number == u64::from(number)
                {
                    return Some(bytes);
                }
            }
        })
    }

    // The next field, where its first byte has been looked at, if it is written as nearly all are.

    /// Bytes whose length has one byte, or two.
    #[inline]
    pub(super) fn next_bytes(&mut self) -> Option<&'a [u8]> {
        let (length, tail) = match self.rest {
            [_, length @ 0..0x80, tail @ ..] => (usize::from(*length), tail),
            [_, low, high @ 0..0x80, tail @ ..] => {
                (usize::from(*low & 0x7f) | usize::from(*high) << 7, tail)
            }
            _ => return None,
        };
        let (content, tail) = tail.split_at_checked(length)?;
        self.rest = tail;
        Some(content)
    }

    /// So many bytes.
    #[inline]
    pub(super) fn next_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let ([_, length], tail) = self.rest.split_first_chunk::<2>()?;
        if usize::from(*length) != N {
            return None;
        }
        let (content, tail) = tail.split_first_chunk()?;
        self.rest = tail;
        Some(*content)
    }

    /// Wire type 1.
    #[inline]
    pub(super) fn next_fixed64(&mut self) -> Option<u64> {
        let (_, tail) = self.rest.split_first()?;
        let (eight, tail) = tail.split_first_chunk()?;
        self.rest = tail;
        Some(u64::from_le_bytes(*eight))
    }

    /// A number of one byte.
    #[inline]
    pub(super) fn next_small(&mut self) -> Option<u8> {
        let ([_, number @ 0..0x80], tail) = self.rest.split_first_chunk::<2>()? else {
            return None;
        };
        self.rest = tail;
        Some(*number)
    }

    /// All bytes of a field that begins with these two and has so many.
    #[inline]
    pub(super) fn next_raw<const N: usize>(&mut self, begins: [u8; 2]) -> Option<&'a [u8; N]> {
        let (raw, tail) = self.rest.split_first_chunk()?;
        if !raw.starts_with(&begins) {
            return None;
        }
        self.rest = tail;
        Some(raw)
    }

    #[inline]
    fn read(&mut self) -> Option<Field<'a>> {
        let all = self.rest;
        let mut rest = all;
        let tag = varint(&mut rest)?;
        let content = match tag & 7 {
            0 => Content::Varint(varint(&mut rest)?),
            1 => {
                let (eight, tail) = rest.split_first_chunk::<8>()?;
                rest = tail;
                Content::Fixed64(u64::from_le_bytes(*eight))
            }
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (bytes, tail) = rest.split_at_checked(length)?;
                rest = tail;
                Content::Bytes(bytes)
            }
            5 => {
                let (four, tail) = rest.split_first_chunk::<4>()?;
                rest = tail;
                Content::Fixed32(u32::from_le_bytes(*four))
            }
            _ => return None,
        };
        let raw = all.get(..all.len() - rest.len())?;
        self.rest = rest;
        Some(Field {
            number: tag >> 3,
            content,
            raw,
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            self.rest = &[];
            self.is_broken = true;
        }
        read
    }
}

#[inline]
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let (first, tail) = rest.split_first()?;
    if *first < 0x80 {
        *rest = tail;
        return Some(u64::from(*first));
    }
    let mut value: u64 = 0;
    for (index, byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            *rest = rest.get(index + 1..)?;
            return Some(value);
        }
    }
    None
}

/// An attribute's value, in place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Raw<'a> {
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Float(f64),
    /// An encoded `ArrayValue`.
    List(&'a [u8]),
    /// Bytes, a map, or nothing: no query can ask for it.
    Other,
}

impl<'a> Raw<'a> {
    /// Of an encoded `AnyValue`.
    pub(super) fn of_any(any: &'a [u8]) -> Self {
        let mut value = Self::Other;
        for field in Fields::of(any) {
            value = match (field.number, field.content) {
                (1, Content::Bytes(text)) => {
                    std::str::from_utf8(text).map_or(Self::Other, Self::Text)
                }
                (2, Content::Varint(truth)) => Self::Bool(truth != 0),
                (3, Content::Varint(number)) => Self::Int(number.cast_signed()),
                (4, Content::Fixed64(bits)) => Self::Float(f64::from_bits(bits)),
                (5, Content::Bytes(list)) => Self::List(list),
                _ => Self::Other,
            };
        }
        value
    }

    /// Of an encoded `KeyValue`.
    pub(super) fn of_pair(pair: &'a [u8]) -> Self {
        pair_parts(pair).1
    }

    /// The elements of an encoded `ArrayValue`.
    pub(super) fn elements(list: &'a [u8]) -> impl Iterator<Item = Self> {
        Fields::of(list).filter_map(|field| match (field.number, field.content) {
            (1, Content::Bytes(any)) => Some(Self::of_any(any)),
            _ => None,
        })
    }
}

/// Key and value of an encoded `KeyValue`.
pub(super) fn pair_parts(pair: &[u8]) -> (&[u8], Raw<'_>) {
    let (mut key, mut value): (&[u8], _) = (&[], Raw::Other);
    for field in Fields::of(pair) {
        match (field.number, field.content) {
            (1, Content::Bytes(bytes)) => key = bytes,
            (2, Content::Bytes(any)) => value = Raw::of_any(any),
            _ => {}
        }
    }
    (key, value)
}

/// The key of an encoded `KeyValue`.
pub(super) fn pair_key(pair: &[u8]) -> &[u8] {
    let key = Fields::of(pair).find_map(|field| match (field.number, field.content) {
        (1, Content::Bytes(bytes)) => Some(bytes),
        _ => None,
    });
    key.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{
        AnyValue, ArrayValue, KeyValue, any_value::Value,
    };
    use proptest::prelude::*;
    use prost::Message as _;

    fn pair(key: &str, value: Option<Value>) -> Vec<u8> {
        KeyValue {
            key: key.to_owned(),
            value: value.map(|value| AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn a_message_that_breaks_off_is_told_and_what_came_before_is_kept() {
        let whole = pair("key", Some(Value::IntValue(300)));
        for cut in 1..whole.len() {
            let mut fields = Fields::of(&whole[..cut]);
            let read = fields.by_ref().count();
            assert_eq!(fields.is_broken, read == 0 || cut != 5, "{cut}");
        }
        assert!(Fields::of(&[0x0b]).next().is_none(), "groups are unknown");
        assert!(
            Fields::of(&[0xff; 11]).next().is_none(),
            "a varint has ten bytes"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let raw: usize = Fields::of(&bytes).map(|field| field.raw.len()).sum();
            prop_assert!(raw <= bytes.len());
            let _ = Fields::of(&bytes).messages(2).count();
            let _ = pair_parts(&bytes);
        }

        #[test]
        fn messages_are_the_fields_of_their_number(
            lengths in prop::collection::vec((1_u8..4, 0_usize..20_000), 0..5), cut in 0_usize..40_000
        ) {
            let mut bytes = Vec::new();
            for (number, length) in lengths {
                bytes.push(number << 3 | 2);
                prost::encoding::encode_varint(length as u64, &mut bytes);
                bytes.resize(bytes.len() + length, number);
            }
            bytes.truncate(cut);

            let read: Vec<_> = Fields::of(&bytes).messages(2).collect();

            let expected = Fields::of(&bytes).filter(|field| field.number == 2);
            let expected: Vec<_> = expected.map(|field| field.content).collect();
            let read: Vec<_> = read.into_iter().map(Content::Bytes).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn a_pair_is_read_as_the_generated_types_wrote_it(
            key in ".{0,200}", text in ".{0,200}", int: i64, float in -1e9..1e9, truth: bool
        ) {
            let read = |value| pair(&key, Some(value));

            let bytes = read(Value::StringValue(text.clone()));
            prop_assert_eq!(pair_parts(&bytes), (key.as_bytes(), Raw::Text(&text)));
            prop_assert_eq!(pair_key(&bytes), key.as_bytes());
            for (value, raw) in [
                (Value::IntValue(int), Raw::Int(int)),
                (Value::BoolValue(truth), Raw::Bool(truth)),
                (Value::DoubleValue(float), Raw::Float(float)),
            ] {
                let bytes = read(value);
                prop_assert_eq!(Raw::of_pair(&bytes), raw);
            }
            let one = |text: &str| AnyValue { value: Some(Value::StringValue(text.to_owned())) };
            let list = ArrayValue { values: vec![one(&text), one("")] };
            let bytes = read(Value::ArrayValue(list));
            let Raw::List(list) = Raw::of_pair(&bytes) else { panic!("no list") };
            let elements: Vec<_> = Raw::elements(list).collect();
            prop_assert_eq!(elements, [Raw::Text(&text), Raw::Text("")]);
        }
    }
}
