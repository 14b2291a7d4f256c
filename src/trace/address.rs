//! IP addresses and ports as text, without an allocation.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

/// Longest text of an IPv6 address.
const TEXT_BYTES_MAX: usize = 45;

/// An IP address as spans tell it. IPv4 within IPv6 is IPv4: a listener on `[::]` sees every
/// IPv4 client that way.
#[derive(Clone, Copy)]
pub struct AddressText {
    bytes: [u8; TEXT_BYTES_MAX],
    len: usize,
}

impl AddressText {
    const EMPTY: Self = Self {
        bytes: [0; TEXT_BYTES_MAX],
        len: 0,
    };

    /// The text of `address`.
    pub fn new(address: IpAddr) -> Self {
        let mut text = Self::EMPTY;
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [first, rest @ ..] = v4.octets();
                text.push_decimal(first);
                for octet in rest {
                    text.push(b'.');
                    text.push_decimal(octet);
                }
            }
            // Writing cannot fail: every address fits.
            IpAddr::V6(v6) => write!(text, "{v6}").unwrap_or_default(),
        }
        text
    }

    /// A colon and a port, as they follow a host in a URL.
    pub fn port(port: u16) -> Self {
        let mut text = Self::EMPTY;
        write!(text, ":{port}").unwrap_or_default();
        text
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let written = self.bytes.get(..self.len).unwrap_or_default();
        std::str::from_utf8(written).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn push_decimal(&mut self, number: u8) {
        if number >= 100 {
            self.push(b'0' + number / 100);
        }
        if number >= 10 {
            self.push(b'0' + number / 10 % 10);
        }
        self.push(b'0' + number % 10);
    }
}

impl fmt::Write for AddressText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_address_is_told_as_the_standard_library_tells_it(address: IpAddr) {
            let text = AddressText::new(address);
            prop_assert_eq!(text.as_str(), address.to_canonical().to_string());
        }
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_listener_is_ipv4() {
        let mapped = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(AddressText::new(mapped).as_str(), "192.0.2.7");
    }
}
