// A client of grpc-js, with stubs that it makes of proto/ when it starts, asks a server for everything: `client.js TARGET
// COMPRESSED WATCHED TOKEN`, three addresses of the same server and a token. It writes a line for each check (README.md).
"use strict";
const assert = require("node:assert/strict");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const ELEMENTS = 5 << 18; // of FP32: 5 MiB
const COMPRESSIBLE = 1 << 17; // 512 KiB: larger answers are not compressed
const CALLS = 500;
const PATIENCE_MS = 60_000;
const LONG_MS = 600_000;
const LARGE = { "grpc.max_receive_message_length": 64 << 20 };
const PINGS = { "grpc.keepalive_time_ms": 1000, "grpc.keepalive_permit_without_calls": 1 };
const GZIP = { "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip };

const files = ["inference.proto", "grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto"];
const loaded = loader.loadSync(files, { includeDirs: [path.join(__dirname, "proto")], keepCase: true, enums: String, longs: String });
const packages = grpc.loadPackageDefinition(loaded);
const { GRPCInferenceService } = packages.inference;
const { Health } = packages.grpc.health.v1;
const { ServerReflection } = packages.grpc.reflection.v1;

const [target, compressed, watched, token] = process.argv.slice(2);
const credentials = grpc.credentials.createInsecure();
const inference = new GRPCInferenceService(target, credentials, LARGE);
const health = new Health(target, credentials);

const soon = (ms = PATIENCE_MS) => ({ deadline: Date.now() + ms });

/** A unary call: its answer, or its error. */
function ask(client, method, request, { metadata = new grpc.Metadata(), options = soon(), begun = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    begun(client[method](request, metadata, options, (error, answer) => (error ? reject(error) : resolve(answer))));
  });
}

/** The messages of a call that has several, one by one; its end is undefined, its error is thrown. */
function messages(call) {
  const come = [], waiting = [];
  const give = (one) => (waiting.length ? waiting.shift()(one) : come.push(one));
  call.on("data", (message) => give({ message }));
  call.on("end", () => give({}));
  call.on("error", (error) => give({ error }));
  return async () => {
    const { message, error } = come.length ? come.shift() : await new Promise((resolve) => waiting.push(resolve));
    if (error) throw error;
    return message;
  };
}

const refused = (promise, code, sentence = "") =>
  assert.rejects(promise, (error) => error.code === code && error.details.includes(sentence));

/** A request of the model `echo`, which gives back what it gets. */
function echo(values) {
  const raw = Buffer.from(Float32Array.from(values).buffer);
  return { model_name: "echo", id: "of grpc-js", inputs: [{ name: "x", datatype: "FP32", shape: [values.length] }],
    raw_input_contents: [raw] };
}

function values(answer) {
  const raw = Buffer.from(answer.raw_output_contents[0]);
  return Array.from(new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length)));
}

/** A request of the model `chaos`, which does as the parameter says. */
const chaos = (parameter, value) => ({
  model_name: "chaos", parameters: { [parameter]: { int64_param: value } },
  inputs: [{ name: "x", datatype: "INT32", shape: [1], contents: { int_contents: [7] } }],
});

