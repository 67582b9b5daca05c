// Shows values above 1.0 brighter than white, where the screen and the browser can.
//
// No browser lets WebGL do so yet (Chromium 156 has `drawingBufferToneMapping` behind a
// flag), but a canvas of WebGPU can. Frames go there through the main memory, because
// Chromium does not copy a WebGL canvas of half floats without a graphics card.

/** Largest light that is passed on, in units of white; the screen limits it further. */
const HIGH_RANGE_PEAK = 100;

const highRangeScreen = matchMedia("(dynamic-range: high)");

/** Copies frames of WebGL into a canvas of WebGPU that lies over its own. */
class CopiedFrames {
  constructor(gl, device, context) {
    this.gl = gl;
    this.device = device;
    this.context = context;
    this.isOn = false;
    this.framebuffer = gl.createFramebuffer();
    this.renderbuffer = gl.createRenderbuffer();
  }

  resize(width, height, isOn) {
    const { gl } = this;
    this.isOn = isOn;
    Object.assign(this.context.canvas, { width, height, hidden: !isOn });
    if (!isOn) return;
    gl.bindRenderbuffer(gl.RENDERBUFFER, this.renderbuffer);
    gl.renderbufferStorage(gl.RENDERBUFFER, gl.RGBA16F, width, height);
    this.halves = new Uint16Array(4 * width * height);
  }

  /** Prepares a frame, and returns whether its upper row comes first in memory. */
  begin() {
    const { gl } = this;
    if (!this.isOn) return false;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.framebuffer);
    gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.RENDERBUFFER, this.renderbuffer);
    return true;
  }

  present() {
    const { gl } = this;
    if (!this.isOn) return;
    const { width, height } = this.context.canvas;
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.HALF_FLOAT, this.halves);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    const target = { texture: this.context.getCurrentTexture() };
    this.device.queue.writeTexture(target, this.halves, { bytesPerRow: 8 * width }, [width, height]);
  }

  end() {
    this.context.canvas.remove();
  }
}

/** Returns whether WebGL can draw half floats and hand them out. */
function canReadHalves(gl) {
  const names = ["EXT_color_buffer_float", "EXT_color_buffer_half_float"];
  if (!names.some((name) => gl.getExtension(name))) return false;
  const frames = new CopiedFrames(gl, null, { canvas: {} });
  frames.resize(1, 1, true);
  frames.begin();
  const isComplete = gl.checkFramebufferStatus(gl.FRAMEBUFFER) === gl.FRAMEBUFFER_COMPLETE;
  const can = isComplete && gl.getParameter(gl.IMPLEMENTATION_COLOR_READ_TYPE) === gl.HALF_FLOAT
    && gl.getParameter(gl.IMPLEMENTATION_COLOR_READ_FORMAT) === gl.RGBA;
  gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  gl.deleteFramebuffer(frames.framebuffer);
  gl.deleteRenderbuffer(frames.renderbuffer);
  return can;
}

/** Returns a context of WebGPU that shows more than white, or null. */
function extendedContext(device) {
  const context = document.createElement("canvas").getContext("webgpu");
  context?.configure({
    device,
    format: "rgba16float",
    usage: GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_DST,
    toneMapping: { mode: "extended" },
  });
  return context?.getConfiguration?.().toneMapping?.mode === "extended" ? context : null;
}

/** Returns what shows high range with this canvas until `onLoss` is called, or null. */
async function openHighRange(gl, onLoss) {
  if (!canReadHalves(gl)) return null;
  try {
    const device = await (await navigator.gpu?.requestAdapter())?.requestDevice();
    const context = device && extendedContext(device);
    if (!context) return null;
    context.canvas.className = "viewer-high-canvas";
    context.canvas.hidden = true;
    gl.canvas.after(context.canvas);
    device.lost.then(onLoss);
    return new CopiedFrames(gl, device, context);
  } catch {
    return null;
  }
}
