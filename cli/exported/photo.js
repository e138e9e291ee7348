// From a photo's bytes to what the network sees of it, as the endpoint does it (Pillow's arithmetic, step by step).

const PRECISION = 22; // bits of a weight's fraction
const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    weight: (given) => {
      const x = Math.abs(given);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
};

/** Return the photo's middle, upright and on white, as RGB: Uint8Array of image_size * image_size * 3. */
export async function pixels(data, { image_size: size, resize, interpolation = "bilinear" }) {
  const stored = await decode(withoutOrientation(data));
  const isJpeg = data[0] === 0xff && data[1] === 0xd8;
  const { pixels: all, width, height } = upright(isJpeg ? drafted(stored, resize) : stored, orientation(data));
  const side = (Math.min(width, height) * size) / resize;
  const [left, top] = [(width - side) / 2, (height - side) / 2];
  const box = [Math.max(left, 0), Math.max(top, 0), Math.min(left + side, width), Math.min(top + side, height)];
  const columns = weights(width, box[0], box[2], size, FILTERS[interpolation]);
  const rows = weights(height, box[1], box[3], size, FILTERS[interpolation]);
  return vertically(horizontally(all, width, height, columns), size, rows);
}

/** Let the browser decode, without turning the picture, and lay it on white. */
async function decode(data) {
  const bitmap = await createImageBitmap(new Blob([data])).catch(() => {
    throw new Error("this browser cannot decode it, or it is damaged; convert it to JPEG or PNG");
  });
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return { pixels: rgb, width, height };
}

/** Shrink a large JPEG as libjpeg does that decodes it at a half, a quarter or an eighth: to the means of squares. */
function drafted(stored, resize) {
  const { pixels: all, width, height } = stored;
  const step = [8, 4, 2].find((one) => one <= Math.min(width, height) / (2 * resize));
  if (!step) return stored;
  const [w, h] = [Math.ceil(width / step), Math.ceil(height / step)];
  const out = new Uint8Array(w * h * 3);
  for (let y = 0, to = 0; y < h; y++) {
    const bottom = Math.min((y + 1) * step, height);
    for (let x = 0; x < w; x++) {
      const right = Math.min((x + 1) * step, width);
      for (let band = 0; band < 3; band++, to++) {
        let sum = 0;
        for (let row = y * step; row < bottom; row++)
          for (let column = x * step; column < right; column++) sum += all[(row * width + column) * 3 + band];
        out[to] = Math.round(sum / ((bottom - y * step) * (right - x * step)));
      }
    }
  }
  return { pixels: out, width: w, height: h };
}

/** Yield the segments of a JPEG's header, the chunks of a PNG or of a WebP: where each begins and ends, and its name. */
function* parts(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const name = (at) => String.fromCharCode(...data.subarray(at, at + 4));
  if (data[0] === 0xff && data[1] === 0xd8) {
    for (let at = 2; at + 4 <= data.length && data[at] === 0xff && data[at + 1] !== 0xda; ) {
      const end = at + 2 + view.getUint16(at + 2);
      yield { name: `FF${data[at + 1].toString(16)}`, begin: at, content: at + 4, end };
      at = end;
    }
  } else if (name(0) === "\x89PNG") {
    for (let at = 8; at + 12 <= data.length; ) {
      const end = at + 12 + view.getUint32(at);
      yield { name: name(at + 4), begin: at, content: at + 8, end };
      at = end;
    }
  } else if (name(0) === "RIFF" && name(8) === "WEBP") {
    for (let at = 12; at + 8 <= data.length; ) {
      const length = view.getUint32(at + 4, true);
      yield { name: name(at), begin: at, content: at + 8, end: at + 8 + length + (length % 2) };
      at += 8 + length + (length % 2);
    }
  }
}

const carriesMetadata = ({ name }) => ["FFe1", "eXIf", "iTXt", "EXIF", "XMP "].includes(name);

/** Return the file without EXIF and XMP, so that every browser leaves the picture as it is stored, and with an end. */
function withoutOrientation(data) {
  const kept = [];
  let at = 0;
  for (const part of parts(data)) {
    if (!carriesMetadata(part)) continue;
    kept.push(data.subarray(at, part.begin));
    at = part.end;
  }
  kept.push(data.subarray(at));
  if (data[0] === 0xff && data[1] === 0xd8) kept.push(Uint8Array.of(0xff, 0xd9)); // some JPEGs lack their end marker
  const joined = new Uint8Array(kept.reduce((sum, part) => sum + part.length, 0));
  let to = 0;
  for (const part of kept) {
    joined.set(part, to);
    to += part.length;
  }
  if (String.fromCharCode(...joined.subarray(0, 4)) === "RIFF") new DataView(joined.buffer).setUint32(4, to - 8, true);
  return joined;
}

