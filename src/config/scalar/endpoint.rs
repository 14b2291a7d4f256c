//! Where upstreams and collectors are.

use super::Misread;
use crate::upstream::{EndpointAddress, EndpointProtocol, EndpointSource, EndpointTarget};
use std::path::PathBuf;
use std::sync::Arc;
use url::{Host, Url};

/// Reads an entry of an upstream's endpoints: an endpoint, or the name of SRV records with a
/// scheme such as `srv+http`.
pub(in crate::config) fn endpoint_source(
    text: &str,
    folder: &std::path::Path,
) -> Result<EndpointSource, Misread> {
    let Some(rest) = text.strip_prefix("srv+") else {
        return endpoint(text, folder).map(EndpointSource::Address);
    };
    let (scheme, name) = rest.split_once("://").unwrap_or_default();
    let protocol = match scheme {
        "http" => EndpointProtocol::Http1,
        "h2c" => EndpointProtocol::H2c,
        "https" => EndpointProtocol::Https,
        _ => {
            return Err(Misread::new("SRV records have no such scheme")
                .label("srv+http, srv+https or srv+h2c")
                .help("write `srv+http://_http._tcp.example.com`"));
        }
    };
    let name = name.strip_suffix('/').unwrap_or(name);
    if name.contains(':') {
        return Err(
            Misread::new("the name of SRV records has no port").label("the records say the port")
        );
    }
    service_name(name)
        .map(|name| EndpointSource::Service { protocol, name })
        .ok_or_else(|| {
            Misread::new("this is not a name of SRV records")
                .label("such as _http._tcp.example.com")
        })
}

/// A DNS name in lower case; labels may begin with `_` (RFC 2782).
fn service_name(text: &str) -> Option<Arc<str>> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let fits = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(allowed)
    };
    let whole = name.len() <= 253 && name.split('.').all(fits);
    let address = name.parse::<std::net::IpAddr>().is_ok();
    (whole && !address).then(|| Arc::from(name.to_ascii_lowercase()))
}

/// Reads an upstream's endpoint. The path of a Unix socket is taken relative to `folder`.
pub(in crate::config) fn endpoint(
    text: &str,
    folder: &std::path::Path,
) -> Result<EndpointAddress, Misread> {
    let unix = [
        ("unix:", EndpointProtocol::Http1),
        ("unix+h2c:", EndpointProtocol::H2c),
    ];
    for (scheme, protocol) in unix {
        if let Some(path) = text.strip_prefix(scheme) {
            return unix_socket(path, protocol, folder);
        }
    }
    let (scheme, _) = text.split_once("://").ok_or_else(|| {
        Misread::new("an endpoint needs a scheme")
            .label("http, https, h2c, unix or unix+h2c")
            .help("write `http://host:port`")
    })?;
    let (protocol, default_port) = match scheme {
        "http" => (EndpointProtocol::Http1, 80),
        "h2c" => (EndpointProtocol::H2c, 80),
        "https" => (EndpointProtocol::Https, 443),
        _ => {
            return Err(Misread::new("an endpoint has no such scheme")
                .label("http, https, h2c, unix, unix+h2c, or srv+ before one of the first three"));
        }
    };
    // `h2c` is no special scheme to the URL standard, so its host would not be checked.
    let url = parse(&text.replacen("h2c://", "http://", 1))?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(Misread::new("an endpoint has no path")
            .label("scheme, host and port only")
            .help("a route's `rewrite` changes paths"));
    }
    let target = EndpointTarget::Tcp {
        host: host(&url)?,
        port: url.port().unwrap_or(default_port),
    };
    if matches!(target, EndpointTarget::Tcp { port: 0, .. }) {
        return Err(Misread::new("nothing can be reached at port 0"));
    }
    Ok(EndpointAddress { protocol, target })
}

/// Reads the URL of an OTLP collector.
pub(in crate::config) fn collector(text: &str) -> Result<Url, Misread> {
    let url = parse(text)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Misread::new("a collector is reached by http or https")
            .label("no such scheme")
            .help("write `http://host:4318`, or with `protocol: grpc` `http://host:4317`"));
    }
    host(&url)?;
    Ok(url)
}

