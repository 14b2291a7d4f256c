"""Where spans arrive: an OTLP receiver over HTTP and gRPC.

It reads with the package that OpenTelemetry generates from its own protocol files, so a span that
edgespan writes by hand is judged by somebody else's reader.
"""

import concurrent.futures
import dataclasses
import gzip
import http.server
import threading
import time

import grpc
import zstandard
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from origin import Server, read_body

# Most bytes of one export, unpacked. Nothing here sends more.
BODY_MAX = 64 << 20


@dataclasses.dataclass
class Export:
    """One export request as it came over the wire."""

    transport: str
    encoding: str
    headers: dict
    spans: int


@dataclasses.dataclass
class Span:
    """One span with everything around it, values in Python's own types."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    flags: int
    trace_state: str
    start: int
    end: int
    attributes: dict
    events: list
    links: list
    status: str
    resource: dict
    scope: tuple
    schema_url: str
    dropped_attributes: int

    @property
    def service(self):
        """The service whose span this is."""
        return self.resource.get("service.name")


def value(wire):
    """An AnyValue as Python's own type, so that 200 and "200" differ in a comparison."""
    kind = wire.WhichOneof("value")
    if kind == "array_value":
        return [value(item) for item in wire.array_value.values]
    if kind == "kvlist_value":
        return attributes(wire.kvlist_value.values)
    return getattr(wire, kind) if kind else None


def attributes(wire):
    """Attributes by key. A key that comes twice is not valid OTLP."""
    found = {pair.key: value(pair.value) for pair in wire}
    assert len(found) == len(wire), f"a key comes twice: {sorted(p.key for p in wire)}"
    return found


def spans_of(request):
    """Every span of an ExportTraceServiceRequest."""
    for of_resource in request.resource_spans:
        resource = attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            scope = (of_scope.scope.name, of_scope.scope.version)
            for span in of_scope.spans:
                yield Span(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_span_id=span.parent_span_id.hex(),
                    name=span.name,
                    kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    flags=span.flags,
                    trace_state=span.trace_state,
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    attributes=attributes(span.attributes),
                    events=[(event.name, attributes(event.attributes)) for event in span.events],
                    links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                    status=trace_pb2.Status.StatusCode.Name(span.status.code)[12:],
                    resource=resource,
                    scope=scope,
                    schema_url=of_scope.schema_url or of_resource.schema_url,
                    dropped_attributes=span.dropped_attributes_count,
                )


class Receiver:
    """Both doors, one store."""

    def __init__(self, http_port, grpc_port):
        self.http_endpoint = f"http://127.0.0.1:{http_port}"
        self.grpc_endpoint = f"http://127.0.0.1:{grpc_port}"
        self.exports = []
        self._spans = []
        self._arrived = threading.Condition()
        self._http = self._serve_http(http_port)
        self._grpc = self._serve_grpc(grpc_port)

    def stop(self):
        """Closes both doors."""
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(grace=None).wait()

    def spans(self):
        """What has arrived so far."""
        with self._arrived:
            return list(self._spans)

    def forget(self):
        """Empties the store."""
        with self._arrived:
            self._spans.clear()
            self.exports.clear()

    def wait(self, wanted, count=1, seconds=10):
        """The spans for which `wanted` is true, once there are `count`."""
        until = time.monotonic() + seconds
        with self._arrived:
            while True:
                found = [span for span in self._spans if wanted(span)]
                if len(found) >= count:
                    return found
                left = until - time.monotonic()
                if left <= 0:
                    seen = [(s.kind, s.name, s.service, s.trace_id) for s in self._spans[-8:]]
                    raise AssertionError(f"{len(found)} of {count} spans came; last: {seen}")
                self._arrived.wait(left)

    def _take(self, body, transport, encoding, headers):
        request = service.ExportTraceServiceRequest.FromString(body)
        spans = list(spans_of(request))
        with self._arrived:
            self._spans += spans
            self.exports.append(Export(transport, encoding, headers, len(spans)))
            self._arrived.notify_all()

    def _serve_http(self, port):
        take = self._take

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = read_body(self)
                headers = {name.lower(): text for name, text in self.headers.items()}
                encoding = headers.get("content-encoding", "identity")
                status, problem = self.refuse(headers)
                if status == 200:
                    try:
                        take(unpack(body, encoding), "http", encoding, headers)
                    except Exception as error:  # whoever sent it is to hear of it
                        status, problem = 400, str(error)
                answer = service.ExportTraceServiceResponse().SerializeToString()
                answer = answer if status == 200 else problem.encode()
                self.send_response(status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def refuse(self, headers):
                if self.path != "/v1/traces":
                    return 404, f"no {self.path}"
                if headers.get("content-type") != "application/x-protobuf":
                    return 415, f"content-type {headers.get('content-type')}"
                return 200, ""

            def log_message(self, *_):
                pass

        server = Server(("127.0.0.1", port), Handler)
        server.begin()
        return server

    def _serve_grpc(self, port):
        take = self._take

        class Servicer(service_grpc.TraceServiceServicer):
            def Export(self, request, context):
                metadata = {pair.key: pair.value for pair in context.invocation_metadata()}
                # grpcio keeps `grpc-encoding` to itself; it has unpacked the message already.
                take(request.SerializeToString(), "grpc", "", metadata)
                return service.ExportTraceServiceResponse()

        pool = concurrent.futures.ThreadPoolExecutor(max_workers=4)
        server = grpc.server(pool, options=[("grpc.max_receive_message_length", BODY_MAX)])
        service_grpc.add_TraceServiceServicer_to_server(Servicer(), server)
        assert server.add_insecure_port(f"127.0.0.1:{port}") == port
        server.start()
        return server


def unpack(body, encoding):
    """The message inside a body."""
    match encoding:
        case "identity":
            return body
        case "gzip":
            return gzip.decompress(body)
        case "zstd":
            frames = zstandard.ZstdDecompressor().decompressobj()
            return frames.decompress(body)
    raise ValueError(f"content-encoding {encoding}")