/** Return how the picture is stored, 1 to 8: EXIF's orientation counts, else XMP's, else it is upright. */
function orientation(data) {
  const found = { exif: 0, xmp: 0 };
  for (const part of parts(data)) {
    if (!carriesMetadata(part)) continue;
    const content = data.subarray(part.content, Math.min(part.end, data.length));
    const text = new TextDecoder("latin1").decode(content);
    const exif = text.startsWith("Exif\0\0") ? content.subarray(6) : content;
    if (["FFe1", "eXIf", "EXIF"].includes(part.name) && /^(II\*\0|MM\0\*)/.test(text.replace(/^Exif\0\0/, ""))) {
      found.exif ||= exifOrientation(exif);
    } else {
      const stated = /tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])\s*["'<]/.exec(text);
      if (stated) found.xmp ||= Number(stated[1]);
    }
  }
  return found.exif || found.xmp || 1;
}

function exifOrientation(tiff) {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  const little = tiff[0] === 0x49;
  const directory = view.getUint32(4, little);
  for (let entry = directory + 2; entry + 12 <= tiff.length; entry += 12) {
    if (entry >= directory + 2 + 12 * view.getUint16(directory, little)) break;
    if (view.getUint16(entry, little) !== 0x0112) continue;
    const value = view.getUint16(entry + 8, little);
    return value >= 1 && value <= 8 ? value : 0;
  }
  return 0;
}

/** Turn and mirror a picture that is stored as EXIF numbers it. */
function upright({ pixels: stored, width, height }, stands) {
  if (stands === 1) return { pixels: stored, width, height };
  const turned = stands >= 5;
  const [w, h] = turned ? [height, width] : [width, height];
  const mirrorX = [2, 3, 7, 8].includes(stands);
  const mirrorY = [3, 4, 6, 7].includes(stands);
  const out = new Uint8Array(stored.length);
  for (let y = 0, to = 0; y < h; y++) {
    for (let x = 0; x < w; x++, to += 3) {
      const [column, row] = turned ? [y, x] : [x, y];
      const from = ((mirrorY ? height - 1 - row : row) * width + (mirrorX ? width - 1 - column : column)) * 3;
      out[to] = stored[from];
      out[to + 1] = stored[from + 1];
      out[to + 2] = stored[from + 2];
    }
  }
  return { pixels: out, width: w, height: h };
}

/** Return for each place of the result which places of the source it is made of, and their weights. */
function weights(length, begin, end, size, { support, weight }) {
  const [first, last] = [Math.fround(begin), Math.fround(end)];
  const scale = Math.fround(last - first) / size;
  const stretch = Math.max(scale, 1);
  return Array.from({ length: size }, (_, place) => {
    const center = first + (place + 0.5) * scale;
    const from = Math.max(Math.trunc(center - support * stretch + 0.5), 0);
    const to = Math.min(Math.trunc(center + support * stretch + 0.5), length);
    const raw = Array.from({ length: to - from }, (_, x) => weight((x + from - center + 0.5) * (1 / stretch)));
    const sum = raw.reduce((total, one) => total + one, 0);
    const whole = raw.map((one) => (one / sum) * 2 ** PRECISION);
    return { from, weights: Int32Array.from(whole, (one) => Math.trunc(one < 0 ? one - 0.5 : one + 0.5)) };
  });
}

const clipped = (sum) => Math.min(Math.max(sum >> PRECISION, 0), 255);

function horizontally(source, width, height, places) {
  const out = new Uint8Array(places.length * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    for (const { from, weights } of places) {
      for (let band = 0; band < 3; band++, to++) {
        let sum = 1 << (PRECISION - 1);
        for (let x = 0, at = (y * width + from) * 3 + band; x < weights.length; x++, at += 3)
          sum += source[at] * weights[x];
        out[to] = clipped(sum);
      }
    }
  }
  return out;
}

function vertically(source, width, places) {
  const out = new Uint8Array(places.length * width * 3);
  let to = 0;
  for (const { from, weights } of places) {
    for (let column = 0; column < width * 3; column++, to++) {
      let sum = 1 << (PRECISION - 1);
      for (let y = 0, at = from * width * 3 + column; y < weights.length; y++, at += width * 3)
        sum += source[at] * weights[y];
      out[to] = clipped(sum);
    }
  }
  return out;
}
