// @ts-check
/** Colours of the page as numbers, and scales between them. */
import { theme } from "../state.js";

/** @typedef {[number, number, number]} Rgb */

/** @type {Map<string, Rgb>} */
const known = new Map();

/** Have all that is drawn with colours by number drawn again: those of the page have changed. */
export function recolour() {
  known.clear();
  theme.value += 1;
}

/** Give the page its colours. @param {string | null} name light or dark; null for those of the system */
export function colourPage(name) {
  if (name === null) document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", name);
  recolour();
}

/**
 * Return the colour that a variable of the style has now.
 *
 * @param {string} name such as ``--ink``
 * @returns {Rgb}
 */
export function colour(name) {
  const found = known.get(name);
  if (found) return found;
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  probe.style.setProperty("forced-color-adjust", "none");
  document.body.append(probe);
  const parts = getComputedStyle(probe).color.match(/[\d.]+/g) ?? [];
  probe.remove();
  const rgb = /** @type {Rgb} */ ([0, 1, 2].map((i) => Math.round(Number(parts[i] ?? 0))));
  known.set(name, rgb);
  return rgb;
}

// Cividis (Nunez, Anderton and Renslow 2018), at nine places: it reads alike with every kind of colour vision.
/** @type {Rgb[]} */
const CIVIDIS = [
  [0, 34, 78],
  [18, 53, 112],
  [59, 73, 108],
  [87, 93, 109],
  [112, 113, 115],
  [138, 134, 120],
  [165, 156, 116],
  [195, 179, 105],
  [254, 232, 56],
];

/**
 * Return 256 colours between some.
 *
 * @param {Rgb[]} stops
 * @returns {Uint32Array} as a canvas has them
 */
export function table(stops) {
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    const [r, g, b] = stops[low].map((from, j) => Math.round(from + (stops[low + 1][j] - from) * (at - low)));
    return 0xff000000 | (b << 16) | (g << 8) | r;
  });
}

/** Colours from low to high. */
export const sequential = table(CIVIDIS);

/** Colours from below through the middle to above, as light or dark as the page. @returns {Uint32Array} */
export function diverging() {
  return table([colour("--cold"), colour("--level"), colour("--warm")]);
}

/** Colours from none to much, as light or dark as the page. @returns {Uint32Array} */
export function rising() {
  return table([colour("--level"), colour("--c1"), colour("--ink")]);
}

/**
 * Fill a canvas with one colour a cell.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2D} context
 * @param {{columns: number, rows: number, colours: Uint32Array, at: (row: number, column: number) => number}} what
 *   `at` returns a place between 0 and 1, or NaN for a cell without a value
 */
export function fill(canvas, context, { columns, rows, colours, at }) {
  canvas.width = columns;
  canvas.height = rows;
  const image = context.createImageData(columns, rows);
  const cells = new Uint32Array(image.data.buffer);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const value = at(row, column);
      cells[row * columns + column] = Number.isNaN(value)
        ? 0
        : colours[Math.round(255 * Math.min(1, Math.max(0, value)))];
    }
  }
  context.putImageData(image, 0, 0);
}
