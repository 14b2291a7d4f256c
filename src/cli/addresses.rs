//! Addresses as people type them on a command line.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// Where to listen: an IP address, or `localhost`, and a port.
///
/// # Errors
/// A sentence that names the nearest right spelling.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let Ok(port) = port.parse::<u16>() else {
        return Err("an address and a port are needed, such as 127.0.0.1:8080".to_owned());
    };
    match host {
        "localhost" => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        "" | "*" => Err(format!(
            "127.0.0.1:{port} is for this machine only, 0.0.0.0:{port} for all: write which"
        )),
        _ => Err("an IP address is needed, such as 127.0.0.1 or 0.0.0.0".to_owned()),
    }
}

/// Where the operator's door is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// Nowhere.
    Off,
    /// Here.
    At(SocketAddr),
}

impl From<AdminAddress> for Option<SocketAddr> {
    fn from(address: AdminAddress) -> Self {
        match address {
            AdminAddress::Off => None,
            AdminAddress::At(address) => Some(address),
        }
    }
}

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            address => listen_address(address).map(Self::At),
        }
    }
}

/// Schemes of upstreams, as the configuration knows them.
const SCHEMES: [&str; 5] = ["http://", "https://", "h2c://", "unix:", "unix+h2c:"];

/// The upstream of `--to`, as it was typed. That its scheme is known is checked here, to answer
/// as usage; what stands behind it, where endpoints are compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl(String);

impl UpstreamUrl {
    /// As it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UpstreamUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
        let path = rest.filter(|_| !text.starts_with("unix"));
        let path = path.and_then(|rest| rest.split_once('/'));
        match rest {
            Some("") => Err("nothing stands behind the scheme".to_owned()),
            Some(_) if path.is_some_and(|(_, path)| !path.is_empty()) => Err(
                "it has a path; requests bring their own, and a file's `rewrite` changes it"
                    .to_owned(),
            ),
            Some(_) => Ok(Self(text.to_owned())),
            None if text.contains("://") => {
                Err("the scheme is one of http, https, h2c, unix, unix+h2c".to_owned())
            }
            None if text.parse::<u16>().is_ok() => {
                Err(format!("a URL is needed, such as http://127.0.0.1:{text}"))
            }
            None => Err(format!(
                "a URL begins with its scheme, such as http://{text}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_on_is_never_guessed() {
        let check = |text, expected: Result<&str, &str>| {
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(
                listen_address(text),
                expected.map_err(str::to_owned),
                "{text}"
            );
        };
        check("127.0.0.1:8080", Ok("127.0.0.1:8080"));
        check("[::1]:0", Ok("[::1]:0"));
        check("localhost:8080", Ok("127.0.0.1:8080"));
        let which = "127.0.0.1:8080 is for this machine only, 0.0.0.0:8080 for all: write which";
        check("8080", Err(which));
        check(":8080", Err(which));
        check(
            "",
            Err("an address and a port are needed, such as 127.0.0.1:8080"),
        );
        check(
            "127.0.0.1",
            Err("an address and a port are needed, such as 127.0.0.1:8080"),
        );
        check(
            "127.0.0.1:65536",
            Err("an address and a port are needed, such as 127.0.0.1:8080"),
        );
        check(
            "shop.example:80",
            Err("an IP address is needed, such as 127.0.0.1 or 0.0.0.0"),
        );
    }

    #[test]
    fn the_operators_door_can_be_left_out() {
        assert_eq!("off".parse(), Ok(AdminAddress::Off));
        let at = AdminAddress::At("127.0.0.1:9901".parse().unwrap());
        assert_eq!("127.0.0.1:9901".parse(), Ok(at));
        assert!("on".parse::<AdminAddress>().is_err());
    }

    #[test]
    fn an_upstream_without_a_scheme_is_told_with_one() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                text.parse::<UpstreamUrl>(),
                Err(expected.to_owned()),
                "{text}"
            );
        };
        check("3000", "a URL is needed, such as http://127.0.0.1:3000");
        check(
            "shop:3000",
            "a URL begins with its scheme, such as http://shop:3000",
        );
        check(
            "http://shop:3000/api",
            "it has a path; requests bring their own, and a file's `rewrite` changes it",
        );
        check(
            "ftp://shop",
            "the scheme is one of http, https, h2c, unix, unix+h2c",
        );
        check("http://", "nothing stands behind the scheme");
        assert!("unix:/run/app.sock".parse::<UpstreamUrl>().is_ok());
        assert!("h2c://shop:50051".parse::<UpstreamUrl>().is_ok());
    }
}
