// @ts-check
/** Buttons that save a view as a picture, and its numbers as a table. */
import { csv } from "../csv.js";
import { html } from "../html.js";

const STYLES = [
  ...["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family"],
  ...["font-weight", "text-anchor", "dominant-baseline", "paint-order"],
];
const SVG = "http://www.w3.org/2000/svg";

/**
 * @typedef {object} Numbers
 * @property {string[]} names
 * @property {Iterable<readonly (string | number | null | undefined)[]>} rows
 */

/**
 * Buttons below a view.
 *
 * @param {{name: string, target: import("preact").RefObject<HTMLElement>, numbers: () => Numbers}} props
 */
export function Saving({ name, target, numbers }) {
  const file = `moexray-${name}`;
  return html`<div class="saving">
    <button type="button" onClick=${() => saveSvg(target.current, file)}>Save SVG</button>
    <button type="button" onClick=${() => savePng(target.current, file)}>Save PNG</button>
    <button type="button" onClick=${() => {
      const { names, rows } = numbers();
      save(new Blob([csv(names, rows)], { type: "text/csv;charset=utf-8" }), `${file}.csv`);
    }}>Save CSV</button>
  </div>`;
}

/** @param {HTMLElement | null} element @param {string} file */
function saveSvg(element, file) {
  const text = svgOf(element);
  if (text) save(new Blob([text], { type: "image/svg+xml" }), `${file}.svg`);
}

/** @param {HTMLElement | null} element @param {string} file */
async function savePng(element, file) {
  const text = svgOf(element);
  const size = element?.querySelector("svg")?.getBoundingClientRect();
  if (!text || !size) return;
  const image = new Image();
  image.src = `data:image/svg+xml;base64,${btoa(Array.from(new TextEncoder().encode(text), (b) => String.fromCharCode(b)).join(""))}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil(size.width * 2);
  canvas.height = Math.ceil(size.height * 2);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.fillStyle = getComputedStyle(document.documentElement).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => blob && save(blob, `${file}.png`));
}

/**
 * Return the picture in an element as a file of SVG, with its colours and, where it has a canvas, what is on it.
 *
 * @param {HTMLElement | null} element
 * @returns {string | null}
 */
export function svgOf(element) {
  const shown = element?.querySelector("svg");
  if (!element || !shown) return null;
  const box = shown.getBoundingClientRect();
  const copy = /** @type {SVGSVGElement} */ (shown.cloneNode(true));
  const [originals, copies] = [shown, copy].map((one) => [one, ...one.querySelectorAll("*")]);
  originals.forEach((original, i) => {
    const style = getComputedStyle(original);
    for (const name of STYLES) copies[i].setAttribute(name, style.getPropertyValue(name));
    for (const name of ["class", "tabindex", "role"]) copies[i].removeAttribute(name);
  });
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("width", String(box.width));
  copy.setAttribute("height", String(box.height));
  if (!copy.hasAttribute("viewBox")) copy.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
  copy.setAttribute("fill", "none");
  const canvas = element.querySelector("canvas");
  if (canvas) {
    const place = canvas.getBoundingClientRect();
    const image = document.createElementNS(SVG, "image");
    const values = { x: place.x - box.x, y: place.y - box.y, width: place.width, height: place.height };
    for (const [name, value] of Object.entries(values)) image.setAttribute(name, String(value));
    image.setAttribute("preserveAspectRatio", "none");
    image.setAttribute("image-rendering", "pixelated");
    image.setAttribute("href", canvas.toDataURL());
    copy.prepend(image);
  }
  return new XMLSerializer().serializeToString(copy);
}

/** @param {Blob} blob @param {string} file */
function save(blob, file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
