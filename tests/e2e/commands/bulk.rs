//! Bodies of any length pass through the same few pages of memory.

use super::program::{Program, edgespan};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const MIB: u64 = 1 << 20;
const BODY_BYTES: u64 = 512 * MIB;
/// What a process may take on beside what it had when it was idle. Buffers of sockets are not its
/// own; a body that is kept would be sixteen times this.
const GROWTH_MAX: u64 = 32 * MIB;

/// Longest of one transfer: half a gigabyte through an unoptimised build on a busy machine.
const TRANSFER_MAX: Duration = Duration::from_secs(120);

/// An origin that answers a GET with a long body, and reads that of a POST before it answers.
async fn bulk_origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn serve(mut stream: TcpStream) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    if head.starts_with(b"GET /bulk") {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY_BYTES}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut body = tokio::io::repeat(b'x').take(BODY_BYTES);
        drop(tokio::io::copy(&mut body, &mut stream).await);
    } else if head.starts_with(b"POST") {
        let end = head
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap()
            + 4;
        let mut left = BODY_BYTES - u64::try_from(head.len() - end).unwrap();
        let mut chunk = vec![0; 256 * 1024];
        while left > 0 {
            let read = stream.read(&mut chunk).await.unwrap();
            assert!(read > 0, "the upload broke off");
            left -= u64::try_from(read).unwrap();
        }
        drop(
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await,
        );
    } else {
        drop(
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await,
        );
    }
}

/// Sends a head and a body of zeros, and reads the answer until its connection ends.
async fn exchange(to: SocketAddr, head: &str, sent: u64) -> u64 {
    let exchanged = tokio::time::timeout(TRANSFER_MAX, async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::io::copy(&mut tokio::io::repeat(0).take(sent), &mut stream)
            .await
            .unwrap();
        let mut answer = Vec::with_capacity(1024);
        stream.read_buf(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
        let rest = tokio::io::copy(&mut stream, &mut tokio::io::sink())
            .await
            .unwrap();
        rest + u64::try_from(answer.len()).unwrap()
    });
    exchanged.await.expect("a transfer in time")
}

/// The most memory that the program had so far, in bytes.
fn peak(program: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn half_a_gigabyte_each_way_takes_no_memory_of_its_own() {
    let origin = bulk_origin().await;
    let program = edgespan(&[
        "run",
        "--quiet",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--to",
    ])
    .argument(format!("http://{origin}"))
    .start();
    let address = program.address_behind("listening").await;
    let close = "host: a\r\nconnection: close\r\n";
    exchange(address, &format!("GET / HTTP/1.1\r\n{close}\r\n"), 0).await;
    let before = peak(&program);

    let get = format!("GET /bulk HTTP/1.1\r\n{close}\r\n");
    let received = exchange(address, &get, 0).await;
    let post = format!("POST / HTTP/1.1\r\n{close}content-length: {BODY_BYTES}\r\n\r\n");
    exchange(address, &post, BODY_BYTES).await;

    assert!(received > BODY_BYTES, "{received}");
    let growth = peak(&program) - before;
    assert!(growth < GROWTH_MAX, "{} MiB more", growth / MIB);
}
