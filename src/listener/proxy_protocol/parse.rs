//! The bytes of a PROXY header. Pure: knows no socket.

use super::{Header, Told};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// How version 2 begins. No request and no TLS record begins like this.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// How version 1 begins.
pub(super) const WORD: &[u8] = b"PROXY ";
/// Longest line of version 1, its end included.
pub(super) const LINE_BYTES_MAX: usize = 107;
/// What follows the signature and stands before the addresses of version 2.
pub(super) const FIXED_BYTES: usize = 4;
/// Longest rest of version 2. The format allows 65,535 bytes; addresses need at most 216, and
/// what balancers add to them a few hundred.
pub(super) const REST_BYTES_MAX: usize = 4096;

/// The value that holds a checksum (`PP2_TYPE_CRC32C`).
const TYPE_CRC32C: u8 = 0x03;
/// The reversed polynomial of CRC-32C (Castagnoli).
const CRC32C_POLYNOMIAL: u32 = 0x82f6_3b78;

/// Why a header is none.
pub(super) type Malformed = &'static str;

/// Reads a line of version 1, its end included.
pub(super) fn line(line: &[u8]) -> Result<Header, Malformed> {
    if line.len() > LINE_BYTES_MAX {
        return Err("the line is too long");
    }
    let text = line
        .strip_prefix(WORD)
        .and_then(|rest| rest.strip_suffix(b"\r\n"))
        .and_then(|rest| std::str::from_utf8(rest).ok())
        .ok_or("the line does not begin or end as it must")?;
    let mut fields = text.split(' ');
    let family = fields.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(Header::Own); // what else stands there is to be ignored
    }
    let mut field = || fields.next().ok_or("a field is missing");
    let (source, destination) = (field()?, field()?);
    let (source_port, destination_port) = (port(field()?)?, port(field()?)?);
    if fields.next().is_some() {
        return Err("there is a field too many");
    }
    let told = match family {
        "TCP4" => Told {
            source: (v4(source)?, source_port).into(),
            destination: (v4(destination)?, destination_port).into(),
        },
        "TCP6" => Told {
            source: (v6(source)?, source_port).into(),
            destination: (v6(destination)?, destination_port).into(),
        },
        _ => return Err("the protocol is none of TCP4, TCP6 and UNKNOWN"),
    };
    Ok(Header::Proxied(told))
}

fn v4(text: &str) -> Result<Ipv4Addr, Malformed> {
    text.parse().map_err(|_| "an IPv4 address is none")
}

fn v6(text: &str) -> Result<Ipv6Addr, Malformed> {
    text.parse().map_err(|_| "an IPv6 address is none")
}

fn port(text: &str) -> Result<u16, Malformed> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return Err("a port is none");
    }
    text.parse().map_err(|_| "a port is none")
}

