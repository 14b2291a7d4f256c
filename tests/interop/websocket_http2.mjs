// WebSocket over HTTP/2 (RFC 8441): Node's own HTTP/2, frames by Node's `ws`. Client or echo origin.
//
//     node websocket_http2.mjs ask URL < script.json      as websocket_client.mjs does
//     node websocket_http2.mjs serve PORT

import { readFileSync } from "node:fs";
import http2 from "node:http2";
import { createRequire } from "node:module";

// NODE_PATH is for CommonJS only, and the package lies outside this tree.
const { Receiver, Sender } = createRequire(`${process.env.NODE_PATH}/`)("ws");

const [what, where] = process.argv.slice(2);
what === "serve" ? serve(Number(where)) : ask(where);

function serve(port) {
  const server = http2.createServer({ settings: { enableConnectProtocol: true } });
  server.on("stream", (stream, headers) => {
    if (headers[":protocol"] !== "websocket") {
      stream.respond({ ":status": 400 }, { endStream: true });
      return;
    }
    stream.respond({ ":status": 200 });
    stream.on("error", () => {});
    const sender = new Sender(stream, {});
    const receiver = new Receiver({ isServer: true });
    const plain = (binary) => ({ binary, fin: true, mask: false, compress: false });
    receiver.on("message", (data, binary) => sender.send(data, plain(binary)));
    receiver.on("ping", (data) => sender.pong(data, false));
    receiver.on("conclude", (code) => sender.close(code, "", false, () => stream.end()));
    stream.pipe(receiver);
  });
  server.listen(port, "127.0.0.1");
}

function ask(url) {
  const { words, code } = JSON.parse(readFileSync(0, "utf8"));
  const { host, pathname } = new URL(url);
  const session = http2.connect(`http://${host}`);
  session.once("remoteSettings", ({ enableConnectProtocol }) => {
    if (!enableConnectProtocol) throw new Error("extended CONNECT is not offered");
    const stream = session.request({
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":path": pathname,
      ":scheme": "http",
      "sec-websocket-version": "13",
    });
    stream.on("response", ({ ":status": status }) => {
      if (status !== 200) throw new Error(`status ${status}`);
      talk(session, stream, words, code);
    });
  });
}

function talk(session, stream, words, code) {
  const sender = new Sender(stream, {});
  const receiver = new Receiver({ isServer: false });
  const heard = [];
  let pongs = 0;

  const send = (data, fin = true) =>
    sender.send(data, { binary: typeof data !== "string", fin, mask: true, compress: false });
  receiver.on("pong", () => (pongs += 1));
  receiver.on("message", (data, binary) => {
    heard.push(binary ? { binary: data.length } : { text: data.toString() });
    if (heard.length === words.length) sender.close(code, "", true);
  });
  receiver.on("conclude", (ended, reason) => {
    const told = { heard, pongs, extensions: "", code: ended, reason: reason.toString() };
    console.log(JSON.stringify(told));
    stream.end();
    session.close();
  });
  stream.pipe(receiver);

  sender.ping("there?", true);
  for (const { parts, text, binary } of words) {
    if (parts) parts.forEach((part, at) => send(part, at === parts.length - 1));
    else send(text ?? Buffer.alloc(binary, 7));
  }
}
