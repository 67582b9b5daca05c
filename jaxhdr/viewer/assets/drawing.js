// Draws two images left and right of a divider with WebGL 2.

// matplotlib's "viridis" at 16 places: even steps of lightness, also for colour-blind eyes.
const STOP_COLOURS = [
  [68, 1, 84], [72, 26, 108], [71, 47, 125], [65, 68, 135],
  [57, 86, 140], [49, 104, 142], [42, 120, 142], [35, 136, 142],
  [31, 152, 139], [34, 168, 132], [53, 183, 121], [84, 197, 104],
  [122, 209, 81], [165, 219, 54], [210, 226, 27], [253, 231, 37],
];
const STOPS_SHOWN = STOP_COLOURS.length;

// Some phones allow textures of 4096 pixels only, so larger images become tiles.
const LARGEST_TILE = 4096;

const VERTEX_SHADER = `#version 300 es
void main() {  // one triangle that covers the canvas
  gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
}`;

const FRAGMENT_SHADER = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2DArray;

uniform sampler2DArray images[2];
uniform sampler2DArray photograph;
uniform bool isEncoded[2];
uniform float gains[2];
uniform float stopsOffsets[2];
uniform ivec2 size;
uniform ivec2 tile;
uniform int columns;
uniform vec2 origin;       // place in the image of the upper left corner of the canvas
uniform float pixelSize;   // pixels of the image for one of the canvas
uniform float canvasHeight;
uniform bool isTopFirst;   // the upper row of the frame comes first in memory
uniform float divider;     // in pixels of the canvas
uniform bool showsStops;
uniform bool marksClipped;
uniform float lowestStop;
uniform float brightest;   // 1.0, or more if the screen can show it
uniform vec3 colours[${STOPS_SHOWN}];
out vec4 colour;

const int MOST_SAMPLES = 8;

vec4 texelAt(sampler2DArray image, ivec2 pixel) {
  ivec2 place = pixel / tile;
  return texelFetch(image, ivec3(pixel - place * tile, place.y * columns + place.x), 0);
}

vec3 decoded(vec3 code) {
  vec3 power = pow((max(code, 0.04045) + 0.055) / 1.055, vec3(2.4));
  return mix(power, code / 12.92, lessThanEqual(code, vec3(0.04045)));
}

vec3 encoded(vec3 light) {
  vec3 power = 1.055 * pow(max(light, 0.0031308), vec3(1.0 / 2.4)) - 0.055;
  return mix(power, 12.92 * light, lessThanEqual(light, vec3(0.0031308)));
}

// The mean light of the pixels of the image that a pixel of the canvas shows: one of
// them if it is enlarged. The fourth value is the share of them that is clipped.
vec4 meanLight(sampler2DArray image, bool isCoded, vec2 centre) {
  int samples = clamp(int(ceil(pixelSize - 1e-3)), 1, MOST_SAMPLES);
  vec4 sum = vec4(0.0);
  float counted = 0.0;
  for (int y = 0; y < samples; y++) {
    for (int x = 0; x < samples; x++) {
      vec2 offset = (vec2(x, y) + 0.5) / float(samples) - 0.5;
      ivec2 pixel = ivec2(floor(centre + offset * pixelSize));
      if (any(lessThan(pixel, ivec2(0))) || any(greaterThanEqual(pixel, size))) continue;
      vec4 texel = texelAt(image, pixel);
      sum += isCoded ? vec4(decoded(texel.rgb), texel.a) : vec4(texel.rgb, 0.0);
      counted += 1.0;
    }
  }
  return sum / max(counted, 1.0);
}

vec3 colourOfStops(vec3 light, float offset) {
  float luminance = dot(light, vec3(0.2126, 0.7152, 0.0722));
  if (luminance <= 0.0) return vec3(0.0);
  float band = floor(log2(luminance) + offset - lowestStop);
  if (band < 0.0) return vec3(0.0);
  if (band >= float(${STOPS_SHOWN})) return vec3(1.0);
  return colours[int(band)];
}

