// Shows values above 1.0 brighter than white, where the screen and the browser can.
//
// WebGL itself can in browsers with `drawingBufferToneMapping`. Elsewhere a canvas of
// WebGPU can, into which each frame of WebGL is copied.

/** Largest light that is passed on; the screen limits it further. 10,000 cd/m² at a white of 100. */
const HIGH_RANGE_PEAK = 100;

const highRangeScreen = matchMedia("(dynamic-range: high)");

/** Lets the canvas of WebGL itself show more than white. */
class ToneMappedBuffer {
  constructor(gl) {
    this.gl = gl;
  }

  resize(width, height, isOn) {
    this.gl.drawingBufferStorage(isOn ? this.gl.RGBA16F : this.gl.RGBA8, width, height);
    this.gl.drawingBufferToneMapping({ mode: isOn ? "extended" : "standard" });
  }

  present() {}
}

/** Copies frames of WebGL into a canvas of WebGPU that lies over its own. */
class CopiedFrames {
  constructor(gl, device, context) {
    this.gl = gl;
    this.device = device;
    this.context = context;
    this.isOn = false;
  }

  resize(width, height, isOn) {
    this.isOn = isOn;
    this.gl.drawingBufferStorage(isOn ? this.gl.RGBA16F : this.gl.RGBA8, width, height);
    Object.assign(this.context.canvas, { width, height, hidden: !isOn });
  }

  present() {
    if (!this.isOn) return;
    const { width, height } = this.context.canvas;
    const source = { source: this.gl.canvas };
    const target = { texture: this.context.getCurrentTexture(), premultipliedAlpha: true };
    this.device.queue.copyExternalImageToTexture(source, target, [width, height]);
  }
}

/** Returns a context of WebGPU that shows more than white, or null. */
function extendedContext(device) {
  const context = document.createElement("canvas").getContext("webgpu");
  context?.configure({
    device,
    format: "rgba16float",
    usage: GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_DST | GPUTextureUsage.COPY_SRC,
    toneMapping: { mode: "extended" },
  });
  return context?.getConfiguration?.().toneMapping?.mode === "extended" ? context : null;
}

/** Returns what shows high range with this canvas, or null if the browser cannot. */
async function openHighRange(gl) {
  const canHoldIt = gl.getExtension("EXT_color_buffer_float") ?? gl.getExtension("EXT_color_buffer_half_float");
  if (!gl.drawingBufferStorage || !canHoldIt) return null;
  if (gl.drawingBufferToneMapping) return new ToneMappedBuffer(gl);
  try {
    const device = await (await navigator.gpu?.requestAdapter())?.requestDevice();
    const context = device && extendedContext(device);
    if (!context) return null;
    context.canvas.className = "viewer-high-canvas";
    context.canvas.hidden = true;
    gl.canvas.after(context.canvas);
    return new CopiedFrames(gl, device, context);
  } catch {
    return null;
  }
}
