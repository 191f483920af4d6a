// @ts-check
/** A matrix on a canvas, with one chosen cell that the mouse and the arrow keys move. */
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { theme, within } from "../state.js";
import { fill } from "./colours.js";
import { useCanvas } from "./hooks.js";

/**
 * @param {{
 *   columns: number, rows: number, colours: () => Uint32Array, at: (row: number, column: number) => number,
 *   changes: unknown[], row: number | null, column: number | null, choose: (row: number, column: number) => void,
 *   label: string, says: string, x: number, y: number, width: number, height: number, total: number,
 *   more?: unknown, below?: number, marks?: {row: number, column: number}[],
 * }} props
 *   the cells, which one is chosen, and where the matrix lies in an area that is `total` wide, with `below` under it
 */
export function Matrix(props) {
  const { columns, rows, colours, at, changes, row, column, choose, label, says, x, y, width, height, total } = props;
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const area = useRef(/** @type {HTMLDivElement | null} */ (null));
  useCanvas(canvas, (element, context) => fill(element, context, { columns, rows, colours: colours(), at }), [
    ...changes,
    columns,
    rows,
    theme.value,
  ]);
  const [wide, high] = [width / columns, height / rows];
  /** @param {PointerEvent} event */
  const point = (event) => {
    const box = area.current?.getBoundingClientRect();
    if (!box || (event.type === "pointermove" && event.buttons === 0)) return;
    const [c, r] = [Math.floor((event.clientX - box.x - x) / wide), Math.floor((event.clientY - box.y - y) / high)];
    if (c >= 0 && c < columns && r >= 0 && r < rows) choose(r, c);
  };
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    const [r, c] = [row ?? 0, column ?? 0];
    /** @type {Record<string, [number, number]>} */
    const moves = {
      ArrowUp: [r - 1, c],
      ArrowDown: [r + 1, c],
      ArrowLeft: [r, c - 1],
      ArrowRight: [r, c + 1],
      Home: [r, 0],
      End: [r, columns - 1],
      PageUp: [0, c],
      PageDown: [rows - 1, c],
    };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    choose(within(move[0], 0, rows - 1), within(move[1], 0, columns - 1));
  };
  useEffect(() => {
    if (area.current) area.current.style.setProperty("height", `${y + height + (props.below ?? 0)}px`);
    canvas.current?.style.setProperty("left", `${x}px`);
    canvas.current?.style.setProperty("top", `${y}px`);
    canvas.current?.style.setProperty("width", `${width}px`);
    canvas.current?.style.setProperty("height", `${height}px`);
  }, [x, y, width, height, props.below]);
  const chosen = row !== null && column !== null;
  const box = { x: x + (column ?? 0) * wide - 1, y: y + (row ?? 0) * high - 1, width: wide + 2, height: high + 2 };
  return html`<div
    class="stack" ref=${area} tabindex="0" role="application" aria-roledescription="matrix" aria-label=${`${label}. ${says}`}
    onPointerDown=${point} onPointerMove=${point} onKeyDown=${press}
  >
    <canvas ref=${canvas} aria-hidden="true"></canvas>
    <svg class="chart" width=${total} height=${y + height + (props.below ?? 0)} aria-hidden="true">
      ${props.more}
      ${(props.marks ?? []).map(
        (mark) => html`<rect class="cell" x=${x + mark.column * wide} y=${y + mark.row * high} width=${Math.max(wide, 3)} height=${Math.max(high, 3)} />`,
      )}
      ${chosen && html`<rect class="cell-out" ...${box} /><rect class="cell" ...${box} />`}
    </svg>
  </div>`;
}

/**
 * A line of colours with its ends.
 *
 * @param {{colours: () => Uint32Array, low: string, high: string, middle?: string}} props
 */
export function Scale({ colours, low, high, middle }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useCanvas(
    canvas,
    (element, context) => fill(element, context, { columns: 256, rows: 1, colours: colours(), at: (_, i) => i / 255 }),
    [theme.value],
  );
  return html`<div class="scale">
    <span>${low}</span><canvas ref=${canvas} aria-hidden="true"></canvas><span>${high}</span>
    ${middle && html`<span>${middle}</span>`}
  </div>`;
}
