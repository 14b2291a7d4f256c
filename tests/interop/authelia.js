// What Authelia 3 needs of a Node that is younger than itself; its own files stay as they are.

"use strict";

const { execFile } = require("node:child_process");
const http = require("node:http");
const Module = require("node:module");

// Its `crypt3` is C++ that no longer builds; Perl asks the same function of the C library.
function crypt(password, salt, done) {
  execFile("perl", ["-e", "print crypt($ARGV[0], $ARGV[1])", password, salt], done);
}

const load = Module._load;
Module._load = function (name, ...rest) {
  return name === "crypt3" ? crypt : load.call(this, name, ...rest);
};

// It looks for `headers` among a request's own properties, where they once were.
const emit = http.Server.prototype.emit;
http.Server.prototype.emit = function (event, request, ...rest) {
  if (event === "request") {
    Object.defineProperty(request, "headers", { value: request.headers });
  }
  return emit.call(this, event, request, ...rest);
};
