// Prints shape and SHA-256 of a dataset, as h5wasm reads it; to be run where the packages are: node --input-type=module - FILE DATASET < read.mjs
import { createHash } from "node:crypto";
import h5wasm from "h5wasm/node";
import { install_local_plugins } from "h5wasm-plugins";

const [, , name, dataset] = process.argv;
install_local_plugins(await h5wasm.ready);
const found = new h5wasm.File(name, "r").get(dataset);
const pixels = found.value;
const digest = createHash("sha256").update(Buffer.from(pixels.buffer, pixels.byteOffset, pixels.byteLength)).digest("hex");
console.log(JSON.stringify({ shape: found.shape, sha256: digest }));
