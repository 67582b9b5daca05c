// The state of a viewer, and what its page shows of it.

const PART_NAMES = [
  "title", "left", "swap", "right", "exposure", "stops", "reset", "auto", "mode", "clipped",
  "clipped-label", "match", "match-label", "high", "high-label", "smaller", "zoom", "larger",
  "fit", "one", "stage", "canvas", "side-left", "side-right", "divider", "legend", "message",
  "pixel", "values", "histogram", "key-left", "key-right", "high-note", "notes",
];
const LARGEST_ZOOM = 64; // CSS pixels for one of the image
const LOWEST_STOP = -10; // of the colours, without exposure
const KEPT_IMAGES = 4; // decoded; one of 12 megapixels takes 72 MB, and more as texture

const signed = (stops) => `${stops > 0 ? "+" : ""}${Number(stops.toFixed(2))}`;
// Half floats have a little more than three digits.
const shortNumber = (value) => String(Number(value.toPrecision(3)));

function withText(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

class Viewer {
  /** Shows a view; `textOf(image, band)` returns the text of a band. */
  constructor(root, view, textOf) {
    this.view = view;
    this.textOf = textOf;
    this.parts = { root };
    for (const name of PART_NAMES) this.parts[name] = root.querySelector(`#viewer-${name}`);
    Object.assign(this, { left: view.left, right: view.right, exposure: 0, divider: 0.5 });
    Object.assign(this, { zoom: 1, x: view.width / 2, y: view.height / 2, isFitted: true });
    this.photograph = view.images.findIndex((image) => image.kind === "photograph");
    this.decoded = new Map(); // image to a promise of {pixels, texture}; the oldest first
    this.ready = new Map(); // those whose promise is fulfilled
    this.highRange = null;
    this.closing = new AbortController();
    this.fillPage();
  }

  /** Draws for the first time; without WebGL 2 it says so. */
  async start() {
    if (typeof DecompressionStream === "undefined") {
      return this.say("This browser cannot unpack the images. Please use one of 2023 or later.");
    }
    const gl = this.parts.canvas.getContext("webgl2", { antialias: false, depth: false });
    if (!gl) {
      return this.say("This browser cannot draw the images, because WebGL 2 is missing or turned off.");
    }
    this.gl = gl;
    this.drawing = new Drawing(gl, this.view.width, this.view.height);
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

  fillPage() {
    const { parts, view } = this;
    parts.title.textContent = view.title;
    for (const side of ["left", "right"]) {
      parts[side].replaceChildren(...view.images.map((image) => withText("option", image.name)));
      parts[side].selectedIndex = this[side];
    }
    parts.root.classList.toggle("viewer-single", view.images.length === 1);
    const brightest = Math.max(...view.images.map(({ histogram }) => histogram.first + histogram.counts.length / 4));
    const reach = Math.max(8, Math.ceil(brightest));
    Object.assign(parts.exposure, { min: -reach, max: 8, value: 0 });
    parts["clipped-label"].hidden = this.photograph < 0;
    parts["match-label"].hidden = view.images.every((image) => image.factor === 1);
    parts.notes.replaceChildren(...view.notes.map((note) => withText("li", note)));
  }

  /** Frees the memory of the graphics card and stops listening. */
  close() {
    this.closing.abort();
    this.highRange?.end();
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
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
      this.decoded.clear();
      this.ready.clear();
      this.drawing = new Drawing(this.gl, this.view.width, this.view.height);
      this.loseHighRange();
      this.load();
    });
  }

  /** Returns a promise of the pixels and the texture of an image. */
  image(index) {
    const known = this.decoded.get(index) ?? this.decode(index);
    this.decoded.delete(index);
    this.decoded.set(index, known); // now the newest
    return known;
  }

  async decode(index) {
    const { base } = this.view.images[index];
    const basePixels = base === null ? null : (await this.image(base)).pixels;
    const pixels = await decodeImage(this.view, index, (band) => this.textOf(index, band), basePixels);
    const entry = { pixels, texture: this.drawing.upload(pixels) };
    this.ready.set(index, entry);
    return entry;
  }

  /** Decodes what is shown, and draws as soon as one image is there. */
  async load() {
    this.refresh();
    this.say("The images are being unpacked …");
    const needed = new Set([this.right, this.left]);
    if (this.photograph >= 0) needed.add(this.photograph);
    const latest = (this.latestLoad = Symbol("load"));
    try {
      await Promise.all([...needed].map((index) => this.image(index).then(() => this.refresh())));
    } catch (error) {
      return this.say(`The images could not be unpacked (${error.message}). Reload the page, or make one with a smaller --side.`);
    }
    if (latest !== this.latestLoad) return; // the user chose others meanwhile
    this.say("");
    this.forget();
    this.refresh();
  }

  /** Frees the images that were not shown for the longest time. */
  forget() {
    for (const index of [...this.decoded.keys()]) {
      if (this.ready.size <= KEPT_IMAGES) return;
      if ([this.left, this.right, this.photograph].includes(index) || !this.ready.has(index)) continue;
      this.drawing.release(this.ready.get(index).texture);
      this.ready.delete(index);
      this.decoded.delete(index);
    }
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
    this.exposure = Math.min(Number(max), Math.max(Number(min), stops));
    this.refresh();
  }

  /** Brings the median of the right image to mid-grey, in steps of the slider. */
  chooseExposure() {
    const median = medianStops(this.shownHistograms()[1]);
    this.setExposure(Math.round((Math.log2(0.18) - median) * 4) / 4);
  }

  moveDivider(share) {
    this.divider = Math.min(1, Math.max(0, share));
    this.refresh();
  }

  isShown() {
    return this.parts.root.getClientRects().length > 0;
  }

  /** Pixels of the screen for one CSS pixel. */
  get density() {
    return window.devicePixelRatio || 1;
  }

  get smallestZoom() {
    const { clientWidth, clientHeight } = this.parts.stage;
    return Math.min(clientWidth / this.view.width, clientHeight / this.view.height, 1);
  }

  placeOf(event) {
    const box = this.parts.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  middle() {
    return { x: this.parts.stage.clientWidth / 2, y: this.parts.stage.clientHeight / 2 };
  }

  /** Returns the place in the image of a place on the canvas, in pixels of each. */
  inImage({ x, y }) {
    const middle = this.middle();
    return { x: this.x + (x - middle.x) / this.zoom, y: this.y + (y - middle.y) / this.zoom };
  }

  fit() {
    const { clientWidth, clientHeight } = this.parts.stage;
    const zoom = Math.min(clientWidth / this.view.width, clientHeight / this.view.height);
    Object.assign(this, { x: this.view.width / 2, y: this.view.height / 2, isFitted: true });
    this.zoom = Math.min(LARGEST_ZOOM, Math.max(zoom, 1e-3));
    this.refresh();
  }

  zoomBy(factor, at = this.middle()) {
    this.zoomTo(this.zoom * factor, at);
  }

  /** Zooms so that the pixel of the image stays where it is on the canvas. */
  zoomTo(zoom, at = this.middle()) {
    const kept = this.inImage(at);
    const middle = this.middle();
    this.zoom = Math.min(LARGEST_ZOOM, Math.max(this.smallestZoom / 2, zoom));
    this.x = kept.x - (at.x - middle.x) / this.zoom;
    this.y = kept.y - (at.y - middle.y) / this.zoom;
    this.isFitted = false;
    this.keepInside();
    this.refresh();
  }

  panBy(x, y) {
    this.x -= x / this.zoom;
    this.y -= y / this.zoom;
    this.isFitted = false;
    this.keepInside();
    this.refresh();
  }

  keepInside() {
    this.x = Math.min(this.view.width, Math.max(0, this.x));
    this.y = Math.min(this.view.height, Math.max(0, this.y));
  }

  resize() {
    const { canvas, stage, high } = this.parts;
    const width = Math.max(1, Math.round(stage.clientWidth * this.density));
    const height = Math.max(1, Math.round(stage.clientHeight * this.density));
    canvas.width = width;
    canvas.height = height;
    this.highRange?.resize(width, height, high.checked);
    if (this.isFitted) this.fit();
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
    parts["high-note"].textContent = isPossible
      ? "HDR output: values above 1.0 are shown brighter than white, as far as the screen can."
      : `HDR output is not available, because ${highRangeScreen.matches ? "this browser cannot draw it" : "the browser reports a screen of standard range"}: values above 1.0 after exposure are shown as white.`;
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

  draw() {
    const right = this.ready.get(this.right) ?? this.ready.get(this.left);
    const left = this.ready.get(this.left) ?? right;
    if (!left) return;
    const photograph = this.ready.get(this.photograph);
    const shown = [left === right ? this.entryIndex(left) : this.left, this.entryIndex(right)];
    const corner = this.inImage({ x: 0, y: 0 });
    this.drawing.draw({
      textures: [left.texture, right.texture, photograph?.texture ?? left.texture],
      isEncoded: shown.map((index) => index === this.photograph),
      gains: shown.map((index) => 2 ** (this.exposure + this.shiftOf(index))),
      stopsOffsets: shown.map((index) => this.shiftOf(index)),
      origin: [corner.x, corner.y],
      pixelSize: 1 / (this.zoom * this.density),
      divider: this.divider * this.gl.drawingBufferWidth,
      lowestStop: LOWEST_STOP - Math.round(this.exposure),
      isTopFirst: this.highRange?.begin() ?? false,
      brightest: this.parts.high.checked ? HIGH_RANGE_PEAK : 1,
      showsStops: this.parts.mode.value === "stops",
      marksClipped: Boolean(photograph) && this.parts.clipped.checked,
    });
    this.highRange?.present();
  }

  entryIndex(entry) {
    return [...this.ready].find(([, known]) => known === entry)[0];
  }

  updatePage() {
    const { parts, view } = this;
    parts.exposure.value = this.exposure;
    parts.stops.textContent = `${signed(this.exposure)} EV`;
    parts.exposure.setAttribute("aria-valuetext", `${signed(this.exposure)} stops`);
    parts.zoom.textContent = `${Number((100 * this.zoom * this.density).toPrecision(3))} %`;
    parts.divider.style.left = `${100 * this.divider}%`;
    parts.divider.setAttribute("aria-valuenow", Math.round(100 * this.divider));
    for (const side of ["left", "right"]) {
      const { name } = view.images[this[side]];
      parts[`side-${side}`].textContent = name;
      parts[`key-${side}`].textContent = name;
    }
    parts.legend.hidden = parts.mode.value !== "stops";
    this.drawLegend();
    drawHistogram(parts.histogram, this.shownHistograms(), this.exposure);
    this.updateValues();
  }

  drawLegend() {
    const lowest = LOWEST_STOP - Math.round(this.exposure);
    if (this.legendFrom === lowest) return;
    this.legendFrom = lowest;
    const bands = STOP_COLOURS.map((colour, band) => {
      const made = withText("span", signed(lowest + band));
      made.style.background = `rgb(${colour.join(" ")})`;
      made.style.color = band < STOPS_SHOWN / 2 ? "#fff" : "#000";
      return made;
    });
    this.parts.legend.replaceChildren(...bands.reverse());
  }

  /** Shows the values of the pixel at a place on the canvas. */
  readAt(place) {
    this.pointer = place;
    this.updateValues();
  }

  updateValues() {
    const place = this.inImage(this.pointer ?? this.middle());
    const [column, row] = [Math.floor(place.x), Math.floor(place.y)];
    const isInside = column >= 0 && row >= 0 && column < this.view.width && row < this.view.height;
    this.parts.pixel.textContent = isInside ? `Pixel ${column}, ${row}` : "Pixel";
    if (!isInside) return this.parts.values.replaceChildren();
    const pixel = row * this.view.width + column;
    const shown = [...new Set([this.left, this.right])].filter((index) => this.ready.has(index));
    const rows = shown.map((index) => this.rowOfLight(index, pixel));
    if (this.ready.has(this.photograph)) rows.push(this.rowOfCodes(pixel));
    this.parts.values.replaceChildren(...rows);
  }

  /** Returns the linear values of a pixel of an image, in the scale that is shown. */
  lightOf(index, pixel) {
    const { pixels } = this.ready.get(index);
    if (index === this.photograph) return [...pixels.subarray(4 * pixel, 4 * pixel + 3)].map(codeToLight);
    const scale = 2 ** this.shiftOf(index);
    return [...pixels.subarray(3 * pixel, 3 * pixel + 3)].map((bits) => scale * halfToNumber(bits));
  }

  rowOfLight(index, pixel) {
    const light = this.lightOf(index, pixel);
    const stops = Math.log2(luminanceOf(light));
    const { name, kind } = this.view.images[index];
    const label = kind === "photograph" ? `${name}, linear` : name;
    return this.tableRow(label, [...light.map(shortNumber), stops > -Infinity ? signed(stops) : "black"]);
  }

  rowOfCodes(pixel) {
    const codes = [...this.ready.get(this.photograph).pixels.subarray(4 * pixel, 4 * pixel + 4)];
    return this.tableRow("photograph, code of 255", [...codes.slice(0, 3), codes[3] ? "clipped" : ""]);
  }

  tableRow(name, cells) {
    const row = document.createElement("tr");
    const heading = withText("th", name);
    heading.scope = "row";
    row.append(heading, ...cells.map((cell) => withText("td", String(cell))));
    return row;
  }
}
