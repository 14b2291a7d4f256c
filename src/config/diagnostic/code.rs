//! The kinds of problems. An id, once released, keeps its meaning for ever.

/// Whether a problem refuses the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is taken.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Declares every kind of problem once: variant, id, severity, title, explanation.
macro_rules! codes {
    ($($variant:ident $id:literal $severity:ident $title:literal $explanation:literal)*) => {
        /// A kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every kind, in the order of ids.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable id, such as `E0101`.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// Whether it refuses the document.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// A few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What it means and what to do, in a paragraph.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $explanation,)* }
            }
        }
    };
}

codes! {
    Unreadable "E0001" Error "The file cannot be read."
        "The file does not exist, is not a file, may not be read, is larger than 16 MiB, or is not UTF-8. Nothing in it was looked at."
    Syntax "E0002" Error "The file is not YAML."
        "YAML's own rules are broken: an indentation, a quote, a bracket. Of such errors only the first can be told, because what follows has no sure reading. A frequent one: inside `{ }` and `[ ]` a placeholder needs quotes, as in `{address: \"${ADDRESS}\"}`."
    TooLarge "E0003" Error "The document is too large once its aliases are expanded."
        "A document may be 64 levels deep and have a million nodes, repeated aliases counted each time. Real configurations stay far below; a document that does not is usually an alias that multiplies itself."
    Alias "E0004" Error "An alias or merge key that leads nowhere."
        "`*name` needs an `&name` before it, may not stand inside the node that it names, and `<<` takes a map or a list of maps."
    DuplicateKey "E0005" Error "A key stands twice in one map."
        "Only one of the two could count, and which one is nobody's intention. Remove one. (A key beside a `<<` merge is no duplicate: it wins.)"
    Document "E0006" Error "The file is not one map of keys."
        "A configuration is one YAML document whose top level is a map. A file may be neither empty, nor a list, nor hold several documents; keys are plain text; tags of one's own are not known."
    VariableMissing "E0007" Error "A variable of the environment is not set."
        "`${NAME}` stands for a variable that does not exist. Set it, or give a default: `${NAME:-default}`, which also serves when the variable is empty. All missing names are told at once."
    Placeholder "E0008" Error "A placeholder cannot be read."
        "A placeholder is `${NAME}` or `${NAME:-default}`; a name has letters, digits and `_`, and does not begin with a digit. For a literal dollar sign before `{` write `$$`."
    UnknownKey "E0101" Error "A key that does not exist."
        "Unknown keys are refused, because a misspelt key that is skipped in silence leaves a setting at its default. If a key of that place resembles it, it is suggested. A key that another version knows is unknown to this one."
    MissingKey "E0102" Error "A key that has to be there is missing."
        "Some maps make no sense without a certain key: a listener without an address, an upstream without endpoints."
    WrongKind "E0103" Error "A value of the wrong kind."
        "A map stands where a list is expected, a text where a number is expected, and so on. A plain value is taken as it is written where text is expected, so that `on` or `1.10` need no quotes there."
    UnknownValue "E0104" Error "A value that is not one of those possible."
        "The key takes one of a few words. The help line lists all of them."
    OutOfRange "E0105" Error "A number outside its range."
        "Rates lie between 0 and 1; limits have the bounds that the help line names."
    Exclusive "E0106" Error "Keys of which exactly one has to be there."
        "For example, a route either forwards (`upstream` or `split`), redirects (`redirect`) or answers (`answer`), and a path is matched by one of `path`, `prefix` and `regex`."
    Empty "E0107" Error "A value is missing or empty."
        "The key stands there with nothing after it. That often happens when the lines below it are commented out. Remove the key, or give it a value: an empty `tls:` must not mean a listener without TLS."
    UnknownName "E0201" Error "A name that nothing has."
        "A route names an upstream or a flow that the file does not define. Names are compared byte for byte."
    DuplicateName "E0202" Error "A name or an address is given twice."
        "Route names are unique, since logs and spans tell routes apart by them. Two listeners cannot have one address."
    Duration "E0301" Error "A duration cannot be read."
        "A duration is a number and its unit, `ms`, `s`, `m` or `h`: `250ms`, `1.5s`, `2m`. A bare number is refused: half of its readers would take it for seconds, the other half for milliseconds. Most have to be longer than zero; the longest is 24 hours, of sessions 720 hours."
    Size "E0302" Error "A number of bytes cannot be read."
        "A size is a whole number of bytes, or one with a unit: `KiB`, `MiB`, `GiB` (powers of 1024), `kB`, `MB`, `GB` (powers of 1000)."
    Address "E0303" Error "An address cannot be read."
        "An address to listen on is an IP address and a port: `127.0.0.1:8080`, `[::1]:8080`, `0.0.0.0:8080` for every interface. Names are not resolved here, so that the file says which interface is opened."
    Network "E0304" Error "A network cannot be read."
        "A trusted proxy is an IP address or a network in CIDR notation: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`."
    Url "E0305" Error "A URL cannot be read."
        "An endpoint is `http://host:port`, `https://host:port`, `h2c://host:port` (HTTP/2 in the clear), `unix:/path` or `unix+h2c:/path`, without path, query or credentials; or the name of SRV records, `srv+http://_http._tcp.example.com`, without a port. A collector's endpoint is an `http://` or `https://` URL without credentials: those belong into `headers`."
    Header "E0306" Error "A header name or value that cannot be."
        "Header names are tokens of RFC 9110, values hold no line breaks or control characters. Headers that frame a message or belong to the connection (`connection`, `content-length`, `host`, `transfer-encoding` and their like), `traceparent` and `tracestate` are not for configuration to edit."
    Method "E0307" Error "A method that cannot be."
        "A method is a token of RFC 9110 and case-sensitive: `GET`, not `get`. `CONNECT` is not forwarded."
    Path "E0308" Error "A path that cannot be."
        "Paths start with `/`. In a template a capture is a whole segment, `{name}`, each name occurs once, and `{name...}` (all that is left) stands last. No query, no fragment, no `.` or `..` segments."
    Regex "E0309" Error "A regular expression that cannot be compiled."
        "Expressions are those of the Rust crate `regex`: linear time, so no look-around and no back references. They have to match the whole text and may compile to at most 1 MiB."
    Host "E0310" Error "A host that cannot be."
        "A host is a name such as `app.example.com`, an address, or `*.example.com`, which takes exactly one label in place of the `*`. No scheme, no port."
    Status "E0311" Error "A status code that does not fit."
        "A redirect has 301, 302, 303, 307 or 308. A fixed answer has 200 to 599; 204, 205 and 304 have no body."
    Cors "E0312" Error "Cross-origin rules that browsers refuse or that are unsafe."
        "`*` allows everybody, stands alone, and excludes `credentials: true`: together they would let every site act as the user who is logged in. An origin is scheme, host and perhaps a port, without a path: `https://app.example.com`."
    Secret "E0313" Error "A secret cannot be read."
        "A secret is a text, `{file: PATH}` or `{env: NAME}`. The file has to exist, be readable, UTF-8 and at most 64 KiB; one line break at its end is dropped. The value itself is never shown."
    File "E0314" Error "A file that the document names cannot be used."
        "Certificates, keys and authorities are PEM files that exist and can be read by the user edgespan runs as. Relative paths start at the folder of the configuration file."
    FlowAttribute "E0315" Error "A flow attribute that cannot be."
        "A flow's attributes may not take keys that spans have anyway (`http.*`, `url.*`, `server.*`, `flow` ...), because one of the two values would be lost. Keys are letters, digits, `_`, `-` and `.`."
    FlowCapture "E0316" Error "A flow takes an attribute from a capture that a route lacks."
        "`{path: order_id}` needs `{order_id}` in the path template of every route of the flow; otherwise the spans of that route would silently lack the attribute. Add the capture, or give the route a flow of its own."
    Redirect "E0317" Error "A redirect that leads back to itself."
        "A redirect changes at least one of `scheme`, `host` and `path`; otherwise a client would be sent to where it already is."
    Unfit "E0318" Error "Keys that do not fit together."
        "A key has no effect beside another one, for example `rewrite` on a route that does not forward. What has no effect is refused, so that nobody relies on it."
    Expression "E0330" Error "An expression that cannot be evaluated."
        "The expression of `allow` is CEL over `request`, `claims`, `identity` and `route`. Names, members and functions have to be known, kinds of values have to fit, and its cost has to be bounded: at most 4096 bytes, two nested comprehensions, literal patterns. The chapter about `allow` in docs/auth.md lists what there is."
    SigningKey "E0331" Error "A key that cannot sign assertions."
        "A key is a PEM file with a private key of P-256 or Ed25519 in the form of PKCS#8 (`BEGIN PRIVATE KEY`). `openssl genpkey -algorithm ed25519 -out key.pem` makes one. The key itself is never shown."
    NobodyTrusted "E0332" Error "A listener decides for nobody."
        "With `mode: decision` host proxies tell of the requests that they ask about. Whoever may tell can choose the rule that holds, so the file has to say who may: `trusted_proxies` names those proxies by address or network. Nobody is trusted by default, loopback included."
    RequestRate "E0341" Error "A rate of requests cannot be read."
        "A rate is a whole number of requests and a unit of time, `/s`, `/m`, `/h` or `/d`: `100/s`, `600/m`. It is at least one and at most 1000000/s."
    MediaType "E0380" Error "A media type that cannot be compressed."
        "A media type is a kind and a name without parameters, `text/html`, or `text/*` for all of a kind. `text/event-stream` and gRPC are never compressed: events have to arrive at once, and gRPC has a compression of its own."
    Split "E0381" Error "A split that leaves requests without a branch."
        "A request that asks for no branch by a header is drawn in the ratio of weights. At least one branch needs a weight above zero."
    ProbeText "E0390" Error "A text of a probe that cannot be."
        "A name is letters, digits, `_` and `-`; `{{name}}` stands for a variable or for what a step before has captured; a JSON pointer (RFC 6901) is empty or begins with `/`, as in `/order/id`."
    ProbeFile "E0391" Error "A probe's file that cannot be used."
        "The file that `probes` names is read with the configuration. `edgespan probe --check FILE` tells everything that is wrong with it, with its lines."
    Internal "E0399" Error "edgespan does not understand its own document."
        "The document passed the check of its shape, but could not be read. That is a defect of edgespan; please report it with the document, less its secrets."
    NeverMatches "W0401" Warning "A route that never matches."
        "Another route takes every request that this one would take. Routes are ranked by how specific they are, not by their order in the file, so moving the route does not help; changing or removing it does."
    NoEffect "W0402" Warning "A setting without effect."
        "The file is taken, but this part of it does nothing as things stand."
    LikelyProtocol "W0403" Warning "Port and protocol of the collector do not fit."
        "Port 4317 is by convention OTLP over gRPC and 4318 OTLP over HTTP. Without a `protocol`, OTLP over HTTP is spoken, as the OpenTelemetry specification says. If that is meant, say so."
    NothingProved "W0404" Warning "An expression asks for what nothing proves."
        "`claims` and `identity` are empty on a route without `auth`, so that most expressions that ask for them refuse every request."
    AuthorizerLoop "W0420" Warning "An authorizer that is asked through edgespan itself."
        "The authorizer's address is that of a listener of this file. A request to a guarded route would ask a question that is a request to a route: unless that one has `auth: off` or its own policy, it would ask again, until the time is up. Name the authorizer's own address."
    PlainProvider "W0421" Warning "A provider that is asked without TLS."
        "Whoever is on the way can read codes, tokens and the client's secret, and can answer with keys of its own, after which every token that it signs is taken. Only on this machine (`localhost`, `127.0.0.0/8`, `::1`) is `http` as good as `https`. Within a mesh that encrypts by itself the warning may stand."
    PlainWebhook "W0422" Warning "A webhook that is told without TLS."
        "Whoever is on the way can read who logs in, is refused and leaves, and from which address. Events are signed, so none can be made up or changed, but one can be held back or sent again. Only on this machine (`localhost`, `127.0.0.0/8`, `::1`) is `http` as good as `https`. Within a mesh that encrypts by itself the warning may stand."
    LoginAlone "W0430" Warning "Logins that hold within one process."
        "Without `login.keys`, what browsers keep is sealed by a key that is made at the start: sessions end with the process, and no replica knows those of another one. Without `redis`, that a login was used, or that a provider ended a session, is known to the process alone that saw it. One process that starts seldom may do without both; replicas need them."
    LoginCookies "W0431" Warning "nginx passes on one cookie."
        "An answer that nginx' `auth_request` gets may set one cookie, and a session that lies in cookies may need several. Sessions in Redis need one: `login: {session: {store: redis}}`."
    LoginInsecure "W0432" Warning "A login that can begin nowhere."
        "A login needs https, or http on a loopback host. Every listener of the file takes http from elsewhere, and trusts nobody to say that a browser came by https: each login would end at a page that says so. Give a listener `tls`, or name in `trusted_proxies` who ends TLS in front of it."
    LoginMixUp "W0433" Warning "Several providers lead back to one address."
        "One provider can have a browser bring the answer of another one, and so get at its code, unless the two lead back to different addresses or each says in its answer who it is (`iss`, RFC 9207). With `callback: own` a policy has an address of its own, `/oauth2/callback/NAME`, to be registered at its provider. Where all of them name themselves, or are trusted alike, the warning may stand."
    LoginScopes "W0434" Warning "Scopes are required of a login."
        "Scopes say what an access token may do. Of a login its ID token is known and, with `userinfo: true`, userinfo; in both most providers name no scopes, whatever was asked for. Who has none is refused (403), and no other login mends it: if nobody has, nobody passes. `groups`, or a claim in `allow`, say who may; scopes are for policies with `jwt`. Where the provider puts `scope` or `scp` into its ID tokens, the warning may stand."
    VariableIgnored "W0501" Warning "A standard variable has a value that cannot be used."
        "An `OTEL_*` variable has a value that is not valid or not supported. As the OpenTelemetry specification asks, it is ignored and the default (or the file's setting) is used."
}

impl Code {
    /// The kind with this id, in whatever case.
    pub fn by_id(id: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.id().eq_ignore_ascii_case(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_in_order_and_say_their_severity() {
        let ids: Vec<&str> = Code::ALL.iter().map(|code| code.id()).collect();

        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert!(ids.is_sorted());
        for code in Code::ALL {
            let letter = match code.severity() {
                Severity::Error => 'E',
                Severity::Warning => 'W',
            };
            assert!(code.id().starts_with(letter), "{}", code.id());
        }
    }

    #[test]
    fn an_id_is_found_in_whatever_case() {
        assert_eq!(Code::by_id("e0101"), Some(Code::UnknownKey));
        assert_eq!(Code::by_id("E9999"), None);
    }
}
