// @ts-check
/** Marks of categories: a colour and a shape each. */
import {
  symbol,
  symbolCircle,
  symbolCross,
  symbolDiamond,
  symbolSquare,
  symbolStar,
  symbolTriangle,
  symbolWye,
} from "d3-shape";
import { html } from "../html.js";

const SHAPES = [
  symbolCircle,
  symbolSquare,
  symbolTriangle,
  symbolDiamond,
  symbolCross,
  symbolStar,
  symbolWye,
];
const COLOURS = 8;

/** @param {number} category @returns {string} the class that fills a mark */
export function fillOf(category) {
  return category < 0 ? "grey" : `k${(category % COLOURS) + 1}`;
}

/** @param {number} category @param {number} area @returns {string} */
export function shapeOf(category, area) {
  return symbol(SHAPES[Math.max(0, category) % SHAPES.length], area)() ?? "";
}

/** @param {{category: number}} props */
export function Mark({ category }) {
  return html`<svg viewBox="-8 -8 16 16" aria-hidden="true"><path class=${fillOf(category)} d=${shapeOf(category, 110)} /></svg>`;
}
