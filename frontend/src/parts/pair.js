// @ts-check
/** Two prompts beside each other: their tokens in the same colours, their experts, and what these have in common. */
import { useMemo, useRef, useState } from "preact/hooks";
import { countsOf, sumsOf } from "../data.js";
import { count, number, percent } from "../format.js";
import { html } from "../html.js";
import { compared, sharesIn } from "../pairs.js";
import { chooseToken, expert, layer, tokenAt } from "../state.js";
import { byExpert, expertsOf, leadingTogether, tintsByLeading } from "../tinting.js";
import { visible } from "../visible.js";
import { Experts } from "../views/prompt.js";
import { Text } from "../views/similarity.js";
import { LayerChart } from "./layer_chart.js";
import { Legend } from "./legend.js";
import { PairShares } from "./pair_shares.js";
import { Saving } from "./saving.js";
import { FoundTokens, hitsIn } from "./search.js";
import { Strip } from "./strip.js";
import { tokenTable, tokenWords, whereOf } from "./token_words.js";

/** @typedef {{which: number, id: string, name: string, counts: Float64Array, sums: Float64Array}} Side */

/** @param {{data: import("../data.js").Data, which: number, other: number}} props */
export function Pair({ data, which, other }) {
  const sides = useMemo(() => [which, other].map((one) => sideOf(data, one)), [data, which, other]);
  const whole = sides.every((one) => data.wholeAt.has(one.which));
  return html`<div>
    <${Sides} data=${data} sides=${sides} />
    ${whole
      ? html`<${InCommon} data=${data} sides=${sides} />`
      : html`<p class="notice">Of at least one of these prompts the page holds the leading experts of each layer only: how similar they are is not known here.</p>`}
  </div>`;
}

/** @param {import("../data.js").Data} data @param {number} which @returns {Side} */
function sideOf(data, which) {
  const id = data.prompts.ids[which];
  return { which, id, name: visible(id), counts: countsOf(data, which), sums: sumsOf(data, which) };
}

/** @param {{data: import("../data.js").Data, sides: Side[]}} props */
function Sides({ data, sides }) {
  const { tokens, facts } = data;
  const l = layer.value;
  const [mode, setMode] = useState(/** @type {"leading" | "expert"} */ ("leading"));
  const [numbers, setNumbers] = useState(false);
  const [second, setSecond] = useState({ which: -1, at: 0 });
  const traced = sides.filter((one) => tokens?.of.has(one.which));
  const about = facts.tokens;
  const leading = useMemo(
    () =>
      tokens && about ? leadingTogether(tokens.experts, traced.map((one) => whereOf(data, one.which)), l, about.ranked) : [],
    [sides, l],
  );
  const chosen = expert.value ?? leading[0]?.expert ?? 0;
  const tints = useMemo(
    () =>
      traced.map(({ which }) => {
        if (!tokens || !about) return [];
        const [where, { ranked, steps }] = [whereOf(data, which), about];
        if (mode === "leading") return tintsByLeading(tokens.experts, where, l, { ranked, leading });
        return byExpert(tokens.experts, where, l, { expert: chosen, weights: tokens.weights, steps, ranked });
      }),
    [sides, l, mode, mode === "expert" ? chosen : -1, leading],
  );
  const said = leading.map((one) => ({ ...one, said: traced.length > 1 ? one.each.join(" + ") : count(one.tokens, "token") }));
  const length = tints.reduce((sum, one) => sum + one.length, 0);
  return html`<div>
    ${traced.length > 0 &&
    html`<div class="controls">
        <span class="group" role="group" aria-label="What tints tokens">
          <button type="button" aria-pressed=${mode === "leading"} onClick=${() => setMode("leading")}>Leading experts of both</button>
          <button type="button" aria-pressed=${mode === "expert"} onClick=${() => setMode("expert")}>One expert</button>
        </span>
        <button type="button" aria-pressed=${numbers} onClick=${() => setNumbers(!numbers)}>Numbers</button>
      <${FoundTokens} />
      </div>
      <${Legend} mode=${mode} leading=${said} chosen=${chosen} length=${length} facts=${facts} more=${traced.length > 1 ? "; tokens of the first prompt + of the second" : ""} />`}
    <div class=${`pair${traced.length > 1 ? " aligned" : ""}`}>${sides.map((side, i) => {
      const place = traced.indexOf(side);
      const at = i === 0 ? tokenAt() : second.which === side.which ? second.at : 0;
      /** @param {number} to */
      const choose = (to) => (i === 0 ? chooseToken(to) : setSecond({ which: side.which, at: to }));
      return html`<${Column} key=${i} data=${data} side=${side} tints=${place < 0 ? null : tints[place]} at=${at} choose=${choose} numbers=${numbers} which=${i === 0 ? "first" : "second"} />`;
    })}</div>
  </div>`;
}

