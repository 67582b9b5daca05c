// Connects the controls, the pointer and the keys with a viewer.

const ZOOM_STEP = 1.25;
const PAN_STEP = 48; // CSS pixels for a key

/** Calls `act` for each control of the bar when the user changes it. */
function connectBar(viewer) {
  const { parts } = viewer;
  const clicks = {
    swap: () => viewer.swap(),
    reset: () => viewer.setExposure(0),
    auto: () => viewer.chooseExposure(),
    smaller: () => viewer.zoomBy(1 / ZOOM_STEP),
    larger: () => viewer.zoomBy(ZOOM_STEP),
    fit: () => viewer.fit(),
    one: () => viewer.showPixels(),
  };
  for (const [name, act] of Object.entries(clicks)) parts[name].addEventListener("click", act);
  parts.exposure.addEventListener("input", () => viewer.setExposure(Number(parts.exposure.value)));
  for (const side of ["left", "right"]) {
    parts[side].addEventListener("change", () => viewer.choose(side, parts[side].selectedIndex));
  }
  for (const name of ["mode", "clipped", "match"]) {
    parts[name].addEventListener("change", () => viewer.refresh());
  }
  parts.high.addEventListener("change", () => viewer.resize());
}

function connectDivider(viewer) {
  const { divider, stage } = viewer.parts;
  const place = (event) => {
    const box = stage.getBoundingClientRect();
    viewer.moveDivider((event.clientX - box.left) / box.width);
  };
  divider.addEventListener("pointerdown", (event) => {
    divider.setPointerCapture(event.pointerId);
    event.preventDefault();
    divider.focus();
  });
  divider.addEventListener("pointermove", (event) => {
    if (divider.hasPointerCapture(event.pointerId)) place(event);
  });
  divider.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02 };
    const ends = { Home: 0, End: 1 };
    if (event.key in steps) viewer.moveDivider(viewer.divider + steps[event.key]);
    else if (event.key in ends) viewer.moveDivider(ends[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

/** Moves the image with one pointer, and zooms it with two or with the wheel. */
function connectCanvas(viewer) {
  const { canvas, stage } = viewer.parts;
  const pointers = new Map();
  const pinchOf = ([a, b]) => ({
    x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, distance: Math.hypot(a.x - b.x, a.y - b.y),
  });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, viewer.placeOf(event));
    viewer.readAt(viewer.placeOf(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = viewer.placeOf(event);
    const before = pointers.get(event.pointerId);
    if (before && pointers.size === 1) viewer.panBy(now.x - before.x, now.y - before.y);
    if (before && pointers.size === 2) {
      const start = pinchOf([...pointers.values()]);
      pointers.set(event.pointerId, now);
      const end = pinchOf([...pointers.values()]);
      viewer.panBy(end.x - start.x, end.y - start.y);
      viewer.zoomBy(end.distance / Math.max(start.distance, 1), end);
    }
    if (before) pointers.set(event.pointerId, now);
  });
  stage.addEventListener("pointermove", (event) => viewer.readAt(viewer.placeOf(event)));
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    // A pinch on a touchpad comes as a wheel with the control key and small steps.
    const pixels = event.deltaY * (event.deltaMode ? 30 : event.ctrlKey ? 4 : 1);
    viewer.zoomBy(Math.exp(-Math.max(-240, Math.min(240, pixels)) / 400), viewer.placeOf(event));
  }, { passive: false });
}

function keyActions(viewer) {
  const { parts } = viewer;
  const toggle = (name) => () => {
    if (!parts[name].disabled && !parts[name].closest("[hidden]")) parts[name].click();
  };
  const pan = (x, y) => () => {
    viewer.panBy(x * PAN_STEP, y * PAN_STEP);
    viewer.readAt(viewer.place.middle());
  };
  return {
    ArrowLeft: pan(1, 0), ArrowRight: pan(-1, 0), ArrowUp: pan(0, 1), ArrowDown: pan(0, -1),
    "+": () => viewer.zoomBy(ZOOM_STEP), "=": () => viewer.zoomBy(ZOOM_STEP),
    "-": () => viewer.zoomBy(1 / ZOOM_STEP),
    0: () => viewer.fit(), 1: () => viewer.showPixels(),
    PageUp: () => viewer.setExposure(viewer.exposure + 0.5),
    PageDown: () => viewer.setExposure(viewer.exposure - 0.5),
    Home: () => viewer.setExposure(0),
    a: () => viewer.chooseExposure(), s: () => viewer.swap(), c: toggle("clipped"),
    f: () => {
      parts.mode.selectedIndex = 1 - parts.mode.selectedIndex;
      viewer.refresh();
    },
  };
}

function connectKeys(viewer) {
  const actions = keyActions(viewer);
  viewer.parts.root.ownerDocument.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !viewer.isShown()) return;
    const isMoving = event.key.startsWith("Arrow");
    const isInControl = event.target.closest?.("select, input[type=range], summary");
    if (isInControl || (isMoving && event.target !== viewer.parts.canvas)) return;
    const act = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }, { signal: viewer.closing.signal });
}
