// The state of a viewer, and what its page shows of it.

const PART_NAMES = [
  "title", "left", "swap", "right", "exposure", "stops", "reset", "auto", "mode", "clipped",
  "clipped-label", "match", "match-label", "high", "high-label", "smaller", "zoom", "larger",
  "fit", "one", "stage", "canvas", "side-left", "side-right", "divider", "legend", "message",
  "pixel", "values", "histogram", "key-left", "key-right", "high-note", "notes",
];

class Viewer {
  /** Shows a view; `textOf(image, band)` returns the text of a band. */
  constructor(root, view, textOf) {
    this.view = view;
    this.textOf = textOf;
    this.parts = { root };
    for (const name of PART_NAMES) this.parts[name] = root.querySelector(`#viewer-${name}`);
    Object.assign(this, { left: view.left, right: view.right, exposure: 0, divider: 0.5 });
    this.place = new Place(this.parts.stage, view.width, view.height);
    this.photograph = view.images.findIndex((image) => image.kind === "photograph");
    this.highRange = null;
    this.closing = new AbortController();
    this.fillPage();
  }

  /** Draws for the first time; without WebGL 2 it says so. */
  async start() {
    if (typeof DecompressionStream === "undefined") {
      return this.say("This browser cannot unpack the images. Please use one of 2023 or later.");
    }
    this.gl = this.parts.canvas.getContext("webgl2", { antialias: false, depth: false });
    if (!this.gl) {
      return this.say("This browser cannot draw, because WebGL 2 is missing or turned off.");
    }
    this.beginDrawing();
    this.watchContext();
    for (const connect of [connectBar, connectDivider, connectCanvas, connectKeys]) connect(this);
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.parts.stage);
    const { signal } = this.closing;
    signal.addEventListener("abort", () => observer.disconnect());
    highRangeScreen.addEventListener("change", () => this.findHighRange(), { signal });
    this.resize();
    await Promise.all([this.load(), this.findHighRange()]);
  }

  /** Frees the memory of the graphics card and stops listening. */
  close() {
    this.closing.abort();
    this.highRange?.end();
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }

  beginDrawing() {
    this.drawing = new Drawing(this.gl, this.view.width, this.view.height);
    this.images = new Images(this.view, this.textOf, this.drawing);
  }

  fillPage() {
    const { parts, view } = this;
    parts.title.textContent = view.title;
    for (const side of ["left", "right"]) {
      parts[side].replaceChildren(...view.images.map((image) => withText("option", image.name)));
      parts[side].selectedIndex = this[side];
    }
    parts.root.classList.toggle("viewer-single", view.images.length === 1);
    const reach = Math.max(8, ...view.images.map(({ histogram }) => Math.ceil(brightestStop(histogram))));
    Object.assign(parts.exposure, { min: -reach, max: 8, value: 0 });
    parts["clipped-label"].hidden = this.photograph < 0;
    parts["match-label"].hidden = view.images.every((image) => image.factor === 1);
    parts.notes.replaceChildren(...view.notes.map((note) => withText("li", note)));
  }

  say(sentence) {
    this.parts.message.textContent = sentence;
  }

  /** After the browser took the memory of the graphics card, uploads all once more. */
  watchContext() {
    this.parts.canvas.addEventListener("webglcontextlost", (event) => {
      if (this.closing.signal.aborted) return;
      event.preventDefault(); // otherwise it would never be restored
      this.say("The browser took the memory of the images away. If they do not come back, reload the page.");
    });
    this.parts.canvas.addEventListener("webglcontextrestored", () => {
      this.beginDrawing();
      this.loseHighRange();
      this.load();
    });
  }

  /** Unpacks what is shown, and draws as soon as one image is there. */
  async load() {
    this.refresh();
    this.say("The images are being unpacked …");
    const needed = [...new Set([this.right, this.left, this.photograph])].filter((index) => index >= 0);
    const latest = (this.latestLoad = Symbol("load"));
    try {
      await Promise.all(needed.map((index) => this.images.ask(index).then(() => this.refresh())));
    } catch (error) {
      const advice = "Reload the page, or make one with a smaller --side.";
      return this.say(`The images could not be unpacked (${error.message}). ${advice}`);
    }
    if (latest !== this.latestLoad) return; // the user chose others meanwhile
    this.say("");
    this.images.forgetAllBut(needed);
    this.refresh();
  }

  choose(side, index) {
    this[side] = index;
    this.parts[side].selectedIndex = index;
    return this.load();
  }

  swap() {
    [this.left, this.right] = [this.right, this.left];
    for (const side of ["left", "right"]) this.parts[side].selectedIndex = this[side];
    this.refresh();
  }

  /** Returns the stops by which an image is scaled before it is exposed. */
  shiftOf(index) {
    return this.parts.match.checked ? Math.log2(this.view.images[index].factor) : 0;
  }

  shownHistograms() {
    return [this.left, this.right].map((index) => ({
      ...this.view.images[index].histogram, shift: this.shiftOf(index),
    }));
  }

  setExposure(stops) {
    const { min, max } = this.parts.exposure;
    this.exposure = between(Number(min), stops, Number(max));
    this.refresh();
  }

  /** Brings the median of the right image to mid-grey, in steps of the slider. */
  chooseExposure() {
    const median = medianStops(this.shownHistograms()[1]);
    this.setExposure(Math.round((Math.log2(0.18) - median) * 4) / 4);
  }

  moveDivider(share) {
    this.divider = between(0, share, 1);
    this.refresh();
  }

  isShown() {
    return this.parts.root.getClientRects().length > 0;
  }

  /** Pixels of the screen for one CSS pixel. */
  get density() {
    return window.devicePixelRatio || 1;
  }

  /** Returns where on the canvas an event is, in CSS pixels. */
  placeOf(event) {
    const box = this.parts.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  fit() {
    this.place.fit();
    this.refresh();
  }

  /** Shows one pixel of the image as one of the screen. */
  showPixels() {
    this.place.zoomTo(1 / this.density, this.place.middle());
    this.refresh();
  }

  zoomBy(factor, at = this.place.middle()) {
    this.place.zoomTo(this.place.zoom * factor, at);
    this.refresh();
  }

  panBy(x, y) {
    this.place.panBy(x, y);
    this.refresh();
  }

  resize() {
    const { canvas, stage, high } = this.parts;
    const width = Math.max(1, Math.round(stage.clientWidth * this.density));
    const height = Math.max(1, Math.round(stage.clientHeight * this.density));
    Object.assign(canvas, { width, height });
    this.highRange?.resize(width, height, high.checked);
    if (this.place.isFitted) this.fit();
    this.draw(); // at once: a resized canvas is empty
  }

  /** Finds out whether screen and browser can show more than white, and says so. */
  async findHighRange() {
    const { parts } = this;
    if (highRangeScreen.matches && !this.hasLostHighRange) {
      this.highRange ??= await openHighRange(this.gl, () => this.loseHighRange());
    }
    const isPossible = highRangeScreen.matches && this.highRange !== null;
    parts["high-label"].hidden = !isPossible;
    parts.high.checked = isPossible;
    parts["high-note"].textContent = highRangeSentence(isPossible);
    this.resize();
  }

  /** Goes on without high range, because the browser took it away. */
  loseHighRange() {
    this.highRange?.end();
    this.highRange = null;
    this.hasLostHighRange = true;
    return this.findHighRange();
  }

  /** Draws before the next frame, and updates the page. */
  refresh() {
    if (this.isWaiting || !this.gl || this.closing.signal.aborted) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      this.draw();
      this.updatePage();
    });
  }

  /** Draws both images; until both are unpacked, the one that is on both sides. */
  draw() {
    const { ready } = this.images;
    const known = [this.left, this.right].filter((index) => ready.has(index));
    if (!known.length) return;
    const shown = known.length === 2 ? known : [known[0], known[0]];
    const photograph = ready.get(this.photograph);
    const corner = this.place.inImage({ x: 0, y: 0 });
    const textures = shown.map((index) => ready.get(index).texture);
    this.drawing.draw({
      textures: [...textures, photograph?.texture ?? textures[0]],
      isEncoded: shown.map((index) => index === this.photograph),
      gains: shown.map((index) => 2 ** (this.exposure + this.shiftOf(index))),
      stopsOffsets: shown.map((index) => this.shiftOf(index)),
      origin: [corner.x, corner.y],
      pixelSize: 1 / (this.place.zoom * this.density),
      divider: this.divider * this.gl.drawingBufferWidth,
      lowestStop: lowestStopAt(this.exposure),
      isTopFirst: this.highRange?.begin() ?? false,
      brightest: this.parts.high.checked ? HIGH_RANGE_PEAK : 1,
      showsStops: this.parts.mode.value === "stops",
      marksClipped: Boolean(photograph) && this.parts.clipped.checked,
    });
    this.highRange?.present();
  }

  updatePage() {
    const { parts, view } = this;
    parts.exposure.value = this.exposure;
    parts.stops.textContent = `${signed(this.exposure)} EV`;
    parts.exposure.setAttribute("aria-valuetext", `${signed(this.exposure)} stops`);
    parts.zoom.textContent = `${Number((100 * this.place.zoom * this.density).toPrecision(3))} %`;
    parts.divider.style.left = `${100 * this.divider}%`;
    parts.divider.setAttribute("aria-valuenow", Math.round(100 * this.divider));
    for (const side of ["left", "right"]) {
      const { name } = view.images[this[side]];
      parts[`side-${side}`].textContent = name;
      parts[`key-${side}`].textContent = name;
    }
    parts.legend.hidden = parts.mode.value !== "stops";
    if (!parts.legend.hidden) drawLegend(parts.legend, this.exposure);
    drawHistogram(parts.histogram, this.shownHistograms(), this.exposure);
    this.updateValues();
  }

  /** Shows the values of the pixel at a place on the canvas. */
  readAt(pointer) {
    this.pointer = pointer;
    this.updateValues();
  }

  updateValues() {
    const { width, height, images } = this.view;
    const { ready } = this.images;
    const place = this.place.inImage(this.pointer ?? this.place.middle());
    const [column, row] = [Math.floor(place.x), Math.floor(place.y)];
    const isInside = column >= 0 && row >= 0 && column < width && row < height;
    this.parts.pixel.textContent = isInside ? `Pixel ${column}, ${row}` : "Pixel";
    if (!isInside) return this.parts.values.replaceChildren();
    const pixel = row * width + column;
    const shown = [...new Set([this.left, this.right])].filter((index) => ready.has(index));
    const rows = shown.map((index) => {
      const name = images[index].name + (index === this.photograph ? ", linear" : "");
      return rowOfLight(name, lightOfPixel(ready.get(index).pixels, pixel, 2 ** this.shiftOf(index)));
    });
    if (ready.has(this.photograph)) rows.push(rowOfCodes(ready.get(this.photograph).pixels, pixel));
    this.parts.values.replaceChildren(...rows);
  }
}
