// Classify photos in the browser with the model in this folder, as the endpoint does.

import * as ort from "./onnxruntime-web/ort.wasm.bundle.min.mjs";
import { pixels } from "./photo.js";

ort.env.wasm.wasmPaths = { wasm: new URL("./onnxruntime-web/ort-wasm-simd-threaded.wasm", import.meta.url).href };
ort.env.wasm.numThreads = 1; // more need a page that is isolated from other origins

const fetched = async (name) => (await fetch(new URL(name, import.meta.url))).arrayBuffer();
const card = JSON.parse(new TextDecoder().decode(await fetched("model.json")));
const session = await ort.InferenceSession.create(new Uint8Array(await fetched("model.onnx")));

/** Return the label, its score, whether the photo is known, and every class's score, the likeliest first. */
export async function classify(data) {
  const seen = await pixels(new Uint8Array(data), card);
  const image = new ort.Tensor("uint8", seen, [1, card.image_size, card.image_size, 3]);
  const names = session.outputNames.filter((name) => ["probabilities", "distance"].includes(name));
  const found = await session.run({ image }, names);
  const predictions = Array.from(found.probabilities.data, (score, index) => ({ label: card.labels[index], score }));
  predictions.sort((a, b) => b.score - a.score);
  const distance = found.distance ? found.distance.data[0] : null;
  return { ...predictions[0], known: distance === null ? null : distance <= 1, distance, predictions };
}

async function show(files) {
  const list = document.querySelector("#answers");
  for (const file of files) {
    const item = list.appendChild(document.createElement("li"));
    try {
      const { label, score, known } = await classify(await file.arrayBuffer());
      const doubt = known === false ? ", but unlike the photos that the model was trained on" : "";
      item.textContent = `${file.name}: ${label}, ${(100 * score).toFixed(1)} %${doubt}`;
    } catch (error) {
      item.textContent = `${file.name} cannot be classified: ${error.message}`;
    }
  }
}

if (typeof document !== "undefined") {
  const input = document.querySelector("#photos");
  input.addEventListener("change", () => show(input.files));
  input.disabled = false;
}
