//! The messages of `envoy.service.auth.v3`, and what they are made of.
//!
//! Written by hand from their published definition, as far as either side reads or writes them:
//! what is left out here is skipped when it comes. Field numbers are the contract, names are not.

use prost_types::{Struct, Timestamp};
use std::collections::BTreeMap;

/// `envoy.service.auth.v3.CheckRequest`
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckRequest {
    /// What is asked about.
    #[prost(message, optional, tag = "1")]
    pub attributes: Option<AttributeContext>,
}

/// `envoy.service.auth.v3.AttributeContext`
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeContext {
    /// The client.
    #[prost(message, optional, tag = "1")]
    pub source: Option<Peer>,
    /// Where it came to.
    #[prost(message, optional, tag = "2")]
    pub destination: Option<Peer>,
    /// What it asks for.
    #[prost(message, optional, tag = "4")]
    pub request: Option<Request>,
    /// Words of the route's configuration to the authorizer.
    #[prost(btree_map = "string, string", tag = "10")]
    pub context_extensions: BTreeMap<String, String>,
    /// What other filters found out about the request.
    #[prost(message, optional, tag = "11")]
    pub metadata_context: Option<Metadata>,
    /// The TLS session that it came by.
    #[prost(message, optional, tag = "12")]
    pub tls_session: Option<TlsSession>,
    /// What the configuration says of the route.
    #[prost(message, optional, tag = "13")]
    pub route_metadata_context: Option<Metadata>,
}

/// `envoy.service.auth.v3.AttributeContext.Peer`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Peer {
    /// Its address.
    #[prost(message, optional, tag = "1")]
    pub address: Option<Address>,
    /// Its service.
    #[prost(string, tag = "2")]
    pub service: String,
    /// Labels of it, such as those of its pod.
    #[prost(btree_map = "string, string", tag = "3")]
    pub labels: BTreeMap<String, String>,
    /// What its certificate proved: the first URI, else the first DNS name, else the subject.
    #[prost(string, tag = "4")]
    pub principal: String,
    /// Its certificate, as percent-encoded PEM.
    #[prost(string, tag = "5")]
    pub certificate: String,
}

/// `envoy.service.auth.v3.AttributeContext.Request`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    /// When its first byte came.
    #[prost(message, optional, tag = "1")]
    pub time: Option<Timestamp>,
    /// What HTTP says of it.
    #[prost(message, optional, tag = "2")]
    pub http: Option<HttpRequest>,
}

