//! Names and values of header fields, and methods (RFC 9110, sections 5 and 9).

use super::Misread;
use http::{HeaderName, HeaderValue, Method};

/// What a header name is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Purpose {
    /// It is looked at.
    Read,
    /// It is set, added or removed.
    Edit,
}

/// Headers that frame a message, belong to the connection, or carry the trace.
const NOT_EDITED: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "traceparent",
    "tracestate",
];

/// Reads a header's name; upper case is taken and lowered.
pub(in crate::config) fn header_name(text: &str, purpose: Purpose) -> Result<HeaderName, Misread> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Misread::new("this is not a header name").label("letters, digits and `-`"))?;
    if purpose == Purpose::Edit && NOT_EDITED.contains(&name.as_str()) {
        let misread = Misread::new(format!("`{name}` is not for routes to edit"));
        return Err(match name.as_str() {
            "host" => misread.help("use `rewrite: {host: ...}`"),
            "traceparent" | "tracestate" => misread.label("edgespan keeps traces whole"),
            _ => misread.label("it belongs to the connection"),
        });
    }
    Ok(name)
}

/// Reads a header's value.
pub(in crate::config) fn header_value(text: &str) -> Result<HeaderValue, Misread> {
    HeaderValue::from_str(text).map_err(|_| {
        Misread::new("this cannot be a header's value")
            .label("no line breaks, no control characters")
    })
}

/// Reads a method; methods are case-sensitive.
pub(in crate::config) fn method(text: &str) -> Result<Method, Misread> {
    let upper = text.to_ascii_uppercase();
    let method = Method::from_bytes(text.as_bytes())
        .map_err(|_| Misread::new("this is not a method").label("such as GET or POST"))?;
    if method == Method::CONNECT {
        return Err(Misread::new("CONNECT is not forwarded"));
    }
    if upper != text {
        return Err(Misread::new("methods are written in capitals").write(upper));
    }
    Ok(method)
}

/// Whether a text is a span attribute's key: letters, digits, `_`, `-`, `.`.
pub(in crate::config) fn token(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !text.is_empty() && text.len() <= 128 && text.bytes().all(letters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_of_the_connection_may_be_read_and_not_edited() {
        assert!(header_name("Upgrade", Purpose::Read).is_ok());
        assert!(header_name("Upgrade", Purpose::Edit).is_err());
        assert!(header_name("traceparent", Purpose::Edit).is_err());
        assert!(header_name("x-a", Purpose::Edit).is_ok());
    }

    #[test]
    fn methods_are_case_sensitive() {
        assert!(method("GET").is_ok());
        assert!(method("PROPFIND").is_ok());
        assert!(method("get").is_err());
        assert!(method("CONNECT").is_err());
        assert!(method("G T").is_err());
        assert!(method("").is_err());
    }

    #[test]
    fn a_value_with_a_line_break_is_refused() {
        assert!(header_value("a\r\nb: c").is_err());
        assert!(header_value("grün").is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _unused = header_name(&text, Purpose::Edit).is_ok();
            let _unused = header_value(&text).is_ok() && method(&text).is_ok() && token(&text);
        }
    }
}
