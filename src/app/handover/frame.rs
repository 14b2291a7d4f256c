//! One message on a Unix stream: four bytes of length, big endian, then JSON; a descriptor, if
//! there is one, travels with the first byte (SCM_RIGHTS, unix(7)).

use super::Message;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Longest JSON of a message.
const MESSAGE_BYTES_MAX: usize = 4096;
/// The length before it.
const LENGTH_BYTES: usize = 4;

/// Sends a message, and a descriptor with it.
pub(super) async fn send(
    stream: &UnixStream,
    message: &Message,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let frame = encode(message)?;
    let mut rest = frame.as_slice();
    let mut descriptor = descriptor;
    while !rest.is_empty() {
        let sent = stream
            .async_io(Interest::WRITABLE, || send_some(stream, rest, descriptor))
            .await?;
        // It went with the first byte.
        descriptor = None;
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}

fn send_some(
    stream: &UnixStream,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let sent = sendmsg(
        stream,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    )?;
    Ok(sent)
}

/// Receives a message and the descriptor that came with it.
pub(super) async fn receive(stream: &UnixStream) -> io::Result<(Message, Option<OwnedFd>)> {
    let mut descriptor = None;
    let mut length = [0; LENGTH_BYTES];
    fill(stream, &mut length, &mut descriptor).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MESSAGE_BYTES_MAX {
        return Err(invalid("the message is too long"));
    }
    let mut text = vec![0; length];
    fill(stream, &mut text, &mut descriptor).await?;
    Ok((decode(&text)?, descriptor))
}

async fn fill(
    stream: &UnixStream,
    buffer: &mut [u8],
    descriptor: &mut Option<OwnedFd>,
) -> io::Result<()> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let (bytes, came) = stream
            .async_io(Interest::READABLE, || receive_some(stream, rest))
            .await?;
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if came.is_some() && descriptor.is_some() {
            return Err(invalid("more than one descriptor"));
        }
        *descriptor = came.or(descriptor.take());
        filled += bytes;
    }
    Ok(())
}

fn receive_some(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(buffer)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    )?;
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        let RecvAncillaryMessage::ScmRights(came) = message else {
            return Err(invalid("unknown ancillary data"));
        };
        descriptors.extend(came);
    }
    if received.flags.contains(ReturnFlags::CTRUNC) || descriptors.len() > 1 {
        return Err(invalid("more than one descriptor"));
    }
    Ok((received.bytes, descriptors.pop()))
}

fn encode(message: &Message) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len())
        .ok()
        .filter(|_| text.len() <= MESSAGE_BYTES_MAX);
    let length = length.ok_or_else(|| invalid("the message is too long"))?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(&text);
    Ok(frame)
}

fn decode(text: &[u8]) -> io::Result<Message> {
    serde_json::from_slice(text).map_err(|_| invalid("not a message of this protocol"))
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::super::{Door, VERSION};
    use super::*;
    use proptest::prelude::*;
    use std::os::fd::AsFd;
    use tokio::io::AsyncWriteExt;

    fn messages() -> impl Strategy<Value = Message> {
        let door = prop_oneof![
            Just(Door::Listener),
            Just(Door::Admin),
            Just(Door::Probes),
            Just(Door::OtlpGrpc),
            Just(Door::OtlpHttp),
        ];
        let socket = (door, ".{0,200}", any::<std::net::SocketAddr>());
        prop_oneof![
            any::<u32>().prop_map(|version| Message::Hello { version }),
            any::<usize>().prop_map(|count| Message::Sockets { count }),
            socket.prop_map(|(door, name, asked)| Message::Socket { door, name, asked }),
            Just(Message::Ready),
            Just(Message::Leaving),
            ".{0,200}".prop_map(|reason| Message::Refused { reason }),
        ]
    }

    proptest! {
        #[test]
        fn a_message_comes_out_as_it_went_in(message in messages()) {
            // An IPv6 address may have a flow and a scope, which no text has.
            let Ok(frame) = encode(&message) else { return Ok(()) };
            let again = encode(&decode(&frame[LENGTH_BYTES..]).unwrap()).unwrap();
            prop_assert_eq!(again, frame);
        }

        #[test]
        fn whatever_comes_is_a_message_or_an_error(bytes in any::<Vec<u8>>()) {
            drop(decode(&bytes));
        }
    }

    #[tokio::test]
    async fn a_descriptor_comes_with_its_own_message_and_with_no_other() {
        let (left, right) = UnixStream::pair().unwrap();
        let (ours, theirs) = std::io::pipe().unwrap();

        send(&left, &Message::Hello { version: VERSION }, None)
            .await
            .unwrap();
        send(&left, &Message::Ready, Some(ours.as_fd()))
            .await
            .unwrap();
        send(&left, &Message::Leaving, None).await.unwrap();

        let (_, none) = receive(&right).await.unwrap();
        let (ready, pipe) = receive(&right).await.unwrap();
        let (_, nor_here) = receive(&right).await.unwrap();
        assert_eq!(ready, Message::Ready);
        assert!(none.is_none() && pipe.is_some() && nor_here.is_none());
        drop((ours, theirs));
    }

    #[tokio::test]
    async fn a_length_over_the_bound_is_refused_before_anything_is_read() {
        let (mut left, right) = UnixStream::pair().unwrap();
        let length = u32::try_from(MESSAGE_BYTES_MAX).unwrap() + 1;
        left.write_all(&length.to_be_bytes()).await.unwrap();

        let error = receive(&right).await.unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_message_at_the_bound_is_sent_and_one_byte_more_is_not() {
        let empty = encode(&Message::Refused {
            reason: String::new(),
        })
        .unwrap();
        let room = MESSAGE_BYTES_MAX + LENGTH_BYTES - empty.len();
        let refused = |length| {
            encode(&Message::Refused {
                reason: "x".repeat(length),
            })
        };
        assert!(refused(room).is_ok());
        assert!(refused(room + 1).is_err());
    }
}
