"use strict";

/** Returns the number that a half float means, whose bits are given as an integer. */
function halfToNumber(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  return exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
}

/** Returns the light of an 8-bit code of sRGB (IEC 61966-2-1). */
function codeToLight(code) {
  const encoded = code / 255;
  return encoded <= 0.04045 ? encoded / 12.92 : ((encoded + 0.055) / 1.055) ** 2.4;
}

/** Returns BT.709 luminance of linear red, green and blue. */
function luminanceOf([red, green, blue]) {
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