fn unix_socket(
    path: &str,
    protocol: EndpointProtocol,
    folder: &std::path::Path,
) -> Result<EndpointAddress, Misread> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.contains('\0') {
        return Err(Misread::new("a Unix socket needs a path").label("such as unix:/run/app.sock"));
    }
    let target = EndpointTarget::Unix(folder.join(PathBuf::from(path)));
    Ok(EndpointAddress { protocol, target })
}

fn parse(text: &str) -> Result<Url, Misread> {
    let url = Url::parse(text)
        .map_err(|error| Misread::new("this is not a URL").label(error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Misread::new("a URL here has no user and no password"));
    }
    Ok(url)
}

/// The host of a URL, IPv6 without its brackets.
fn host(url: &Url) -> Result<Arc<str>, Misread> {
    let host = match url.host() {
        Some(Host::Domain(domain)) if !domain.is_empty() => domain.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        Some(Host::Domain(_)) | None => return Err(Misread::new("this URL has no host")),
    };
    Ok(Arc::from(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    #[track_caller]
    fn check(text: &str, protocol: EndpointProtocol, host: &str, port: u16) {
        let target = EndpointTarget::Tcp {
            host: Arc::from(host),
            port,
        };
        assert_eq!(
            endpoint(text, Path::new("")),
            Ok(EndpointAddress { protocol, target })
        );
    }

    #[track_caller]
    fn refuse(text: &str) {
        assert!(endpoint(text, Path::new("")).is_err(), "{text}");
    }

    #[test]
    fn an_endpoint_is_scheme_host_and_port() {
        check(
            "http://127.0.0.1:3000",
            EndpointProtocol::Http1,
            "127.0.0.1",
            3000,
        );
        check(
            "http://App.example/",
            EndpointProtocol::Http1,
            "app.example",
            80,
        );
        check(
            "https://app.example",
            EndpointProtocol::Https,
            "app.example",
            443,
        );
        check("h2c://[::1]:50051", EndpointProtocol::H2c, "::1", 50051);
        check(
            "https://app.example:443",
            EndpointProtocol::Https,
            "app.example",
            443,
        );
    }

    #[test]
    fn the_name_of_srv_records_has_a_scheme_of_its_own() {
        let read = |text| endpoint_source(text, Path::new("")).map(|source| source.to_string());

        let same = [
            "srv+http://_http._tcp.example.com",
            "srv+h2c://web.service.consul",
        ];
        for text in same {
            assert_eq!(read(text).as_deref(), Ok(text));
        }
        let spoken = read("srv+https://_HTTPS._tcp.Example.com./");
        assert_eq!(spoken.as_deref(), Ok("srv+https://_https._tcp.example.com"));
        for wrong in [
            "srv+ftp://a",
            "srv+http",
            "srv+http://",
            "srv+http://a:80",
            "srv+http://a/b",
            "srv+http://a..b",
            "srv+http://10.0.0.1",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_unix_socket_is_found_beside_the_file() {
        let found = endpoint("unix+h2c:run/app.sock", Path::new("/etc/edgespan"));

        let target = EndpointTarget::Unix(PathBuf::from("/etc/edgespan/run/app.sock"));
        let protocol = EndpointProtocol::H2c;
        assert_eq!(found, Ok(EndpointAddress { protocol, target }));
    }

    #[test]
    fn what_is_not_an_endpoint_is_refused() {
        refuse("");
        refuse("localhost:3000");
        refuse("ftp://h");
        refuse("http://");
        refuse("http://h/path");
        refuse("http://h?q");
        refuse("http://user:pass@h");
        refuse("http://h:0");
        refuse("http://h:70000");
        refuse("unix:");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _unused = endpoint(&text, Path::new("")).is_ok();
            let _unused = endpoint_source(&format!("srv+http://{text}"), Path::new("")).is_ok();
            let _unused = collector(&text).is_ok();
        }
    }
}
