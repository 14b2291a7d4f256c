//! The ways on which requests are sent.

use crate::client::Speak;
use http::Method;

/// A column of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// HTTP/1.1, GET and POST.
    Http1,
    /// HTTP/2, GET and POST.
    Http2,
    /// The upgrade to a WebSocket, over HTTP/1.1.
    WebSocket,
    /// A redirect that is followed.
    Redirect,
}

impl Column {
    /// All of them, in the report's order.
    pub const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::WebSocket, Self::Redirect];

    /// As the report heads it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::WebSocket => "WebSocket",
            Self::Redirect => "redirect",
        }
    }

    /// As the metrics' label `http` has it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Http1 => "1.1",
            Self::Http2 => "2",
            Self::WebSocket => "websocket",
            Self::Redirect => "redirect",
        }
    }

    /// Whether `word` of `--only` means it.
    pub fn is_named(self, word: &str) -> bool {
        self.name().eq_ignore_ascii_case(word)
    }
}

/// How one request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// GET over HTTP/1.1.
    Get1,
    /// POST over HTTP/1.1.
    Post1,
    /// GET over HTTP/2.
    Get2,
    /// POST over HTTP/2.
    Post2,
    /// An upgrade to a WebSocket.
    WebSocket,
    /// GET, over HTTP/2 where it is spoken, redirected once.
    Redirect,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Get1,
        Self::Post1,
        Self::Get2,
        Self::Post2,
        Self::WebSocket,
        Self::Redirect,
    ];

    /// The column that it stands in.
    pub const fn column(self) -> Column {
        match self {
            Self::Get1 | Self::Post1 => Column::Http1,
            Self::Get2 | Self::Post2 => Column::Http2,
            Self::WebSocket => Column::WebSocket,
            Self::Redirect => Column::Redirect,
        }
    }

    /// Its name where one column has two.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get1 => "GET over HTTP/1.1",
            Self::Post1 => "POST over HTTP/1.1",
            Self::Get2 => "GET over HTTP/2",
            Self::Post2 => "POST over HTTP/2",
            Self::WebSocket => "WebSocket",
            Self::Redirect => "redirect",
        }
    }

    pub(super) const fn method(self) -> Method {
        match self {
            Self::Post1 | Self::Post2 => Method::POST,
            Self::Get1 | Self::Get2 | Self::WebSocket | Self::Redirect => Method::GET,
        }
    }

    pub(super) const fn speak(self) -> Speak {
        match self {
            Self::Get1 | Self::Post1 | Self::WebSocket => Speak::Http1,
            Self::Get2 | Self::Post2 => Speak::Http2,
            Self::Redirect => Speak::Any,
        }
    }

    /// Whether a service that only echoes can answer on it.
    pub const fn is_echoed(self) -> bool {
        !matches!(self, Self::WebSocket | Self::Redirect)
    }
}
