// @ts-check
/** The tokens of a prompt, tinted by their experts, and what the chosen one and all of them selected. */
import { useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { affinity, layerSums, sharesWithout } from "../numbers.js";
import { chooseToken, expert, layer, tokenAt } from "../state.js";
import { COLOURS, byCategory, byExpert, byLeading, countInLayer, countTokens, expertsOf, takes, tokensOfImages } from "../tinting.js";
import { Experts } from "../views/prompt.js";
import { Coverage } from "./coverage.js";
import { Legend } from "./legend.js";
import { Patches } from "./patches.js";
import { PlaybackControls, usePlayback } from "./playback.js";
import { Saving } from "./saving.js";
import { FoundTokens, hitsIn } from "./search.js";
import { Strip, WINDOW } from "./strip.js";
import { affinityWords, tokenTable, tokenWords, whereOf } from "./token_words.js";

const MODES = /** @type {const} */ ([["leading", "Leading experts"], ["expert", "One expert"], ["category", "Categories"]]);

/** @param {{data: import("../data.js").Data, which: number, counts: Float64Array, sums: Float64Array}} props */
export function TokensOfPrompt({ data, which, counts, sums }) {
  const tokens = /** @type {import("../data.js").Tokens} */ (data.tokens);
  const { facts, blocks } = data;
  const about = /** @type {NonNullable<import("../data.js").Facts["tokens"]>} */ (facts.tokens);
  const where = useMemo(() => whereOf(data, which), [data, which]);
  const length = where.end - where.start;
  const segments = useMemo(() => Array.from({ length }, (_, i) => facts.segments[tokens.segments[where.start + i]]), [where]);
  const begin = segments.findIndex((one) => one.phase === "generated");
  const [mode, setMode] = useState(/** @type {import("./legend.js").Mode} */ ("leading"));
  const [numbers, setNumbers] = useState(false);
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const playback = usePlayback({ begin, length, at: Math.min(tokenAt(), length - 1), stopped: chooseToken });
  const { playing, at } = playback;
  const l = layer.value;
  const width = blocks.counts.shape[2];

  const leading = useMemo(() => byLeading(tokens.experts, where, l, about.ranked), [where, l]);
  const chosen = expert.value ?? leading.leading[0]?.expert ?? 0;
  const shares = useMemo(() => (mode === "category" ? sharesFor(data, which, where, l) : null), [where, l, mode]);
  const tints = useMemo(() => {
    if (mode === "leading") return leading.tints;
    if (shares) return byCategory(tokens.experts, where, l, shares);
    return byExpert(tokens.experts, where, l, { expert: chosen, weights: tokens.weights, steps: about.steps, ranked: about.ranked });
  }, [leading, shares, mode, mode === "expert" ? chosen : -1]);

  /** @param {number} to */
  const choose = (to) => {
    playback.end();
    chooseToken(to);
  };
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    if (event.key === " " && begin >= 0) playback.toggle();
    else if (event.key === "Escape" && playing) playback.stop();
    else return false;
    return true;
  };
  const here = where.start + at;
  const marks = useMemo(
    () => facts.layers.flatMap((_, row) => expertsOf(tokens.experts, where, here, row).map((column) => ({ row, column }))),
    [where, at],
  );
  const soFar = useMemo(
    () => (playing ? countTokens(tokens.experts, { ...where, end: here + 1 }, width) : counts),
    [counts, playing, playing ? at : -1],
  );
  const sumsSoFar = playing ? layerSums(soFar, where.layers, width) : sums;
  const reached = playing ? soFar.subarray(l * width, (l + 1) * width).filter((value) => value > 0).length : 0;
  const images = data.images[String(blocks.rows.values[which])] ?? [];
  const places = useMemo(
    () => tokensOfImages(segments.map((one, i) => (one.kind === "image" ? tokens.text[where.start + i] : null)), images),
    [segments],
  );
  const first = Math.floor(at / WINDOW) * WINDOW;
  const says =
    tokenWords(data, where, at, l) +
    (shares ? ` ${affinityWords(facts, affinity(expertsOf(tokens.experts, where, here, l), shares))}` : "") +
    (playing ? ` So far ${reached} of ${facts.experts[l]} experts of this layer were reached.` : "");
  return html`<div>
    <div class="controls">
      <span class="group" role="group" aria-label="What tints tokens">
        ${MODES.map(([one, title]) => html`<button type="button" aria-pressed=${mode === one} onClick=${() => setMode(one)}>${title}</button>`)}
      </span>
      <button type="button" aria-pressed=${numbers} onClick=${() => setNumbers(!numbers)}>Numbers</button>
      <${FoundTokens} />
      ${begin >= 0 && html`<${PlaybackControls} playback=${playback} />`}
      ${length > WINDOW && html`<span>tokens ${first + 1} to ${Math.min(first + WINDOW, length)} of ${length}</span>`}
    </div>
    <div ref=${picture}>
      <${Legend} mode=${mode} leading=${leading.leading} chosen=${chosen} length=${length} facts=${facts} />
      <${Strip}
        data=${data} which=${which} tints=${tints} at=${at} choose=${choose} playing=${playing} press=${press}
        beside=${numbers || (mode === "category" && facts.categories.names.length > COLOURS)}
        hits=${hitsIn(which)} label=${`Tokens of the prompt. ${says}`}
      />
    </div>
    <p class="says" aria-live=${playing ? "off" : "polite"}>${says}</p>
    <${Saving} name="prompt-tokens" of="the tokens" target=${picture} numbers=${() => tokenTable(data, which, l)} />
    ${images.map((image, i) => html`<${Patches} key=${i} image=${image} places=${places[i]} tints=${tints} at=${at} choose=${choose} number=${i + 1} table=${() => tokenTable(data, which, l)} />`)}
    <div class="columns">
      <div><${Experts} data=${data} counts=${soFar} sums=${sumsSoFar} marks=${marks} of=${playing ? "the tokens so far" : "the prompt"} mass=${!playing && facts.by === "mass"} /></div>
      <div><${Coverage} data=${data} which=${which} /></div>
    </div>
  </div>`;
}

/**
 * Return the shares of the other prompts of each category: what this one selected is taken from its own.
 *
 * @param {import("../data.js").Data} data
 * @param {number} which
 * @param {import("../tinting.js").Where} where its tokens
 * @param {number} at the place of a layer
 * @returns {Float64Array[]}
 */
function sharesFor(data, which, where, at) {
  const { values, shape } = data.blocks.selections;
  const tokens = /** @type {import("../data.js").Tokens} */ (data.tokens);
  // The analysis may be of some of the tokens, and so are the selections of categories.
  const taken = (/** @type {number} */ t) => takes(data.facts.phase, data.facts.segments[tokens.segments[t]]);
  const counts = countInLayer(tokens.experts, where, at, { width: shape[2], taken });
  const own = { category: data.categoryOf[which], counts };
  return sharesWithout(values, /** @type {[number, number, number]} */ (shape), at, own);
}
