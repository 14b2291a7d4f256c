//! Why a request was refused before anything was decided about it.
//!
//! Said by `normalize`; `proxy::error` turns it into an answer.

use http::StatusCode;

/// A request that has no reading, or more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// HTTP/1.1 without `Host`, or HTTP/2 without `:authority` and `Host` (RFC 9112 section 3.2).
    #[error("the request names no host")]
    HostMissing,
    /// More than one `Host` line.
    #[error("the request has several Host headers")]
    HostRepeated,
    /// A host that is neither a name nor an IP address, or a port that is no port.
    #[error("the host is not a valid name or address")]
    HostInvalid,
    /// `Host` says something else than the target or `:authority`.
    #[error("Host and the target name different hosts")]
    HostMismatch,
    /// `user:password@` in the target (RFC 9110 section 4.2.4).
    #[error("the target carries user information")]
    UserInfo,
    /// An absolute target of another scheme than `http` and `https`.
    #[error("the target's scheme is neither http nor https")]
    Scheme,
    /// A target in a form that its method does not have, such as `GET *`.
    #[error("the target's form does not fit the method")]
    TargetForm,
    /// A backslash in the path, or raw bytes beyond visible ASCII in path or query.
    #[error("the target holds a character that has to be escaped")]
    TargetCharacter,
    /// `%` without two hexadecimal digits, in the path.
    #[error("the path holds a broken percent escape")]
    PercentEscape,
    /// `%00` in the path.
    #[error("the path holds an escaped NUL")]
    EscapedNul,
    /// `%2F` or `%5C` in the path, which some servers read as a separator.
    #[error("the path holds an escaped slash")]
    EncodedSlash,
    /// `//` in the path, which some servers read as one slash.
    #[error("the path holds an empty segment")]
    EmptySegment,
    /// `.` or `..` as a segment, plain, escaped, or before a `;`.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// `Transfer-Encoding` is not exactly `chunked`, or came with HTTP/1.0.
    #[error("the transfer encoding is not exactly chunked")]
    TransferEncoding,
    /// `Content-Length` beside `Transfer-Encoding`.
    #[error("the request has both a length and a transfer encoding")]
    LengthAndEncoding,
    /// Lengths that differ, or one that is not a number.
    #[error("the content length is not one number")]
    ContentLength,
    /// A header field that HTTP/2 does not have (RFC 9113 section 8.2.2).
    #[error("an HTTP/2 request has connection-specific headers")]
    ConnectionHeader,
    /// Header fields together larger than the limit.
    #[error("the header fields are too large")]
    HeadersTooLarge,
    /// More header fields than the limit.
    #[error("there are too many header fields")]
    TooManyHeaders,
    /// `CONNECT`: this is no tunnel.
    #[error("CONNECT is not offered")]
    Connect,
    /// An extended `CONNECT` for another protocol than WebSocket (RFC 8441 section 4).
    #[error("the protocol asked for is not offered")]
    Protocol,
}

impl Refusal {
    /// What the client is told.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::HeadersTooLarge | Self::TooManyHeaders => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::Protocol => StatusCode::NOT_IMPLEMENTED,
            Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid
            | Self::HostMismatch
            | Self::UserInfo
            | Self::Scheme
            | Self::TargetForm
            | Self::TargetCharacter
            | Self::PercentEscape
            | Self::EscapedNul
            | Self::EncodedSlash
            | Self::EmptySegment
            | Self::DotSegment
            | Self::TransferEncoding
            | Self::LengthAndEncoding
            | Self::ContentLength
            | Self::ConnectionHeader => StatusCode::BAD_REQUEST,
        }
    }

    /// A short name that never changes, for logs, metrics and `error.type`.
    pub const fn id(self) -> &'static str {
        match self {
            Self::HostMissing => "host_missing",
            Self::HostRepeated => "host_repeated",
            Self::HostInvalid => "host_invalid",
            Self::HostMismatch => "host_mismatch",
            Self::UserInfo => "user_info",
            Self::Scheme => "scheme",
            Self::TargetForm => "target_form",
            Self::TargetCharacter => "target_character",
            Self::PercentEscape => "percent_escape",
            Self::EscapedNul => "escaped_nul",
            Self::EncodedSlash => "encoded_slash",
            Self::EmptySegment => "empty_segment",
            Self::DotSegment => "dot_segment",
            Self::TransferEncoding => "transfer_encoding",
            Self::LengthAndEncoding => "length_and_encoding",
            Self::ContentLength => "content_length",
            Self::ConnectionHeader => "connection_header",
            Self::HeadersTooLarge => "headers_too_large",
            Self::TooManyHeaders => "too_many_headers",
            Self::Connect => "connect",
            Self::Protocol => "protocol",
        }
    }
}
