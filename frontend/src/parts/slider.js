// @ts-check
/** What makes a chart a slider: one of its places is chosen by mouse, finger and keys. */
import { layer, within } from "../state.js";

/**
 * Return the attributes of a chart in which one of its places is chosen.
 *
 * @param {{
 *   label: string, says: string, values: [least: number, most: number, now: number], at: number, last: number,
 *   find: (x: number, y: number) => number | null, choose: (place: number) => void, vertical?: boolean, page?: number,
 * }} how
 *   `values` are what the ends and the chosen place are called; `at` is that place, −1 for none, of 0 to `last`; `find`
 *   returns the place at a point of the chart, null for none; `vertical` places lie below each other; a `page` is how
 *   far Page Up and Page Down go, 0 where they are left to the browser
 * @returns {Record<string, unknown>}
 */
export function slider({ label, says, values: [least, most, now], at, last, find, choose, vertical = false, page = 0 }) {
  /** @param {PointerEvent} event */
  const point = (event) => {
    if (event.type === "pointermove" && event.buttons === 0) return;
    const box = /** @type {SVGElement} */ (event.currentTarget).getBoundingClientRect();
    const place = find(event.clientX - box.x, event.clientY - box.y);
    if (place !== null) choose(within(place, 0, last));
  };
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    const up = vertical ? -1 : 1;
    /** @type {Record<string, number>} */
    const moves = {
      ...{ ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at + up, ArrowDown: at - up, Home: 0, End: last },
      ...(page ? { PageUp: at + page, PageDown: at - page } : {}),
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    choose(within(moves[event.key], 0, last));
  };
  return {
    ...{ tabindex: "0", role: "slider", "aria-label": label, "aria-orientation": vertical ? "vertical" : undefined },
    ...{ "aria-valuemin": least, "aria-valuemax": most, "aria-valuenow": now, "aria-valuetext": says },
    ...{ onPointerDown: point, onPointerMove: point, onKeyDown: press },
  };
}

/**
 * Return the attributes of a chart over layers, in which the shared layer is chosen.
 *
 * @param {{label: string, says: string, layers: number[], x: import("d3-scale").ScaleLinear<number, number>}} how
 */
export function layerSlider({ label, says, layers, x }) {
  const last = layers.length - 1;
  return slider({
    ...{ label, says, values: [layers[0], layers[last], layers[layer.value]], at: layer.value, last },
    find: (across) => {
      const at = x.invert(across);
      return layers.reduce((best, value, i) => (Math.abs(value - at) < Math.abs(layers[best] - at) ? i : best), 0);
    },
    choose: (place) => {
      layer.value = place;
    },
  });
}