/**
 * One of the two prompts.
 *
 * @param {{
 *   data: import("../data.js").Data, side: Side, tints: import("../tinting.js").Tint[] | null, at: number,
 *   choose: (at: number) => void, numbers: boolean, which: "first" | "second",
 * }} props
 */
function Column({ data, side, tints, at: wanted, choose, numbers, which }) {
  const { tokens, facts } = data;
  const l = layer.value;
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const at = Math.min(wanted, (tints?.length ?? 1) - 1);
  const marks = useMemo(() => {
    if (!tints || !tokens) return [];
    const where = whereOf(data, side.which);
    return facts.layers.flatMap((_, row) => expertsOf(tokens.experts, where, where.start + at, row).map((column) => ({ row, column })));
  }, [side, at]);
  const experts = html`<${Experts} data=${data} counts=${side.counts} sums=${side.sums} marks=${marks} of=${side.name} file=${`pair-${which}-experts`} />`;
  if (!tints) {
    return html`<article aria-label=${side.name}>
      <${Text} data=${data} prompt=${side.which} />
      ${tokens && html`<p class="says">The page does not hold the tokens of this prompt.</p>`}
      ${experts}
    </article>`;
  }
  const says = tokenWords(data, whereOf(data, side.which), at, l);
  return html`<article aria-label=${side.name}>
    <div ref=${picture}>
      <h3><bdi>${side.name}</bdi> · <bdi>${visible(data.prompts.categories[side.which])}</bdi></h3>
      <${Strip} data=${data} which=${side.which} tints=${tints} at=${at} choose=${choose} beside=${numbers} hits=${hitsIn(side.which)} label=${`Tokens of ${side.name}. ${says}`} />
    </div>
    <p class="says" aria-live="polite">${says}</p>
    <${Saving} name=${`pair-${which}-tokens`} of=${`the tokens of ${side.name}`} target=${picture} numbers=${() => tokenTable(data, side.which, l)} />
    ${experts}
  </article>`;
}

/** How similar two prompts are, layer by layer, beside what pairs of prompts are. @param {{data: import("../data.js").Data, sides: Side[]}} props */
function InCommon({ data, sides }) {
  const { facts, blocks } = data;
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [, layers, width] = blocks.counts.shape;
  const [one, other] = sides;
  const found = useMemo(() => compared(one.counts, other.counts, layers), [sides]);
  const l = layer.value;
  const here = found.layers[l];
  const unit = facts.by === "mass" ? "of the gate weight" : "of the selections";
  const shares = useMemo(() => sides.map((side) => sharesIn(side.counts, l, width).subarray(0, facts.experts[l])), [sides, l]);
  const means = [facts.effects.map((effect) => effect.within ?? NaN), facts.effects.map((effect) => effect.across ?? NaN)];
  const cosines = found.layers.map((of) => of.cosine);
  const known = means.map((values) => values.length === layers && values.some((value) => !Number.isNaN(value)));
  const effect = facts.effects[l];
  const says =
    `${one.name} and ${other.name}: cosine similarity ${number(found.cosine, 4)} of all layers, ${number(here.cosine, 4)} in layer ${facts.layers[l]}` +
    (effect && known[0] && known[1] ? ` (pairs of one category ${number(effect.within, 4)} on average, of two ${number(effect.across, 4)})` : "") +
    `. In this layer both reach ${here.both} of ${count(here.either, "expert")} that either reaches, and have ${percent(here.common)} ${unit} in common.`;
  const series = [
    { values: cosines, name: "these two prompts", line: "line s1", dots: "k1" },
    ...(known[0] ? [{ values: means[0], name: "pairs of one category, on average", line: "dash" }] : []),
    ...(known[1] ? [{ values: means[1], name: "pairs of two categories, on average", line: "dash fine" }] : []),
  ];
  return html`<div class="columns">
    <div>
      <h3>Cosine similarity, layer by layer</h3>
      <div ref=${picture}><${LayerChart} layers=${facts.layers} series=${series} ends=${[Math.min(0, ...cosines.filter((value) => !Number.isNaN(value))), 1]} high=${220} label="Layer: similarity of the two prompts" says=${says} /></div>
      <p class="says" aria-live="polite">${says}</p>
      <${Saving} name="pair-layers" of="the similarity by layer" target=${picture} numbers=${() => ({
        names: ["prompt", "other", "layer", "cosine", "in_common", "experts_of_both", "experts_of_either", "mean_within", "mean_across"],
        rows: found.layers.map((of, i) => [
          ...[one.id, other.id, facts.layers[i], of.cosine, of.common, of.both, of.either],
          ...means.map((values) => values[i]),
        ]),
      })} />
    </div>
    <div><${PairShares} data=${data} names=${[one.name, other.name]} ids=${[one.id, other.id]} shares=${shares} unit=${unit} /></div>
  </div>`;
}
