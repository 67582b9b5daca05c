// Unpacks the images of a view when they are needed, and keeps the latest.

const KEPT_IMAGES = 4; // one of 12 megapixels takes 72 MB, and more as texture

class Images {
  /** `textOf(image, band)` returns the text of a band, `drawing` makes the textures. */
  constructor(view, textOf, drawing) {
    this.view = view;
    this.textOf = textOf;
    this.drawing = drawing;
    this.asked = new Map(); // image to a promise of {pixels, texture}; the oldest first
    this.ready = new Map(); // those whose promise is fulfilled
  }

  /** Returns a promise of the pixels and the texture of an image. */
  ask(index) {
    const known = this.asked.get(index) ?? this.unpack(index);
    this.asked.delete(index);
    this.asked.set(index, known); // now the newest
    return known;
  }

  async unpack(index) {
    const { base } = this.view.images[index];
    const basePixels = base === null ? null : (await this.ask(base)).pixels;
    const textOfBand = (band) => this.textOf(index, band);
    const pixels = await decodeImage(this.view, index, textOfBand, basePixels);
    const entry = { pixels, texture: this.drawing.upload(pixels) };
    this.ready.set(index, entry);
    return entry;
  }

  /** Frees the images that were not needed for the longest time. */
  forgetAllBut(needed) {
    for (const index of [...this.asked.keys()]) {
      if (this.ready.size <= KEPT_IMAGES) return;
      if (needed.includes(index) || !this.ready.has(index)) continue;
      this.drawing.release(this.ready.get(index).texture);
      this.ready.delete(index);
      this.asked.delete(index);
    }
  }
}
