// An HTTP/2 origin that goes wrong as its path says, on Node's own HTTP/2.
//
//     node faulty_http2.mjs PORT

import http2 from "node:http2";

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM } = http2.constants;
const OK = { ":status": 200 };

const faults = {
  "/good": (stream) => {
    stream.respond(OK);
    stream.end("good\n");
  },
  "/refused": (stream) => stream.close(NGHTTP2_REFUSED_STREAM),
  "/reset-before-the-head": (stream) => stream.close(NGHTTP2_INTERNAL_ERROR),
  "/cancelled-before-the-head": (stream) => stream.close(NGHTTP2_CANCEL),
  "/reset-after-the-head": (stream) => {
    stream.respond({ ...OK, "content-length": 1000 });
    stream.write("x".repeat(500));
    setTimeout(() => stream.close(NGHTTP2_INTERNAL_ERROR), 300);
  },
  "/half-a-body": (stream) => {
    stream.respond({ ...OK, "content-length": 1000 });
    stream.end("x".repeat(500));
  },
  "/loses-the-connection": (stream) => stream.session.destroy(),
  "/loses-the-connection-after-the-head": (stream) => {
    stream.respond({ ...OK, "content-length": 1000 });
    stream.write("x".repeat(500));
    setTimeout(() => stream.session.destroy(), 300);
  },
  "/goes-away-and-answers": (stream) => {
    stream.session.goaway();
    faults["/good"](stream);
  },
  "/stops-within-the-body": (stream) => {
    stream.respond({ ...OK, "content-length": 1000 });
    stream.write("x".repeat(500));
  },
  "/never-answers": () => {},
};

const server = http2.createServer();
server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  faults[headers[":path"]](stream);
});
server.on("sessionError", () => {});
server.listen(Number(process.argv[2]), "127.0.0.1");
