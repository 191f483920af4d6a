// @ts-check
/** Buttons that save a view as a picture, and its numbers as a table. */
import { csv } from "../csv.js";
import { html } from "../html.js";
import { onPaper } from "./paper.js";
import { pictureOf } from "./picture.js";

/**
 * @typedef {object} Numbers
 * @property {string[]} names
 * @property {Iterable<readonly (string | number | null | undefined)[]>} rows
 */

/**
 * Buttons below a view. Pictures are light whatever the page is, with all that is in the element: texts and scales, too.
 *
 * @param {{name: string, target: import("preact").RefObject<HTMLElement>, numbers: () => Numbers, of?: string}} props
 *   `of` says what is saved where a section has buttons for several things
 */
export function Saving({ name, target, numbers, of }) {
  const file = `moexray-${name}`;
  /** @param {string} kind */
  const label = (kind) => (of ? `Save ${kind} of ${of}` : undefined);
  return html`<div class="saving">
    <button type="button" aria-label=${label("SVG")} onClick=${() => saveSvg(target.current, file)}>Save SVG</button>
    <button type="button" aria-label=${label("PNG")} onClick=${() => savePng(target.current, file)}>Save PNG</button>
    <button type="button" aria-label=${label("CSV")} onClick=${() => {
      const { names, rows } = numbers();
      saveCsv(names, rows, file);
    }}>Save CSV</button>
  </div>`;
}

/**
 * @param {readonly string[] | null} names null for a table without headings
 * @param {Numbers["rows"]} rows
 * @param {string} file
 * @param {readonly boolean[]} [numeric] see `csv`
 */
export function saveCsv(names, rows, file, numeric) {
  save(new Blob([csv(names, rows, numeric)], { type: "text/csv;charset=utf-8" }), `${file}.csv`);
}

/** @param {HTMLElement | null} element @param {string} file */
export function saveSvg(element, file) {
  const picture = element && onPaper(() => pictureOf(element));
  if (picture) save(new Blob([picture.text], { type: "image/svg+xml" }), `${file}.svg`);
}

/** @param {HTMLElement | null} element @param {string} file */
export async function savePng(element, file) {
  const picture = element && onPaper(() => pictureOf(element));
  if (!picture) return;
  const image = new Image();
  image.src = `data:image/svg+xml;base64,${btoa(Array.from(new TextEncoder().encode(picture.text), (b) => String.fromCharCode(b)).join(""))}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil(picture.width * 2);
  canvas.height = Math.ceil(picture.height * 2);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => blob && save(blob, `${file}.png`));
}

/** @param {Blob} blob @param {string} file */
function save(blob, file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
