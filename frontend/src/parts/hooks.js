// @ts-check
/** Hooks that views share. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/**
 * Return a reference, and the width that its element has on the screen.
 *
 * @returns {[import("preact").RefObject<HTMLDivElement | null>, number]}
 */
export function useWidth() {
  const ref = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return undefined;
    setWidth(Math.floor(element.clientWidth));
    const observer = new ResizeObserver(() => setWidth(Math.floor(element.clientWidth)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

/**
 * Draw on a canvas after each rendering in which something changed.
 *
 * @param {import("preact").RefObject<HTMLCanvasElement | null>} ref
 * @param {(canvas: HTMLCanvasElement, context: CanvasRenderingContext2D) => void} draw
 * @param {unknown[]} changes
 */
export function useCanvas(ref, draw, changes) {
  useEffect(() => {
    const context = ref.current?.getContext("2d");
    if (ref.current && context) draw(ref.current, context);
  }, changes);
}
