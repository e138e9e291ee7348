// From a file that somebody chose to what is sent: upright, of a size that the model profits from, as JPEG.

const SHORTER_SIDE = 1024; // the model looks at a few hundred pixels; contract/hyperparameters.py: at most 1024
const LONGER_SIDE = 4096;
const SENT_AS_IT_IS = 1_000_000; // bytes; a smaller file of a common format gains nothing from being encoded again
const MOST_BYTES = 4_000_000; // contract.MAX_SERVERLESS_IMAGE_BYTES
const LARGEST_FILE = 100_000_000; // bytes
const COMMON = ["image/jpeg", "image/png", "image/webp"];

/** A photo that cannot be sent; the message says why and what to do. */
class PhotoError extends Error {}

/**
 * Return what is sent of a file, and its size on the screen.
 *
 * @returns {Promise<{blob: Blob, width: number, height: number}>} width and height of the upright photo in pixels; 0
 *     where this browser cannot show the format, which the model may still read
 */
async function preparePhoto(file) {
  if (file.size === 0) throw new PhotoError("The file is empty, or a folder. Choose photos, one or several.");
  if (/^(text|audio|video)\/|^application\/(pdf|zip|json)/.test(file.type)) {
    throw new PhotoError(`This is no photo, but a file of type ${file.type}. Choose a JPEG, PNG or WebP, for example.`);
  }
  if (file.size > LARGEST_FILE) throw new PhotoError("The file has more than 100 MB. Make the photo smaller.");

  const bitmap = await decode(file);
  if (!bitmap) {
    if (file.size > MOST_BYTES) {
      throw new PhotoError("This browser cannot read the file, and it has too many bytes to send it as it is. Save it as JPEG.");
    }
    // the endpoint says whether one that ends early is whole, which it could not if it was encoded again
    const image = await show(file);
    return {blob: file, width: image?.naturalWidth ?? 0, height: image?.naturalHeight ?? 0};
  }
  try {
    const {width, height} = bitmap;
    const scale = Math.min(1, SHORTER_SIDE / Math.min(width, height), LONGER_SIDE / Math.max(width, height));
    if (scale === 1 && file.size <= SENT_AS_IT_IS && COMMON.includes(file.type)) return {blob: file, width, height};
    const drawn = draw(bitmap, Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
    return {blob: await encode(drawn), width: drawn.width, height: drawn.height};
  } finally {
    bitmap.close();
  }
}

/** Return the picture, set upright; null where this browser cannot read the file. */
async function decode(file) {
  try {
    return await createImageBitmap(file, {imageOrientation: "from-image"});
  } catch {
    return null;
  }
}

/** Return the picture as browsers show it even if the file ends early; null where this browser cannot read it. */
async function show(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    return image;
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

/** Return a canvas with the picture on white, as the model sees transparency. */
function draw(bitmap, width, height) {
  // Halving step by step takes the mean of all pixels, which one step over a large distance does not.
  let source = bitmap;
  let [w, h] = [bitmap.width, bitmap.height];
  do {
    [w, h] = [Math.max(width, Math.ceil(w / 2)), Math.max(height, Math.ceil(h / 2))];
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [w, h];
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.fillStyle = "#fff";
    context.fillRect(0, 0, w, h);
    context.drawImage(source, 0, 0, w, h);
    source = canvas;
  } while (w > width || h > height);
  return source;
}

/** Return the canvas as JPEG of at most MOST_BYTES. */
async function encode(canvas) {
  for (const quality of [0.92, 0.8, 0.6]) {
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
    if (blob && blob.size <= MOST_BYTES) return blob;
  }
  throw new PhotoError("The photo could not be made small enough to send. Make it smaller.");
}

/** Return a small picture for the history, as a data: URL. */
async function thumbnail(photo) {
  const picture = photo.width && (await decode(photo.blob) ?? await show(photo.blob));
  if (!picture) return "";
  const scale = Math.min(1, 320 / Math.max(picture.width, picture.height));
  const canvas = draw(picture, Math.max(1, Math.round(picture.width * scale)), Math.max(1, Math.round(picture.height * scale)));
  picture.close?.();
  return canvas.toDataURL("image/jpeg", 0.8);
}
