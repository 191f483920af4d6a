// @ts-check
/** One prompt: its experts, its tokens, how many experts it reaches. */
import { batch } from "@preact/signals";
import { useMemo, useRef, useState } from "preact/hooks";
import { countsOf, sumsOf } from "../data.js";
import { count, number, percent, whole } from "../format.js";
import { html } from "../html.js";
import { rising } from "../parts/colours.js";
import { Coverage } from "../parts/coverage.js";
import { useHeight, useWidth } from "../parts/hooks.js";
import { Matrix, Scale } from "../parts/matrix.js";
import { Pair } from "../parts/pair.js";
import { Saving } from "../parts/saving.js";
import { TokensOfPrompt } from "../parts/tokens.js";
import { expert, layer, other, prompt, within } from "../state.js";
import { visible } from "../visible.js";
import { Text } from "./similarity.js";

// A share of so many times uniform has the strongest colour.
const MOST = 4;
// A list of more prompts is long.
const LONG = 500;

/** @param {{data: import("../data.js").Data}} props */
export function OnePrompt({ data }) {
  const which = prompt.value;
  const beside = other.value === which ? null : other.value;
  const { facts, prompts, blocks, tokens } = data;
  const partial = facts.phase !== "all" && [which, beside].some((one) => one !== null && tokens?.of.has(one));
  return html`<div>
    <h3><bdi>${visible(prompts.ids[which])}</bdi> · <bdi>${visible(prompts.categories[which])}</bdi> · ${count(blocks.lengths.values[which], "token")} under study</h3>
    <${Steps} data=${data} beside=${beside} />
    ${beside === null ? html`<${Alone} data=${data} which=${which} />` : html`<${Pair} data=${data} which=${which} other=${beside} />`}
    ${partial ? html`<p class="notice">The tokens are all of the prompt's; the analysis is of its ${visible(facts.phase)} tokens.</p>` : null}
  </div>`;
}

/** The way to other prompts, and to two beside each other. @param {{data: import("../data.js").Data, beside: number | null}} props */
function Steps({ data, beside }) {
  const names = useMemo(() => data.prompts.ids.map((id) => visible(id)), [data]);
  // A long list takes its time, and is made when somebody comes to it.
  const [asked, setAsked] = useState(names.length <= LONG);
  const options = useMemo(() => (asked ? names.map((name, i) => html`<option value=${String(i)}>${name}</option>`) : null), [names, asked]);
  const last = names.length - 1;
  /** @param {number} by */
  const step = (by) => {
    prompt.value = within(prompt.value + by, 0, last);
  };
  return html`<div class="controls">
    <span class="group" role="group" aria-label="Neighbouring prompts">
      <button type="button" disabled=${prompt.value === 0} onClick=${() => step(-1)}>← Previous</button>
      <button type="button" disabled=${prompt.value === last} onClick=${() => step(1)}>Next →</button>
    </span>
    <label class="row">Compare with <select
      id="prompt-other" class="prompts" value=${beside === null ? "" : String(beside)} onFocus=${() => setAsked(true)} onPointerDown=${() => setAsked(true)}
      onChange=${(/** @type {any} */ event) => {
        other.value = event.target.value === "" ? null : Number(event.target.value);
      }}
    >
      <option value="">no other prompt</option>
      ${options ?? (beside === null ? null : html`<option value=${String(beside)}>${names[beside]}</option>`)}
    </select></label>
    ${beside !== null &&
    html`<button type="button" onClick=${() => batch(() => ([prompt.value, other.value] = [beside, prompt.value]))}>Swap</button>`}
  </div>`;
}

/** @param {{data: import("../data.js").Data, which: number}} props */
function Alone({ data, which }) {
  const { prompts, tokens } = data;
  const counts = useMemo(() => countsOf(data, which), [data, which]);
  const sums = useMemo(() => sumsOf(data, which), [data, which]);
  return html`<div>
    ${tokens?.of.has(which)
      ? html`<${TokensOfPrompt} key=${which} data=${data} which=${which} counts=${counts} sums=${sums} />`
      : html`<div class="columns">
          <div><${Text} data=${data} prompt=${which} />
            <p class="says">${
              tokens
                ? `The page holds the tokens of ${whole(tokens.of.size)} of ${count(prompts.ids.length, "prompt")}; not of this one.`
                : "Which token went where is not recorded here: moexray capture --record trace records it, and moexray report shows it."
            }</p>
          </div>
          <div><${Experts} data=${data} counts=${counts} sums=${sums} marks=${[]} /></div>
        </div>
        <${Coverage} data=${data} which=${which} />`}
    ${!data.wholeAt.has(which) && html`<p class="notice">Of this prompt the page holds the leading experts of each layer only.</p>`}
  </div>`;
}

/**
 * What a prompt selected in every layer, and the experts of one token.
 *
 * @param {{data: import("../data.js").Data, counts: Float64Array, sums: Float64Array, marks: {row: number, column: number}[], of?: string, mass?: boolean, file?: string}} props
 *   `sums` are of all experts of a layer, of which `counts` may hold some; `mass` says that what is counted is gate weight, not selections
 */
export function Experts({ data, counts, sums, marks, of = "the prompt", mass = data.facts.by === "mass", file = "prompt-experts" }) {
  const { facts, blocks } = data;
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [, layers, most] = blocks.counts.shape;
  const left = 40;
  const wide = Math.max(40, width - left - 4);
  const high = useHeight(Math.max(160, Math.min(22 * layers, 420)));
  const chosen = expert.value;
  const value = chosen === null ? null : counts[layer.value * most + chosen];
  const unit = mass ? "of the gate weight" : "of the selections";
  const blank = [
    ...(facts.experts.some((size) => size < most) ? ["no such expert"] : []),
    ...(sums.some((sum) => !sum) ? ["a layer without a selection"] : []),
    ...(counts.some((one) => Number.isNaN(one)) ? ["not held by the page"] : []),
  ].join(", or ");
  const says =
    chosen === null || value === null
      ? `Layer ${facts.layers[layer.value]}. Choose a cell.`
      : `Expert ${chosen} of layer ${facts.layers[layer.value]}: ${
          Number.isNaN(value) ? "not among the leading experts" : `${percent(value / sums[layer.value])} ${unit} of ${of}`
        }.`;
  const ticks = Array.from({ length: layers }, (_, l) => l).filter((l) => l % Math.ceil((14 * layers) / high) === 0);
  const more = html`<g>
    ${ticks.map((l) => html`<text class="faint" x=${left - 6} y=${((l + 0.5) / layers) * high + 4} text-anchor="end">${facts.layers[l]}</text>`)}
    ${[0, Math.floor(most / 2), most - 1].map((e) => html`<text class="faint" x=${left + ((e + 0.5) / most) * wide} y=${high + 16} text-anchor="middle">${e}</text>`)}
  </g>`;
  return html`<div>
    <h3>Experts of ${of}, layer by layer</h3>
    <div ref=${holder}></div>
    <div ref=${picture}>
      ${width > 0 && html`<${Matrix} columns=${most} rows=${layers} colours=${rising} changes=${[counts]}
        at=${(/** @type {number} */ l, /** @type {number} */ e) => (e >= facts.experts[l] || !sums[l] ? NaN : (counts[l * most + e] / sums[l]) * (facts.experts[l] / MOST))}
        row=${layer.value} column=${chosen} marks=${marks} label=${`Experts of ${of} by layer`} says=${says}
        choose=${(/** @type {number} */ l, /** @type {number} */ e) => {
          layer.value = l;
          expert.value = Math.min(e, facts.experts[l] - 1);
        }}
        x=${left} y=${0} width=${wide} height=${high} total=${width} below=${22} more=${more} />`}
    <${Scale} colours=${rising} low="0" high=${`≥ ${MOST}`} middle=${`share ${unit}, times uniform; down: layers, across: experts${blank && `; blank: ${blank}`}${marks.length ? "; framed: the chosen token" : ""}`} />
    </div>
    <p class="says" aria-live="polite">${says}</p>
    <${Saving} name=${file} of=${`the experts of ${of}`} target=${picture} numbers=${() => ({
      names: ["layer", "expert", mass ? "gate_weight" : "selections", "share"],
      rows: facts.layers.flatMap((index, l) =>
        Array.from({ length: facts.experts[l] }, (_, e) => [index, e, counts[l * most + e], counts[l * most + e] / sums[l]]),
      ),
    })} />
  </div>`;
}
