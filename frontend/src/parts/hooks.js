// @ts-check
/** Hooks that views share. */
import { createContext } from "preact";
import { useContext, useLayoutEffect, useRef, useState } from "preact/hooks";
import { large, paper, room } from "../state.js";

/** The name of the section that a view is drawn in. */
export const Place = createContext("");

/**
 * Return a reference, and the width that its element has on the screen, or on paper.
 *
 * @returns {[import("preact").RefObject<HTMLDivElement | null>, number]}
 */
export function useWidth() {
  const ref = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return undefined;
    // What is hidden, as beside a view that fills the window, keeps its width.
    const measure = () => setWidth((before) => Math.floor(element.clientWidth) || before);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, paper.value || width];
}

/**
 * Return how high a chart is: as high as it normally is, or as the window has room where its section fills it.
 *
 * @param {number} normal
 * @param {{around?: number, parts?: number}} [how] pixels of what stands above and below it, and how many charts share the rest
 * @returns {number}
 */
export function useHeight(normal, { around = 360, parts = 1 } = {}) {
  const place = useContext(Place);
  if (!large.value || large.value !== place || paper.value) return normal;
  return Math.max(normal, Math.floor((room.value - around) / parts));
}

/**
 * Draw on a canvas after each rendering in which something changed, before the page is shown.
 *
 * @param {import("preact").RefObject<HTMLCanvasElement | null>} ref
 * @param {(canvas: HTMLCanvasElement, context: CanvasRenderingContext2D) => void} draw
 * @param {unknown[]} changes
 */
export function useCanvas(ref, draw, changes) {
  useLayoutEffect(() => {
    const context = ref.current?.getContext("2d");
    if (ref.current && context) draw(ref.current, context);
  }, changes);
}