/// `envoy.service.auth.v3.AttributeContext.HttpRequest`
#[derive(Clone, PartialEq, prost::Message)]
pub struct HttpRequest {
    /// `x-request-id`
    #[prost(string, tag = "1")]
    pub id: String,
    /// Its method.
    #[prost(string, tag = "2")]
    pub method: String,
    /// Header fields by name in lower case; several of one name are joined by `,`. What is no
    /// UTF-8 is `!`.
    #[prost(btree_map = "string, string", tag = "3")]
    pub headers: BTreeMap<String, String>,
    /// Path and query, as in the first line of the request.
    #[prost(string, tag = "4")]
    pub path: String,
    /// `Host` or `:authority`
    #[prost(string, tag = "5")]
    pub host: String,
    /// `http` or `https`
    #[prost(string, tag = "6")]
    pub scheme: String,
    /// Always empty: the query is in `path`.
    #[prost(string, tag = "7")]
    pub query: String,
    /// Always empty.
    #[prost(string, tag = "8")]
    pub fragment: String,
    /// Bytes of the body; -1 if nobody knows.
    #[prost(int64, tag = "9")]
    pub size: i64,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`
    #[prost(string, tag = "10")]
    pub protocol: String,
    /// The body, if it is text.
    #[prost(string, tag = "11")]
    pub body: String,
    /// The body.
    #[prost(bytes = "bytes", tag = "12")]
    pub raw_body: bytes::Bytes,
    /// Header fields one by one, in place of `headers`.
    #[prost(message, optional, tag = "13")]
    pub header_map: Option<HeaderMap>,
}

/// `envoy.service.auth.v3.AttributeContext.TLSSession`
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct TlsSession {
    /// The server's name that the client asked for.
    #[prost(string, tag = "1")]
    pub sni: String,
}

/// `envoy.config.core.v3.Metadata`, without what is typed by URL.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metadata {
    /// By the filter that found it out.
    #[prost(btree_map = "string, message", tag = "1")]
    pub filter_metadata: BTreeMap<String, Struct>,
}

/// `envoy.config.core.v3.Address`
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Address {
    /// Which.
    #[prost(oneof = "AddressKind", tags = "1, 2")]
    pub address: Option<AddressKind>,
}

/// The kinds of an [`Address`].
#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum AddressKind {
    /// An IP address and a port.
    #[prost(message, tag = "1")]
    SocketAddress(SocketAddress),
    /// A Unix domain socket.
    #[prost(message, tag = "2")]
    Pipe(Pipe),
}

/// `envoy.config.core.v3.SocketAddress`
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct SocketAddress {
    /// 0: TCP, 1: UDP.
    #[prost(int32, tag = "1")]
    pub protocol: i32,
    /// An IP address.
    #[prost(string, tag = "2")]
    pub address: String,
    /// A port.
    #[prost(uint32, tag = "3")]
    pub port_value: u32,
}

/// `envoy.config.core.v3.Pipe`
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Pipe {
    /// Its path.
    #[prost(string, tag = "1")]
    pub path: String,
}

/// `envoy.config.core.v3.HeaderMap`
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct HeaderMap {
    /// Field by field, in order.
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<HeaderValue>,
}

/// `envoy.config.core.v3.HeaderValue`
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct HeaderValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value, if it is text.
    #[prost(string, tag = "2")]
    pub value: String,
    /// Its value. Only one of the two is set.
    #[prost(bytes = "vec", tag = "3")]
    pub raw_value: Vec<u8>,
}

/// `envoy.config.core.v3.HeaderValueOption`
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct HeaderValueOption {
    /// The field.
    #[prost(message, optional, tag = "1")]
    pub header: Option<HeaderValue>,
    /// The old way to say what `append_action` says; it decides where it is given.
    #[prost(message, optional, tag = "2")]
    pub append: Option<bool>,
    /// What becomes of a field of that name that is there.
    #[prost(enumeration = "AppendAction", tag = "3")]
    pub append_action: i32,
    /// Whether an empty value is added, too, and not left away.
    #[prost(bool, tag = "4")]
    pub keep_empty_value: bool,
}

/// `envoy.config.core.v3.HeaderValueOption.HeaderAppendAction`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum AppendAction {
    /// One more field.
    AppendIfExistsOrAdd = 0,
    /// Only if there is none.
    AddIfAbsent = 1,
    /// In place of what is there.
    OverwriteIfExistsOrAdd = 2,
    /// In place of what is there; nothing if there is none.
    OverwriteIfExists = 3,
}

/// `envoy.config.core.v3.QueryParameter`
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct QueryParameter {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `envoy.type.v3.HttpStatus`
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct HttpStatus {
    /// A status code of HTTP.
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// `google.rpc.Status`, without details.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Status {
    /// A status code of gRPC; 0 is `OK`.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For developers.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// `envoy.service.auth.v3.CheckResponse`
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckResponse {
    /// `OK` allows; everything else denies.
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    /// What comes with it.
    #[prost(oneof = "HttpResponse", tags = "2, 3, 5")]
    pub http_response: Option<HttpResponse>,
    /// What other filters may want to know.
    #[prost(message, optional, tag = "4")]
    pub dynamic_metadata: Option<Struct>,
}

/// What comes with a [`CheckResponse`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum HttpResponse {
    /// What a refused client gets.
    #[prost(message, tag = "2")]
    Denied(DeniedHttpResponse),
    /// What changes of a request that passes.
    #[prost(message, tag = "3")]
    Ok(OkHttpResponse),
    /// What a client gets because the authorizer failed.
    #[prost(message, tag = "5")]
    Error(DeniedHttpResponse),
}

/// `envoy.service.auth.v3.DeniedHttpResponse`
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DeniedHttpResponse {
    /// None: 403.
    #[prost(message, optional, tag = "1")]
    pub status: Option<HttpStatus>,
    /// Header fields of the answer.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderValueOption>,
    /// Its body.
    #[prost(string, tag = "3")]
    pub body: String,
}

/// `envoy.service.auth.v3.OkHttpResponse`
#[derive(Clone, PartialEq, prost::Message)]
pub struct OkHttpResponse {
    /// Changes to the request's header fields.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderValueOption>,
    /// The old place of [`CheckResponse::dynamic_metadata`]; wins over it.
    #[prost(message, optional, tag = "3")]
    pub dynamic_metadata: Option<Struct>,
    /// Header fields that leave the request after `headers` came.
    #[prost(string, repeated, tag = "5")]
    pub headers_to_remove: Vec<String>,
    /// Changes to the answer's header fields.
    #[prost(message, repeated, tag = "6")]
    pub response_headers_to_add: Vec<HeaderValueOption>,
    /// Query parameters that the upstream gets, in place of those of the same name.
    #[prost(message, repeated, tag = "7")]
    pub query_parameters_to_set: Vec<QueryParameter>,
    /// Query parameters that the upstream does not get.
    #[prost(string, repeated, tag = "8")]
    pub query_parameters_to_remove: Vec<String>,
}