/// How many bytes follow what stands between the signature and the addresses.
pub(super) fn rest_length(fixed: [u8; FIXED_BYTES]) -> Result<usize, Malformed> {
    let [version_and_command, _, high, low] = fixed;
    if version_and_command >> 4 != 2 {
        return Err("the version is not 2");
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > REST_BYTES_MAX {
        return Err("the header is too long");
    }
    Ok(length)
}

/// Reads version 2: what follows the signature, and the rest whose length that tells.
pub(super) fn binary(fixed: [u8; FIXED_BYTES], rest: &[u8]) -> Result<Header, Malformed> {
    let [version_and_command, family_and_protocol, _, _] = fixed;
    match version_and_command & 0x0f {
        0 => return Ok(Header::Own), // whatever family it names, and whatever follows
        1 => {}
        _ => return Err("the command is none of LOCAL and PROXY"),
    }
    let (header, values_at) = match family_and_protocol {
        // The length of addresses that have no kind is not known: all of it is passed over.
        0x00 => (Header::Own, rest.len()),
        0x11 => (inet(rest)?, 12),
        0x21 => (inet6(rest)?, 36),
        0x31 => (Header::Own, 216),
        0x12 | 0x22 | 0x32 => return Err("a datagram is no connection"),
        _ => return Err("the address family is not known"),
    };
    let values = rest.get(values_at..).ok_or("the addresses are cut short")?;
    check_values(fixed, rest, values)?;
    Ok(header)
}

fn inet(rest: &[u8]) -> Result<Header, Malformed> {
    let (source, rest) = split::<4>(rest)?;
    let (destination, rest) = split::<4>(rest)?;
    ends(source, destination, rest)
}

fn inet6(rest: &[u8]) -> Result<Header, Malformed> {
    let (source, rest) = split::<16>(rest)?;
    let (destination, rest) = split::<16>(rest)?;
    ends(source, destination, rest)
}

fn ends<A: Into<std::net::IpAddr>>(
    source: A,
    destination: A,
    ports: &[u8],
) -> Result<Header, Malformed> {
    let (source_port, ports) = split::<2>(ports)?;
    let (destination_port, _) = split::<2>(ports)?;
    Ok(Header::Proxied(Told {
        source: SocketAddr::new(source.into(), u16::from_be_bytes(source_port)),
        destination: SocketAddr::new(destination.into(), u16::from_be_bytes(destination_port)),
    }))
}

fn split<const LENGTH: usize>(bytes: &[u8]) -> Result<([u8; LENGTH], &[u8]), Malformed> {
    bytes
        .split_first_chunk::<LENGTH>()
        .map(|(first, rest)| (*first, rest))
        .ok_or("the addresses are cut short")
}

/// Walks over type, length and value of each that follows the addresses. A checksum that is there
/// has to be right; the others say nothing that is needed.
fn check_values(fixed: [u8; FIXED_BYTES], rest: &[u8], mut values: &[u8]) -> Result<(), Malformed> {
    while !values.is_empty() {
        let Some(([kind, high, low], after)) = values.split_first_chunk::<3>() else {
            return Err("a value is cut short");
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((value, following)) = after.split_at_checked(length) else {
            return Err("a value is cut short");
        };
        if *kind == TYPE_CRC32C {
            let told: [u8; 4] = value
                .try_into()
                .map_err(|_| "the checksum has not four bytes")?;
            let before = rest.len() - after.len();
            if checksum(fixed, rest, before) != u32::from_be_bytes(told) {
                return Err("the checksum is wrong");
            }
        }
        values = following;
    }
    Ok(())
}

/// CRC-32C of a whole header, with zeros for the four bytes of `rest` that hold it.
fn checksum(fixed: [u8; FIXED_BYTES], rest: &[u8], held_at: usize) -> u32 {
    let held = held_at..held_at + 4;
    let masked = rest.iter().enumerate();
    let masked = masked.map(|(at, byte)| if held.contains(&at) { 0 } else { *byte });
    let all = SIGNATURE.into_iter().chain(fixed).chain(masked);
    !all.fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let carry = 0_u32.wrapping_sub(crc & 1);
            crc = (crc >> 1) ^ (CRC32C_POLYNOMIAL & carry);
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(source: &str, destination: &str) -> Header {
        Header::Proxied(Told {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        })
    }

    #[track_caller]
    fn refused(text: &str) {
        assert!(line(text.as_bytes()).is_err(), "{text:?}");
    }

    /// A header of version 2 as balancers write it.
    fn encode(command: u8, family: u8, rest: &[u8]) -> ([u8; FIXED_BYTES], Vec<u8>) {
        let [high, low] = u16::try_from(rest.len()).unwrap().to_be_bytes();
        ([0x20 | command, family, high, low], rest.to_vec())
    }

    fn with_checksum(family: u8, addresses: &[u8]) -> ([u8; FIXED_BYTES], Vec<u8>) {
        let mut rest = addresses.to_vec();
        rest.extend([TYPE_CRC32C, 0, 4, 0, 0, 0, 0]);
        let (fixed, mut rest) = encode(1, family, &rest);
        let at = addresses.len() + 3;
        let sum = checksum(fixed, &rest, at).to_be_bytes();
        rest[at..at + 4].copy_from_slice(&sum);
        (fixed, rest)
    }

    #[test]
    fn the_lines_of_the_specification_are_read() {
        assert_eq!(
            line(b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
            Ok(told("255.255.255.255:65535", "255.255.255.255:65535"))
        );
        assert_eq!(
            line(b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n"),
            Ok(told("[2001:db8::1]:4711", "[::1]:443"))
        );
        assert_eq!(line(b"PROXY UNKNOWN\r\n"), Ok(Header::Own));
        let longest = b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                        ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
        assert_eq!(longest.len(), LINE_BYTES_MAX);
        assert_eq!(line(longest), Ok(Header::Own));
    }

    #[test]
    fn a_line_that_is_not_quite_right_is_refused() {
        refused("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n");
        refused("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n");
        refused("PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n");
        refused("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n");
        refused("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n");
        refused("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n");
        refused("PROXY TCP4 ::1 ::1 1 2\r\n");
        refused("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n");
        refused("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n");
        refused("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n");
        refused("PROXY TCP4 1.2.3.4 5.6.7.8 1 2");
        refused("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n");
        refused(&format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)));
        assert!(line(format!("PROXY UNKNOWN {}\r\n", "x".repeat(91)).as_bytes()).is_ok());
    }

    #[test]
    fn binary_headers_of_each_family_are_read() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb];
        let (fixed, rest) = encode(1, 0x11, &v4);
        assert_eq!(
            binary(fixed, &rest),
            Ok(told("192.0.2.7:4660", "10.0.0.1:443"))
        );
        let mut v6 = [0; 36];
        v6[15] = 1;
        v6[31] = 2;
        v6[33] = 3;
        v6[35] = 4;
        let (fixed, rest) = encode(1, 0x21, &v6);
        assert_eq!(binary(fixed, &rest), Ok(told("[::1]:3", "[::2]:4")));
        let (fixed, rest) = encode(1, 0x31, &[7; 216]);
        assert_eq!(binary(fixed, &rest), Ok(Header::Own));
        let (fixed, rest) = encode(1, 0x00, &[1, 2, 3]);
        assert_eq!(binary(fixed, &rest), Ok(Header::Own));
    }

    #[test]
    fn a_balancers_own_connection_is_its_own_whatever_else_the_header_says() {
        for family in 0..=u8::MAX {
            for rest in [&[][..], &[7; 3], &[7; 12], &[7; 216]] {
                let (fixed, rest) = encode(0, family, rest);
                assert_eq!(binary(fixed, &rest), Ok(Header::Own), "{family:#x}");
            }
        }
    }

    #[test]
    fn a_binary_header_that_is_not_quite_right_is_refused() {
        let check = |command, family, rest: &[u8]| {
            let (fixed, rest) = encode(command, family, rest);
            assert!(binary(fixed, &rest).is_err(), "{command} {family} {rest:?}");
        };
        check(2, 0x11, &[0; 12]);
        check(1, 0x11, &[0; 11]);
        check(1, 0x21, &[0; 35]);
        check(1, 0x31, &[0; 215]);
        check(1, 0x12, &[0; 12]);
        check(1, 0x41, &[0; 12]);
        check(1, 0x10, &[0; 12]);
        check(1, 0x11, &[0; 13]); // a value of one byte
        check(1, 0x11, &[[0; 12].as_slice(), &[4, 0, 2, 1]].concat());
        assert!(rest_length([0x11, 0x11, 0, 12]).is_err());
        let length = |bytes: u16| {
            let [high, low] = bytes.to_be_bytes();
            rest_length([0x21, 0x11, high, low])
        };
        assert_eq!(length(4095), Ok(4095));
        assert_eq!(length(4096), Ok(4096));
        assert!(length(4097).is_err());
    }

    #[test]
    fn a_checksum_that_is_there_has_to_be_right() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb];
        let (fixed, rest) = with_checksum(0x11, &v4);
        assert!(binary(fixed, &rest).is_ok());
        for at in 0..rest.len() {
            let mut broken = rest.clone();
            broken[at] ^= 0x10;
            if at == 12 {
                continue; // its type: then it is no checksum
            }
            assert!(binary(fixed, &broken).is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        // RFC 3720 B.4 gives the polynomial's values; over our own signature it was computed apart.
        let crc = |bytes: &[u8]| {
            !bytes.iter().fold(u32::MAX, |mut crc, byte| {
                crc ^= u32::from(*byte);
                for _ in 0..8 {
                    crc = (crc >> 1) ^ (CRC32C_POLYNOMIAL & 0_u32.wrapping_sub(crc & 1));
                }
                crc
            })
        };
        assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc(b"123456789"), 0xe306_9283);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            text in proptest::collection::vec(any::<u8>(), 0..200),
            fixed: [u8; 4],
        ) {
            prop_assert!(line(&text).is_err() || text.starts_with(WORD));
            let all = [
                line(&[WORD, &text, b"\r\n"].concat()),
                binary(fixed, &text),
                binary([0x21, 0x11, fixed[2], fixed[3]], &text),
            ];
            for read in all {
                prop_assert!(read.is_ok() || read.is_err());
            }
        }

        #[test]
        fn every_pair_of_ends_comes_back(
            source: SocketAddr,
            destination: SocketAddr,
        ) {
            // One family on both sides, as on the wire.
            let expected = Told { source, destination };
            let (family, addresses) = match (source, destination) {
                (SocketAddr::V4(a), SocketAddr::V4(b)) => (
                    ("TCP4", 0x11),
                    [&a.ip().octets()[..], &b.ip().octets()].concat(),
                ),
                (SocketAddr::V6(a), SocketAddr::V6(b)) => (
                    ("TCP6", 0x21),
                    [&a.ip().octets()[..], &b.ip().octets()].concat(),
                ),
                _ => return Ok(()),
            };
            let plain = |address: SocketAddr| SocketAddr::new(address.ip(), address.port());
            let expected = Header::Proxied(Told {
                source: plain(expected.source),
                destination: plain(expected.destination),
            });
            let text = format!(
                "PROXY {} {} {} {} {}\r\n",
                family.0, source.ip(), destination.ip(), source.port(), destination.port()
            );
            prop_assert_eq!(line(text.as_bytes()), Ok(expected));
            let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
            let (fixed, rest) = with_checksum(family.1, &[addresses, ports].concat());
            prop_assert_eq!(binary(fixed, &rest), Ok(expected));
        }
    }
}
