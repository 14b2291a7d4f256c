//! A name server that says what a test tells it to, over UDP on loopback.

use super::until;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// One record's data.
#[derive(Clone, Debug)]
enum Data {
    Address(IpAddr),
    /// Priority, weight, port, target.
    Service(u16, u16, u16, String),
}

#[derive(Clone, Debug)]
enum Said {
    Records(Vec<Data>, u32),
    Code(u8),
    Nothing,
}

/// Answers with NXDOMAIN what it was not told.
#[derive(Clone)]
pub struct NameServer {
    pub address: SocketAddr,
    zone: Arc<Mutex<HashMap<(String, u16), Said>>>,
    /// Said of every name, whatever the zone has.
    mood: Arc<Mutex<Option<Said>>>,
    questions: Arc<Mutex<usize>>,
    task: Arc<Mutex<Option<AbortHandle>>>,
}

impl NameServer {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            zone: Arc::default(),
            mood: Arc::default(),
            questions: Arc::default(),
            task: Arc::default(),
        };
        server.serve(socket);
        server
    }

    fn serve(&self, socket: UdpSocket) {
        let this = self.clone();
        let task = tokio::spawn(async move {
            let mut packet = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                *this.questions.lock().unwrap() += 1;
                if let Some(answer) = this.answer(&packet[..length]) {
                    drop(socket.send_to(&answer, from).await);
                }
            }
        });
        *self.task.lock().unwrap() = Some(task.abort_handle());
    }

    /// Addresses of a name from now on, with this TTL in seconds.
    pub fn host(&self, name: &str, addresses: &[&str], ttl: u32) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|one| one.parse().unwrap()).collect();
        let of = |v4: bool| {
            let fitting = addresses.iter().filter(|one| one.is_ipv4() == v4);
            Said::Records(fitting.map(|one| Data::Address(*one)).collect(), ttl)
        };
        let mut zone = self.zone.lock().unwrap();
        zone.insert((name.to_owned(), A), of(true));
        zone.insert((name.to_owned(), AAAA), of(false));
    }

    /// Records of a service from now on: priority, weight, port, target.
    pub fn service(&self, name: &str, records: &[(u16, u16, u16, &str)]) {
        let records = records.iter().map(|(priority, weight, port, target)| {
            Data::Service(*priority, *weight, *port, (*target).to_owned())
        });
        let said = Said::Records(records.collect(), 0);
        let mut zone = self.zone.lock().unwrap();
        zone.insert((name.to_owned(), SRV), said);
    }

    /// Fails when it is asked for IPv4 addresses of this name.
    pub fn fail_v4(&self, name: &str) {
        let mut zone = self.zone.lock().unwrap();
        zone.insert((name.to_owned(), A), Said::Code(2));
    }

    pub fn fail_all(&self) {
        *self.mood.lock().unwrap() = Some(Said::Code(2));
    }

    pub fn deny_all(&self) {
        *self.mood.lock().unwrap() = Some(Said::Code(3));
    }

    pub fn ignore_all(&self) {
        *self.mood.lock().unwrap() = Some(Said::Nothing);
    }

    pub fn recover(&self) {
        *self.mood.lock().unwrap() = None;
    }

    /// Closes the socket: whoever asks is refused.
    pub async fn stop(&self) {
        let task = self.task.lock().unwrap().take();
        task.expect("a server that runs").abort();
        let address = self.address;
        // The port is free again once the task is gone.
        for _ in 0..1_000 {
            if UdpSocket::bind(address).await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        panic!("the name server does not stop");
    }

    pub async fn start_again(&self) {
        self.serve(UdpSocket::bind(self.address).await.unwrap());
    }

    pub fn questions(&self) -> usize {
        *self.questions.lock().unwrap()
    }

    /// Waits until it was asked this often from now on.
    pub async fn asked(&self, times: usize) {
        let before = self.questions();
        until("questions at the name server", || {
            self.questions() >= before + times
        })
        .await;
    }

    fn answer(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (name, after) = name_at(packet, 12);
        let kind = u16::from_be_bytes([packet[after], packet[after + 1]]);
        let known = self.zone.lock().unwrap().get(&(name, kind)).cloned();
        let mood = self.mood.lock().unwrap().clone();
        let said = mood.or(known).unwrap_or(Said::Code(3));
        let (code, records, ttl) = match said {
            Said::Records(records, ttl) => (0, records, ttl),
            Said::Code(code) => (code, Vec::new(), 0),
            Said::Nothing => return None,
        };
        // Its id, "this is an answer", recursion; one question, and the answers.
        let mut out = vec![packet[0], packet[1], 0x84 | (packet[2] & 1), 0x80 | code];
        out.extend([0, 1]);
        out.extend((records.len() as u16).to_be_bytes());
        out.extend([0; 4]);
        out.extend(&packet[12..after + 4]);
        for data in records {
            // The name of the question, by pointer.
            out.extend([0xc0, 12]);
            out.extend(kind.to_be_bytes());
            out.extend([0, 1]);
            out.extend(ttl.to_be_bytes());
            let bytes = data.bytes();
            out.extend((bytes.len() as u16).to_be_bytes());
            out.extend(bytes);
        }
        Some(out)
    }
}

impl Data {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Address(IpAddr::V4(address)) => address.octets().to_vec(),
            Self::Address(IpAddr::V6(address)) => address.octets().to_vec(),
            Self::Service(priority, weight, port, target) => {
                let mut bytes = Vec::new();
                for number in [priority, weight, port] {
                    bytes.extend(number.to_be_bytes());
                }
                for label in target.split('.').filter(|label| !label.is_empty()) {
                    bytes.push(label.len() as u8);
                    bytes.extend(label.as_bytes());
                }
                bytes.push(0);
                bytes
            }
        }
    }
}

/// A name in lower case, and where it ends.
fn name_at(packet: &[u8], mut at: usize) -> (String, usize) {
    let mut labels = Vec::new();
    while packet[at] != 0 {
        let length = usize::from(packet[at]);
        let label = &packet[at + 1..at + 1 + length];
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += 1 + length;
    }
    (labels.join("."), at + 1)
}
