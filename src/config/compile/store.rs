//! The store of recent traces: how much, and where services may send to it.

use super::Compiler;
use crate::admin::AdminSettings;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::plan::StorePlan;
use crate::config::{raw, scalar};
use crate::listener::ListenerSettings;
use std::net::SocketAddr;

/// How much memory it may take if nobody says.
const MEMORY: u64 = 64 * 1024 * 1024;
/// Below this it would hold next to nothing.
const MEMORY_MIN: u64 = 1024 * 1024;

/// What a file says of it.
pub(super) fn compile(
    written: &raw::Store,
    listeners: &[ListenerSettings],
    admin: &AdminSettings,
    compiler: &mut Compiler<'_>,
) -> StorePlan {
    let bytes_max = memory(written, compiler);
    let otlp = &written.otlp;
    let mut taken = vec![
        ("admin.address", admin.address),
        ("admin.probes", admin.probes),
    ];
    let mut door = |key: &'static str, address: Option<&Spanned<raw::AddressText>>| {
        let written = address?;
        if bytes_max.is_none() {
            let message = format!("`{key}` has no effect here");
            let diagnostic = Diagnostic::at(Code::NoEffect, &written.span, message);
            compiler.tell(diagnostic.label("the store is off"));
        }
        let read = compiler.own_address(&written.span, &written.value.0, listeners)?;
        own(read, &taken, key, written, compiler);
        taken.push((key, Some(read)));
        bytes_max.map(|_| read)
    };
    StorePlan {
        otlp_grpc: door("store.otlp.grpc", otlp.grpc.as_ref()),
        otlp_http: door("store.otlp.http", otlp.http.as_ref()),
        bytes_max,
    }
}

fn memory(written: &raw::Store, compiler: &mut Compiler<'_>) -> Option<usize> {
    let Some(memory) = &written.memory else {
        return usize::try_from(MEMORY).ok();
    };
    if memory.value.0 == "off" {
        return None;
    }
    let read = scalar::size(&memory.value.0);
    let bytes = compiler.value(&memory.span, Code::Size, read)?;
    if bytes < MEMORY_MIN {
        let message = "this is too little to keep traces in";
        let diagnostic = Diagnostic::at(Code::OutOfRange, &memory.span, message);
        compiler.tell(diagnostic.label("at least 1MiB, or `off`"));
    }
    usize::try_from(bytes).ok()
}

/// Tells of an address that another door of the process has.
fn own(
    read: SocketAddr,
    taken: &[(&str, Option<SocketAddr>)],
    key: &str,
    written: &Spanned<raw::AddressText>,
    compiler: &mut Compiler<'_>,
) {
    let same = |(_, address): &&(&str, Option<SocketAddr>)| *address == Some(read);
    if read.port() != 0
        && let Some((holder, _)) = taken.iter().find(same)
    {
        let message = format!("`{key}` needs an address of its own");
        let diagnostic = Diagnostic::at(Code::DuplicateName, &written.span, message);
        compiler.tell(diagnostic.label(format!("`{holder}` has it")));
    }
}
