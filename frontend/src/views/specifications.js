// @ts-check
/** The effect size under every choice of analysis, in order, over marks that say what was chosen. */
import { extent } from "d3-array";
import { scaleLinear } from "d3-scale";
import { useMemo, useRef, useState } from "preact/hooks";
import { count, digitsOf, number, pText } from "../format.js";
import { html } from "../html.js";
import { useHeight, useWidth } from "../parts/hooks.js";
import { Saving } from "../parts/saving.js";
import { slider } from "../parts/slider.js";
import { category } from "../state.js";
import { shortenedAll } from "../visible.js";

const TOP = 20;
const GAP = 16;
const ROW = 17;

/** @typedef {import("../data.js").Specification} Specification */

/** @param {{data: import("../data.js").Data}} props */
export function SpecificationCurve({ data }) {
  return data.facts.specifications && html`<${Curve} data=${data} found=${data.facts.specifications} />`;
}

/** @param {{data: import("../data.js").Data, found: import("../data.js").Specifications}} props */
function Curve({ data, found }) {
  const { level, categories } = data.facts;
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const known = useMemo(() => inOrder(found.rows), [found]);
  const headline = found.headline === null ? -1 : known.indexOf(found.rows[found.headline]);
  const [at, setAt] = useState(Math.max(0, headline));
  const rows = useMemo(() => rowsOf(found, known), [found, known]);
  const high = useHeight(190, { around: 420 + rows.length * ROW });
  if (!known.length) return null;
  const left = Math.round(Math.min(230, 24 + 7.5 * Math.max(...rows.map((one) => one.name.length)), width * 0.42));
  const right = Math.max(width - 8, left + 1);
  const x = scaleLinear([-0.5, known.length - 0.5], [left, right]);
  const [least, most] = extent(known, (one) => one.cohens_d ?? 0);
  const y = scaleLinear([Math.min(0, least ?? 0), Math.max(0.1, most ?? 0)], [TOP + high, TOP]).nice(4);
  const ticks = y.ticks(4);
  const names = shortenedAll(rows.map((one) => one.name), Math.floor((left - 10) / 7.5));
  const start = TOP + high + GAP;
  const bottom = start + (rows[rows.length - 1].place + 1) * ROW;
  const here = known[at];
  const of = found.choices.filter(({ choice, value }) => here[choice] === value).map(({ text }) => text);
  const says =
    `${at + 1} of ${count(known.length, "specification")}. ${of.join("; ")}: d = ${number(here.cohens_d)}, ` +
    `AUC = ${number(here.auc, 3)}, ${pText(here.p_value)}, not adjusted.${at === headline ? " This is the headline." : ""}`;
  const missing = found.rows.length - known.length;
  const leftOut = category.value === null ? null : categories.names[category.value];
  const gap = (right - left) / known.length;
  const half = Math.min(4, Math.max(0.6, gap * 0.4));
  return html`<div>
    <div ref=${holder}></div>
    <div ref=${picture}>
      <svg
        class="chart" height=${bottom + 8}
        ...${slider({
          ...{ label: "Specification", says, values: [1, known.length, at + 1], at, last: known.length - 1, page: 10 },
          find: (across) => (across >= left ? Math.round(x.invert(across)) : null),
          choose: setAt,
        })}
      >
        <text x=${left} y=${TOP - 9}>effect size (Cohen's d)</text>
        ${ticks.map((tick) => html`<line class="tick" x1=${left} x2=${right} y1=${y(tick)} y2=${y(tick)} /><text class="faint" x=${left - 7} y=${y(tick) + 4} text-anchor="end">${number(tick, digitsOf(ticks))}</text>`)}
        <line class="zero" x1=${left} x2=${right} y1=${y(0)} y2=${y(0)} />
        ${useMemo(
          () => known.map((one, i) => html`<circle
            class=${one.p_value !== null && one.p_value < level ? "k1" : "open s1"} cx=${x(i)} cy=${y(one.cohens_d ?? 0)} r=${Math.max(2, half)} />`),
          [known, width, high],
        )}
        ${rows.map(({ choice, value, group, place }, i) => {
          const middle = start + (place + 0.5) * ROW;
          const chosen = here[choice] === value;
          return html`${group && html`<text class="faint" x="0" y=${middle - ROW + 4}>${group}</text>
              <line class="tick" x1="0" x2=${right} y1=${middle - ROW / 2} y2=${middle - ROW / 2} />`}
            <text class=${chosen ? "bold" : "faint"} x=${left - 7} y=${middle + 4} text-anchor="end"
              text-decoration=${choice === "left_out" && value === leftOut ? "underline" : undefined}>${names[i]}</text>`;
        })}
        ${useMemo(
          () => rows.map(({ choice, value, place }) => html`<path class="choices" stroke-width=${Math.max(0.5, Math.min(1.2, gap * 0.6))} d=${known
            .map((one, i) => (one[choice] === value ? `M${x(i)} ${start + place * ROW + 4}v${ROW - 8}` : ""))
            .join("")} />`),
          [known, width, high],
        )}
        ${headline >= 0 && html`<path class="here-mark" d=${`M${x(headline)} ${y(known[headline].cohens_d ?? 0) - 7}l-5 -9h10z`} />`}
        <line class="here" x1=${x(at)} x2=${x(at)} y1=${TOP} y2=${bottom} />
        <circle class="frame" cx=${x(at)} cy=${y(here.cohens_d ?? 0)} r=${Math.max(2, half) + 3} />
      </svg>
    </div>
    <p class="says" aria-live="polite">${says}</p>
    <p class="says">${
      found.test === null
        ? "All together were not tested."
        : `All together: ${pText(found.test.p_value)}, ${count(found.test.permutations, "permutation")} of the labels, of ${count(found.test.specifications, "specification")}.`
    } ${`Filled: p < ${level}; open: not${headline < 0 ? "" : "; triangle: the headline"}.`}${missing ? ` ${count(missing, "specification")} without an effect size ${missing === 1 ? "is" : "are"} not drawn.` : ""}</p>
    <${Saving} name="specifications" target=${picture} numbers=${() => ({
      names: ["measure", "layers", "phase", "left_out", "cohens_d", "auc", "p_value"],
      rows: [...known, ...found.rows.filter((one) => one.cohens_d === null)].map((one) => [
        ...[one.measure, one.layers, one.phase, one.left_out, one.cohens_d, one.auc, one.p_value],
      ]),
    })} />
  </div>`;
}

/** @param {Specification[]} rows @returns {Specification[]} those with an effect size, the smallest first */
function inOrder(rows) {
  return rows.filter((one) => one.cohens_d !== null).sort((a, b) => (a.cohens_d ?? 0) - (b.cohens_d ?? 0));
}

/**
 * Return the rows of marks: the name of each value, the heading of the first of a choice, and the place.
 *
 * @param {import("../data.js").Specifications} found
 * @param {Specification[]} known
 */
function rowsOf(found, known) {
  let place = -1;
  let before = "";
  return found.choices
    .filter(({ choice, value }) => known.some((one) => one[choice] === value))
    .map(({ choice, value, text }) => {
      const cut = text.indexOf(": ");
      const group = choice === before ? null : text.slice(0, cut);
      before = choice;
      place += group === null ? 1 : 2;
      return { choice, value, name: text.slice(cut + 2), group, place };
    });
}
