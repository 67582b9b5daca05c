// What the page says in words and numbers about a view.

const LOWEST_STOP = -10; // of the colours, without exposure

const signed = (stops) => `${stops > 0 ? "+" : ""}${Number(stops.toFixed(2))}`;
// Half floats have a little more than three digits.
const shortNumber = (value) => String(Number(value.toPrecision(3)));

function withText(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

/** Returns the stop at which the colours begin; they follow the exposure. */
const lowestStopAt = (exposure) => LOWEST_STOP - Math.round(exposure);

function drawLegend(legend, exposure) {
  const bands = STOP_COLOURS.map((colour, band) => {
    const made = withText("span", signed(lowestStopAt(exposure) + band));
    made.style.background = `rgb(${colour.join(" ")})`;
    made.style.color = band < STOPS_SHOWN / 2 ? "#fff" : "#000";
    return made;
  });
  legend.replaceChildren(...bands.reverse());
}

/** Returns the linear values of a pixel; `scale` is what its image is multiplied by. */
function lightOfPixel(pixels, pixel, scale) {
  if (pixels instanceof Uint8Array) return [...pixels.subarray(4 * pixel, 4 * pixel + 3)].map(codeToLight);
  return [...pixels.subarray(3 * pixel, 3 * pixel + 3)].map((bits) => scale * halfToNumber(bits));
}

function tableRow(name, cells) {
  const row = document.createElement("tr");
  const heading = withText("th", name);
  heading.scope = "row";
  row.append(heading, ...cells.map((cell) => withText("td", String(cell))));
  return row;
}

function rowOfLight(name, light) {
  const stops = Math.log2(luminanceOf(light));
  return tableRow(name, [...light.map(shortNumber), stops > -Infinity ? signed(stops) : "black"]);
}

/** Returns the row of a pixel of the photograph, with its codes. */
function rowOfCodes(pixels, pixel) {
  const [red, green, blue, isClipped] = pixels.subarray(4 * pixel, 4 * pixel + 4);
  return tableRow("photograph, code of 255", [red, green, blue, isClipped ? "clipped" : ""]);
}

/** Returns whether and why the screen shows more than white, as a sentence. */
function highRangeSentence(isPossible) {
  if (isPossible) {
    return "HDR output: values above 1.0 are shown brighter than white, as far as the screen can.";
  }
  const reason = highRangeScreen.matches
    ? "this browser cannot draw it"
    : "the browser reports a screen of standard range";
  return `HDR output is not available, because ${reason}: values above 1.0 after exposure are shown as white.`;
}
