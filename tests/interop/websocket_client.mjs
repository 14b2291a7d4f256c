// A WebSocket client on Node's `ws`. It says each word of a script that comes on standard input, and
// prints what it heard, as JSON.
//
//     node websocket_client.mjs URL deflate|plain < script.json
//
// The script: {"words": [{"text": "..."}, {"binary": 70000}, {"parts": ["a", "b"]}], "code": 1000}

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// NODE_PATH is for CommonJS only, and the package lies outside this tree.
const { WebSocket } = createRequire(`${process.env.NODE_PATH}/`)("ws");

const [url, compression] = process.argv.slice(2);
const { words, code } = JSON.parse(readFileSync(0, "utf8"));
const deflate = compression === "deflate" && { threshold: 0 };
const client = new WebSocket(url, { perMessageDeflate: deflate });
const heard = [];
let pongs = 0;

function say(word) {
  if (word.parts) {
    word.parts.forEach((part, at) => client.send(part, { fin: at === word.parts.length - 1 }));
  } else {
    client.send(word.text ?? Buffer.alloc(word.binary, 7));
  }
}

client.on("open", () => {
  client.ping("there?");
  words.forEach(say);
});
client.on("pong", () => (pongs += 1));
client.on("message", (data, binary) => {
  heard.push(binary ? { binary: data.length } : { text: data.toString() });
  if (heard.length === words.length) client.close(code);
});
client.on("close", (ended, reason) => {
  const extensions = client.extensions;
  console.log(JSON.stringify({ heard, pongs, extensions, code: ended, reason: reason.toString() }));
});
