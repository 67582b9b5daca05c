// Which part of the image the canvas shows, and how large.

const LARGEST_ZOOM = 64; // CSS pixels for one of the image

const between = (low, value, high) => Math.min(high, Math.max(low, value));

class Place {
  /** `stage` is the element that the canvas fills. */
  constructor(stage, width, height) {
    Object.assign(this, { stage, width, height, zoom: 1, isFitted: true });
    Object.assign(this, { x: width / 2, y: height / 2 }); // in the middle of the canvas
  }

  /** CSS pixels for one pixel of the image, so that all of it is seen. */
  get fittingZoom() {
    const { clientWidth, clientHeight } = this.stage;
    return Math.min(clientWidth / this.width, clientHeight / this.height);
  }

  /** Returns the middle of the canvas in CSS pixels. */
  middle() {
    return { x: this.stage.clientWidth / 2, y: this.stage.clientHeight / 2 };
  }

  /** Returns the place in the image of a place on the canvas, in pixels of each. */
  inImage({ x, y }) {
    const middle = this.middle();
    return { x: this.x + (x - middle.x) / this.zoom, y: this.y + (y - middle.y) / this.zoom };
  }

  fit() {
    Object.assign(this, { x: this.width / 2, y: this.height / 2, isFitted: true });
    this.zoom = between(1e-3, this.fittingZoom, LARGEST_ZOOM);
  }

  /** Zooms so that the pixel of the image stays where it is on the canvas. */
  zoomTo(zoom, at) {
    const kept = this.inImage(at);
    const middle = this.middle();
    this.zoom = between(Math.min(this.fittingZoom, 1) / 2, zoom, LARGEST_ZOOM);
    this.moveTo(kept.x - (at.x - middle.x) / this.zoom, kept.y - (at.y - middle.y) / this.zoom);
  }

  panBy(x, y) {
    this.moveTo(this.x - x / this.zoom, this.y - y / this.zoom);
  }

  moveTo(x, y) {
    this.x = between(0, x, this.width);
    this.y = between(0, y, this.height);
    this.isFitted = false;
  }
}