const checks = {
  async health() {
    for (const service of ["", "inference.GRPCInferenceService"])
      assert.equal((await ask(health, "Check", { service })).status, "SERVING");
    await refused(ask(health, "Check", { service: "nix" }), grpc.status.NOT_FOUND);
  },

  async "health watch"() {
    for (const [service, expected] of [["", "SERVING"], ["nix", "SERVICE_UNKNOWN"]]) {
      const call = health.Watch({ service }, soon());
      const next = messages(call);
      assert.equal((await next()).status, expected);
      call.cancel();
      await refused(next(), grpc.status.CANCELLED);
    }
  },

  async "live and ready"() {
    assert((await ask(inference, "ServerLive", {})).live);
    assert((await ask(inference, "ServerReady", {})).ready);
    assert((await ask(inference, "ModelReady", { name: "echo" })).ready);
  },

  async "server metadata"() {
    const { name, version, extensions } = await ask(inference, "ServerMetadata", {});
    assert(name && version && extensions.includes("binary_tensor_data"));
  },

  async "model metadata"() {
    const { name, versions, inputs } = await ask(inference, "ModelMetadata", { name: "echo" });
    assert.deepEqual([name, versions, inputs], ["echo", ["1"], [{ name: "x", datatype: "FP32", shape: ["-1"] }]]);
  },

  async "model config"() {
    const { config } = await ask(inference, "ModelConfig", { name: "echo" });
    assert.deepEqual([config.name, config.backend, config.input[0].data_type], ["echo", "identity", "TYPE_FP32"]);
  },

  async "raw contents"() {
    const answer = await ask(inference, "ModelInfer", echo([1.5, -2, 3]));
    assert.deepEqual([answer.id, answer.model_version, answer.outputs[0].name], ["of grpc-js", "1", "y"]);
    assert.deepEqual(values(answer), [1.5, -2, 3]);
  },

  async "typed contents"() {
    const request = echo([1.5, -2, 3]);
    delete request.raw_input_contents;
    request.inputs[0].contents = { fp32_contents: [1.5, -2, 3] };
    assert.deepEqual(values(await ask(inference, "ModelInfer", request)), [1.5, -2, 3]);
  },

  // Who counts the bytes on the way sees that both messages were compressed.
  async compression() {
    const client = new GRPCInferenceService(compressed, credentials, { ...LARGE, ...GZIP });
    const sent = Array.from({ length: COMPRESSIBLE }, (_, i) => Math.imul(i, 2654435761) >>> 24); // compresses well, but not as a bomb
    assert.deepEqual(values(await ask(client, "ModelInfer", echo(sent))), sent);
    client.close();
  },

  async "a large message"() {
    const sent = Array.from({ length: ELEMENTS }, (_, i) => i);
    assert.deepEqual(values(await ask(inference, "ModelInfer", echo(sent))), sent);
  },

  async "an unknown model"() {
    const request = { ...echo([1]), model_name: "nobody" };
    await refused(ask(inference, "ModelInfer", request), grpc.status.NOT_FOUND, "Request for unknown model: 'nobody' is not found");
  },

  async "a deadline"() {
    await refused(ask(inference, "ModelInfer", chaos("wait_ms", LONG_MS), { options: soon(200) }), grpc.status.DEADLINE_EXCEEDED);
  },

  async cancelling() {
    const begun = (call) => setTimeout(() => call.cancel(), 200);
    await refused(ask(inference, "ModelInfer", chaos("wait_ms", LONG_MS), { begun }), grpc.status.CANCELLED);
  },

  async "a token"() {
    const bearer = (secret) => {
      const metadata = new grpc.Metadata();
      metadata.set("authorization", `Bearer ${secret}`);
      return { metadata };
    };
    const { models } = await ask(inference, "RepositoryIndex", {}, bearer(token));
    assert(models.some(({ name, state }) => name === "echo" && state === "READY"));
    await refused(ask(inference, "RepositoryIndex", {}, bearer("tensord_wrong")), grpc.status.UNAUTHENTICATED);
  },

  async "many at once"() {
    const asked = Array.from({ length: CALLS }, (_, i) => ask(inference, "ModelInfer", echo([i])));
    assert.deepEqual((await Promise.all(asked)).map((answer) => values(answer)[0]), asked.map((_, i) => i));
  },

  async "a stream"() {
    const call = inference.ModelStreamInfer(soon());
    const next = messages(call);
    for (let i = 0; i < 5; i++) call.write(echo([i]));
    for (let i = 0; i < 5; i++) assert.equal(values((await next()).infer_response)[0], i);
    call.write(chaos("stream", 3));
    for (let i = 0; i < 4; i++)
      assert.equal((await next()).infer_response.parameters.triton_final_response.bool_param, i === 3);
    call.end();
    assert.equal(await next(), undefined);
  },

  async "errors in a stream"() {
    const call = inference.ModelStreamInfer(soon());
    const next = messages(call);
    call.write({ ...echo([1]), model_name: "nobody" });
    const { error_message, infer_response } = await next();
    assert(error_message.includes("Request for unknown model: 'nobody' is not found"), error_message);
    assert.equal(infer_response.id, "of grpc-js");
    call.write(echo([2]));
    assert.equal(values((await next()).infer_response)[0], 2);
    call.end();
  },

  async reflection() {
    const call = new ServerReflection(target, credentials).ServerReflectionInfo(soon());
    const next = messages(call);
    call.write({ list_services: "" });
    const names = (await next()).list_services_response.service.map(({ name }) => name);
    assert(names.includes("inference.GRPCInferenceService") && names.includes("grpc.health.v1.Health"));
    call.write({ file_containing_symbol: "inference.GRPCInferenceService" });
    const [file] = (await next()).file_descriptor_response.file_descriptor_proto;
    for (const method of Object.keys(GRPCInferenceService.service)) assert(Buffer.from(file).includes(method), method);
    call.end();
  },

  // On one connection: a watch, pings until the input ends, and a call.
  async keepalive() {
    const channel = new grpc.Channel(watched, credentials, PINGS);
    const shared = { channelOverride: channel };
    const call = new Health(watched, credentials, shared).Watch({});
    const next = messages(call);
    assert.equal((await next()).status, "SERVING");
    console.log("watching");
    await new Promise((resolve) => process.stdin.on("end", resolve).resume());
    assert((await ask(new GRPCInferenceService(watched, credentials, shared), "ServerLive", {})).live);
    call.cancel();
    await refused(next(), grpc.status.CANCELLED);
  },
};

async function main() {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok: ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAILED: ${name}: ${String(error.stack).replaceAll("\n", " ")}`);
    }
  }
  process.exit(failed ? 1 : 0);
}

main();
