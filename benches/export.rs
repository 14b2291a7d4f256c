//! What a request pays to have its spans exported: one push of two spans of 500 bytes.
//!
//! The exporter behind it works as it would: batches leave over HTTP to a collector in this
//! process that answers at once. Between samples the queue is emptied, outside the time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench may end at the first thing that is not as it should be"
)]

use bytes::Bytes;
use edgespan::export::{BatchSettings, Compression, Exporter, OtlpSettings, Protocol, TlsSettings};
use edgespan::trace::sink::{FinishedSpans, SpanSink as _};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use tokio::runtime::Runtime;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// Half of what the default queue holds, so that no push is dropped.
const PUSHES: u32 = 4096;

#[divan::bench(sample_count = 200, sample_size = PUSHES, threads = [1, 2])]
fn push_two_spans(bencher: divan::Bencher<'_, '_>) {
    let (runtime, exporter) = exporter();
    let spans = two_spans();
    bencher
        .with_inputs(|| {
            while exporter.account().snapshot().pending > 0 {
                runtime.block_on(exporter.flush(Duration::from_secs(10)));
            }
        })
        .bench_values(|()| exporter.accept(divan::black_box(&spans)));
    let account = runtime.block_on(exporter.shutdown(Duration::from_secs(10)));
    assert_eq!(account.dropped.total(), 0, "{account}");
}

/// Two records of 500 bytes: tag, length in two bytes, and a name to fill the rest.
fn two_spans() -> FinishedSpans {
    let mut span = vec![0x12, 0xf1, 0x03, 0x2a, 0xee, 0x03];
    span.resize(500, b'x');
    FinishedSpans {
        bytes: span.repeat(2),
        count: 2,
    }
}

fn exporter() -> (Runtime, Exporter) {
    let endpoint = format!("http://{}/v1/traces", collector());
    let settings = OtlpSettings {
        endpoint: endpoint.parse().unwrap(),
        protocol: Protocol::HttpProtobuf,
        compression: Compression::None,
        headers: Vec::new(),
        timeout: Duration::from_secs(10),
        tls: TlsSettings::default(),
        batch: BatchSettings::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let entered = runtime.enter();
    let exporter = Exporter::start(&settings, Bytes::new()).unwrap();
    drop(entered);
    (runtime, exporter)
}

/// Reads requests and says yes.
fn collector() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        if let Some((_, value)) = line.split_once("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
        }
        line.clear();
    }
}
