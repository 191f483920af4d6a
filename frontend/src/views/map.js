// @ts-check
/** Prompts in the plane of two principal components. */
import { extent } from "d3-array";
import { scaleLinear } from "d3-scale";
import { useMemo, useRef } from "preact/hooks";
import { count, digitsOf, number, percent } from "../format.js";
import { html } from "../html.js";
import { nearest } from "../numbers.js";
import { useHeight, useWidth } from "../parts/hooks.js";
import { Mark, fillOf, shapeOf } from "../parts/marks.js";
import { Saving } from "../parts/saving.js";
import { category, prompt } from "../state.js";
import { visible } from "../visible.js";

const LEFT = 50;
const BOTTOM = 46;
// So many pixels from a mark still choose it.
const REACH = 24;

/** @type {Record<string, [number, number]>} */
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** @param {{data: import("../data.js").Data}} props */
export function MapOfPrompts({ data }) {
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const plane = data.facts.plane;
  const { placed, points } = useMemo(() => pointsOf(data), [data]);
  const height = Math.max(300, useHeight(Math.min(480, width * 0.68)));
  const [x, y] = useMemo(() => {
    const ends = [0, 1].map((i) => extent(points, (point) => point[i]));
    return [
      scaleLinear([ends[0][0] ?? 0, ends[0][1] ?? 1], [LEFT + 12, Math.max(width - 14, LEFT + 13)]),
      scaleLinear([ends[1][0] ?? 0, ends[1][1] ?? 1], [height - BOTTOM - 12, 14]),
    ];
  }, [points, width, height]);
  const marks = useMemo(
    () => points.map((point, i) => [`translate(${x(point[0])} ${y(point[1])})`, data.categoryOf[placed[i]]]),
    [x, y],
  );
  // Thousands of marks are compared with those before only when one of them changes.
  const drawn = useMemo(
    () => html`<g>${marks.map(([where, of], i) => {
      const dim = category.value !== null && of !== category.value;
      return html`<path key=${i} class=${`mark ${fillOf(Number(of))}${dim ? " dim" : ""}`} transform=${where} d=${shapeOf(Number(of), 64)} />`;
    })}</g>`,
    [marks, category.value],
  );
  if (!plane || !points.length) return null;
  const digits = [x, y].map((scale) => digitsOf(scale.ticks(6)));
  const here = placed.indexOf(prompt.value);
  const id = visible(data.prompts.ids[prompt.value]);
  const says =
    here < 0
      ? `${id} is not in this plane.`
      : `${id}, ${visible(data.prompts.categories[prompt.value])}: ${number(points[here][0], 3)}, ${number(points[here][1], 3)}.`;
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    const from = Math.max(here, 0);
    let to = -1;
    if (event.key in DIRECTIONS) to = nearest(points, from, DIRECTIONS[event.key]);
    if (event.key === "Home") to = 0;
    if (event.key === "End") to = points.length - 1;
    if (to < 0) return;
    event.preventDefault();
    prompt.value = placed[to];
  };
  /** Choose the nearest mark: a finger is wider than one. @param {MouseEvent} event */
  const point = (event) => {
    const box = /** @type {SVGElement} */ (event.currentTarget).getBoundingClientRect();
    const at = [event.clientX - box.x, event.clientY - box.y];
    const far = points.map((one) => Math.hypot(x(one[0]) - at[0], y(one[1]) - at[1]));
    const best = far.reduce((least, one, i) => (one < far[least] ? i : least), 0);
    if (far[best] <= REACH) prompt.value = placed[best];
  };
  return html`<div>
    <div ref=${holder}></div>
    <div ref=${picture}>
      <svg class="chart" height=${height} tabindex="0" role="application" aria-roledescription="map" aria-label=${`Map of prompts. ${says}`} onKeyDown=${press} onClick=${point}>
        ${x.ticks(6).map((tick) => html`<line class="tick" x1=${x(tick)} x2=${x(tick)} y1="6" y2=${height - BOTTOM} /><text class="faint" text-anchor="middle" x=${x(tick)} y=${height - BOTTOM + 16}>${number(tick, digits[0])}</text>`)}
        ${y.ticks(6).map((tick) => html`<line class="tick" x1=${LEFT} x2=${width - 4} y1=${y(tick)} y2=${y(tick)} /><text class="faint" text-anchor="end" x=${LEFT - 6} y=${y(tick) + 4}>${number(tick, digits[1])}</text>`)}
        <text x=${(LEFT + width) / 2} y=${height - 8} text-anchor="middle">component 1, ${percent(plane.explained[0])} of the variance</text>
        <text x="12" y=${(height - BOTTOM) / 2} text-anchor="middle" transform=${`rotate(-90 12 ${(height - BOTTOM) / 2})`}>component 2, ${percent(plane.explained[1])}</text>
        ${drawn}
        ${here >= 0 && html`<path class=${`mark on ${fillOf(Number(marks[here][1]))}`} transform=${marks[here][0]} d=${shapeOf(Number(marks[here][1]), 190)} />`}
      </svg>
      <ul class="legend">
        ${data.facts.categories.names.map((name, i) => html`<li><${Mark} category=${i} /><bdi>${visible(name)}</bdi></li>`)}
      </ul>
    </div>
    <p class="says" aria-live="polite">${says}${" "}${
      points.length < data.facts.prompts ? `${count(points.length, "prompt")} of ${data.facts.prompts} are drawn.` : ""
    }${plane.silhouette === null ? "" : ` Silhouette of the categories: ${number(plane.silhouette)}.`}</p>
    <${Saving} name="map" target=${picture} numbers=${() => ({
      names: ["prompt", "category", "component_1", "component_2"],
      rows: points.map((point, i) => [data.prompts.ids[placed[i]], data.prompts.categories[placed[i]], point[0], point[1]]),
    })} />
  </div>`;
}

/** @param {import("../data.js").Data} data @returns {{placed: number[], points: [number, number][]}} */
function pointsOf(data) {
  const values = data.blocks.plane?.values ?? [];
  /** @type {number[]} */
  const placed = [];
  /** @type {[number, number][]} */
  const points = [];
  for (let i = 0; i < data.prompts.ids.length; i++) {
    if (Number.isNaN(values[2 * i] ?? NaN)) continue;
    placed.push(i);
    points.push([values[2 * i], values[2 * i + 1]]);
  }
  return { placed, points };
}
