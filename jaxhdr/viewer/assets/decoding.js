// Unpacks what jaxhdr/viewer/packing.py packed; its docstring has the format.

function bytesOfText(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Writes one plane of a band into an image whose channels alternate. */
function writePlane(bytes, plane, band, image) {
  const { start, pixels, width, channels } = band;
  const isWide = image.BYTES_PER_ELEMENT === 2;
  const largest = isWide ? 0xffff : 0xff;
  const high = plane * pixels;
  const low = isWide ? (channels + plane) * pixels : high;
  let at = start * channels + plane;
  for (let first = 0; first < pixels; first += width) {
    let value = 0;
    for (let i = first; i < first + width; i++, at += channels) {
      const folded = isWide ? (bytes[high + i] << 8) | bytes[low + i] : bytes[low + i];
      value = (value + ((folded >>> 1) ^ -(folded & 1))) & largest;
      image[at] = value;
    }
  }
}

/** Adds green to red and blue, and the image that a difference was stored from. */
function addBase(image, band, base) {
  const { start, pixels, channels } = band;
  for (let at = start * channels; at < (start + pixels) * channels; at += channels) {
    image[at] += image[at + 1];
    image[at + 2] += image[at + 1];
    if (!base) continue;
    for (let c = 0; c < 3; c++) image[at + c] += base[at + c];
  }
}

const nextTask = () => new Promise((resolve) => setTimeout(resolve));

/**
 * Returns the integers of an image, (height, width, channels).
 *
 * `view` is what packed_view returns as facts, `textOf(band)` the text of a band, and
 * `base` the image that a difference was stored from, or null. Between bands the page
 * stays responsive.
 */
async function decodeImage(view, index, textOf, base) {
  const isCoded = view.images[index].kind === "photograph";
  const channels = isCoded ? 4 : 3;
  const { width, height, bandRows } = view;
  const image = new (isCoded ? Uint8Array : Uint16Array)(width * height * channels);
  for (let row = 0; row < height; row += bandRows) {
    const pixels = Math.min(bandRows, height - row) * width;
    const band = { start: row * width, pixels, width, channels };
    const bytes = await inflate(bytesOfText(textOf(row / bandRows)));
    for (let plane = 0; plane < channels; plane++) writePlane(bytes, plane, band, image);
    addBase(image, band, base);
    await nextTask();
  }
  return image;
}
