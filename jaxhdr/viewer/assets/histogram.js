// Draws how many pixels of two images have which luminance, in stops.

const HISTOGRAM = { width: 320, height: 120, bottom: 100, step: 0.25 };

function svgElement(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

const verticalLine = (x, name) =>
  svgElement("line", { x1: x, x2: x, y1: 4, y2: HISTOGRAM.bottom, class: name });

/**
 * Returns the first stop and the stop after the last that both histograms need.
 *
 * A few dark pixels are left out; a few bright ones, which lamps are, are not.
 */
function histogramRange(shown) {
  const lows = shown.map(({ first, shift, counts }) => {
    const largest = Math.max(0, ...counts);
    const seen = counts.findIndex((count) => count > largest / 1000);
    return seen < 0 ? 0 : first + shift + seen * HISTOGRAM.step;
  });
  const highs = shown.map((each) => (each.counts.length ? brightestStop(each) + each.shift : 0));
  return [Math.floor(Math.min(-1, ...lows)), Math.ceil(Math.max(1, ...highs))];
}

/** Returns the outline of a histogram as the points of a polygon. */
function histogramOutline({ first, shift, counts }, xAt) {
  const largest = Math.max(1, ...counts);
  const yAt = (count) => (HISTOGRAM.bottom - 4 - 88 * Math.sqrt(count / largest)).toFixed(1);
  const points = counts.flatMap((count, i) => {
    const start = first + shift + i * HISTOGRAM.step;
    if (xAt(start) < 8) return [];
    return [[xAt(start), yAt(count)], [xAt(start + HISTOGRAM.step), yAt(count)]];
  });
  if (!points.length) return "";
  const floor = HISTOGRAM.bottom - 4;
  const closed = [[points[0][0], floor], ...points, [points.at(-1)[0], floor]];
  return closed.map((point) => point.join(",")).join(" ");
}

/**
 * Draws two histograms and the brightest stop that the exposure shows.
 *
 * Each has `first`, `counts`, and `shift`, the stops by which its image is scaled. The
 * height is the square root of a count, so that lamps of a few pixels are seen.
 */
function drawHistogram(svg, shown, exposure) {
  const [low, high] = histogramRange(shown);
  const xAt = (stop) => (8 + ((stop - low) / (high - low)) * (HISTOGRAM.width - 16)).toFixed(1);
  const every = Math.ceil((high - low) / 12);
  const parts = [];
  for (let stop = Math.ceil(low / every) * every; stop <= high; stop += every) {
    parts.push(verticalLine(xAt(stop), "viewer-tick"));
    parts.push(svgElement("text", { x: xAt(stop), y: 114, "text-anchor": "middle" }, String(stop)));
  }
  ["left", "right"].forEach((side, i) => {
    const points = histogramOutline(shown[i], xAt);
    parts.push(svgElement("polygon", { points, class: `viewer-outline-${side}` }));
  });
  parts.push(verticalLine(xAt(between(low, -exposure, high)), "viewer-white"));
  svg.replaceChildren(...parts);
}

/** Returns the stops of the brightest pixels. */
const brightestStop = ({ first, counts }) => first + counts.length * HISTOGRAM.step;

/** Returns the stops below which half of the pixels with light are. */
function medianStops({ first, shift, counts }) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let below = 0;
  const bin = counts.findIndex((count) => (below += count) >= total / 2);
  return first + shift + (Math.max(bin, 0) + 0.5) * HISTOGRAM.step;
}