void main() {
  float down = isTopFirst ? gl_FragCoord.y : canvasHeight - gl_FragCoord.y;
  vec2 canvasPixel = vec2(gl_FragCoord.x, down);
  vec2 centre = origin + canvasPixel * pixelSize;
  if (any(lessThan(centre, vec2(0.0))) || any(greaterThanEqual(centre, vec2(size)))) {
    colour = vec4(0.11, 0.11, 0.11, 1.0);
    return;
  }
  bool isLeft = gl_FragCoord.x < divider;
  vec3 light = isLeft
    ? meanLight(images[0], isEncoded[0], centre).rgb
    : meanLight(images[1], isEncoded[1], centre).rgb;
  int side = isLeft ? 0 : 1;
  vec3 shown = showsStops
    ? colourOfStops(light, stopsOffsets[side])
    : encoded(min(light * gains[side], brightest));
  if (marksClipped) {
    float share = meanLight(photograph, true, centre).a;
    bool isStripe = mod(canvasPixel.x + canvasPixel.y, 12.0) < 7.0;
    if (isStripe) shown = mix(shown, vec3(1.0, 0.1, 0.75), min(1.0, 2.0 * share));
  }
  colour = vec4(shown, 1.0);
}`;

function compiledShader(gl, type, source) {
  const shader = gl.createShader(type);
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  return shader;
}

/** Returns a program and the places of its uniforms, by name. */
function linkedProgram(gl) {
  const program = gl.createProgram();
  gl.attachShader(program, compiledShader(gl, gl.VERTEX_SHADER, VERTEX_SHADER));
  gl.attachShader(program, compiledShader(gl, gl.FRAGMENT_SHADER, FRAGMENT_SHADER));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new Error(`The shader was refused: ${gl.getProgramInfoLog(program)}`);
  }
  const uniforms = {};
  for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
    const name = gl.getActiveUniform(program, i).name.replace("[0]", "");
    uniforms[name] = gl.getUniformLocation(program, name);
  }
  return { program, uniforms };
}

/** Draws images that were uploaded once as textures. */
class Drawing {
  constructor(gl, width, height) {
    this.gl = gl;
    this.width = width;
    this.height = height;
    const limit = Math.min(LARGEST_TILE, gl.getParameter(gl.MAX_TEXTURE_SIZE));
    this.columns = Math.ceil(width / limit);
    this.rows = Math.ceil(height / limit);
    this.tile = [Math.ceil(width / this.columns), Math.ceil(height / this.rows)];
    Object.assign(this, linkedProgram(gl));
  }

  /** Returns a texture of an image: of halves with 3 channels, of codes with 4. */
  upload(image) {
    const { gl, width, height, columns, rows, tile } = this;
    const isCoded = image instanceof Uint8Array;
    const [stored, format, type] = isCoded
      ? [gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE]
      : [gl.RGB16F, gl.RGB, gl.HALF_FLOAT];
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture);
    gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, stored, ...tile, columns * rows);
    gl.texParameteri(gl.TEXTURE_2D_ARRAY, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D_ARRAY, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, isCoded ? 4 : 2);
    gl.pixelStorei(gl.UNPACK_ROW_LENGTH, width);
    for (let layer = 0; layer < columns * rows; layer++) {
      const left = (layer % columns) * tile[0];
      const top = Math.floor(layer / columns) * tile[1];
      const extent = [Math.min(tile[0], width - left), Math.min(tile[1], height - top)];
      gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, left);
      gl.pixelStorei(gl.UNPACK_SKIP_ROWS, top);
      gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, 0, layer, ...extent, 1, format, type, image);
    }
    return texture;
  }

  release(texture) {
    this.gl.deleteTexture(texture);
  }

  /** Draws a frame; `frame` has the uniforms of the shader and three textures. */
  draw(frame) {
    const { gl, uniforms } = this;
    gl.viewport(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight);
    gl.useProgram(this.program);
    frame.textures.forEach((texture, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture);
    });
    gl.uniform1iv(uniforms.images, [0, 1]);
    gl.uniform1i(uniforms.photograph, 2);
    gl.uniform1iv(uniforms.isEncoded, frame.isEncoded.map(Number));
    gl.uniform1fv(uniforms.gains, frame.gains);
    gl.uniform1fv(uniforms.stopsOffsets, frame.stopsOffsets);
    gl.uniform2i(uniforms.size, this.width, this.height);
    gl.uniform2i(uniforms.tile, ...this.tile);
    gl.uniform1i(uniforms.columns, this.columns);
    gl.uniform2f(uniforms.origin, ...frame.origin);
    for (const name of ["pixelSize", "divider", "lowestStop", "brightest"]) {
      gl.uniform1f(uniforms[name], frame[name]);
    }
    gl.uniform1f(uniforms.canvasHeight, gl.drawingBufferHeight);
    for (const name of ["isTopFirst", "showsStops", "marksClipped"]) {
      gl.uniform1i(uniforms[name], Number(frame[name]));
    }
    gl.uniform3fv(uniforms.colours, STOP_COLOURS.flat().map((code) => code / 255));
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}
