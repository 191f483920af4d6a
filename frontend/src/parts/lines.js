// @ts-check
/** Text of a chart in as many lines as its width asks for: SVG breaks none. */
import { html } from "../html.js";

const LETTER = 6.9;
export const LINE = 15;

/**
 * Return the lines of a text.
 *
 * @param {string} text
 * @param {number} width in pixels
 * @returns {string[]}
 */
export function linesOf(text, width) {
  const most = Math.max(12, Math.floor(width / LETTER));
  /** @type {string[]} */
  const lines = [];
  for (const word of text.split(" ")) {
    const last = lines.length - 1;
    if (last >= 0 && lines[last].length + 1 + word.length <= most) lines[last] += ` ${word}`;
    else lines.push(word);
  }
  return lines;
}

/**
 * Lines of text, the last of them on the line that is given.
 *
 * @param {{lines: string[], x: number, y: number, class?: string}} props
 */
export function Lines({ lines, x, y, class: name }) {
  return html`<g>${lines.map((line, i) => html`<text class=${name} x=${x} y=${y - (lines.length - 1 - i) * LINE}>${line}</text>`)}</g>`;
}
