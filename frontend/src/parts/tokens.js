// @ts-check
/** The tokens of a prompt, tinted by their experts, and the generation played back. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, number, percent } from "../format.js";
import { html } from "../html.js";
import { affinity, layerSums, sharesWithout } from "../numbers.js";
import { category, expert, layer, within } from "../state.js";
import { COLOURS, byCategory, byExpert, byLeading, countInLayer, countTokens, expertsOf, takes, tokensOfImages } from "../tinting.js";
import { tokenText, visible } from "../visible.js";
import { Experts } from "../views/prompt.js";
import { Coverage } from "./coverage.js";
import { Patches } from "./patches.js";

// So many tokens are in the page at a time.
const WINDOW = 3000;
const SPEEDS = /** @type {const} */ ([["slow", 700], ["normal", 250], ["fast", 80]]);
const MODES = /** @type {const} */ ([["leading", "Leading experts"], ["expert", "One expert"], ["category", "Categories"]]);

/** @param {{data: import("../data.js").Data, which: number, counts: Float64Array, sums: Float64Array}} props */
export function TokensOfPrompt({ data, which, counts, sums }) {
  const tokens = /** @type {import("../data.js").Tokens} */ (data.tokens);
  const { facts, blocks } = data;
  const about = /** @type {NonNullable<import("../data.js").Facts["tokens"]>} */ (facts.tokens);
  const [start, end] = tokens.of.get(which) ?? [0, 0];
  const length = end - start;
  const segments = Array.from({ length }, (_, i) => facts.segments[tokens.segments[start + i]]);
  const begin = segments.findIndex((one) => one.phase === "generated");
  const [mode, setMode] = useState(/** @type {"leading" | "expert" | "category"} */ ("leading"));
  const [numbers, setNumbers] = useState(false);
  const [at, setAt] = useState(0);
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState(250);
  const strip = useRef(/** @type {HTMLDivElement | null} */ (null));
  const l = layer.value;
  const width = blocks.counts.shape[2];
  const where = { start, end, layers: facts.layers.length, k: tokens.k, none: tokens.none };

  const leading = useMemo(() => byLeading(tokens.experts, where, l, about.ranked), [which, l]);
  const chosen = expert.value ?? leading.leading[0]?.expert ?? 0;
  const shares = useMemo(() => sharesFor(data, which, where, l), [which, l]);
  const tints = useMemo(() => {
    if (mode === "leading") return leading.tints;
    if (mode === "category") return byCategory(tokens.experts, where, l, shares);
    return byExpert(tokens.experts, where, l, { expert: chosen, weights: tokens.weights, steps: about.steps, ranked: about.ranked });
  }, [which, l, mode, chosen]);

  const first = Math.floor(at / WINDOW) * WINDOW;
  // Where categories share colours, their numbers tell them apart.
  const beside = numbers || (mode === "category" && facts.categories.names.length > COLOURS);
  const spans = useMemo(
    () =>
      tints.slice(first, first + WINDOW).map(({ tint, number: written }, i) => {
        const segment = segments[first + i];
        const text = segment.kind === "image" ? "▦" : tokenText(tokens.texts[tokens.text[start + first + i]]);
        const kind = `token ${tint}${segment.phase === "generated" ? " written" : ""}`;
        return html`<span class=${kind} key=${i} data-at=${first + i}>${text}${beside && written ? html`<sub>${written}</sub>` : null}</span>`;
      }),
    [tints, beside, first],
  );
  useEffect(() => {
    const children = strip.current?.children ?? [];
    for (let i = 0; i < children.length; i++) {
      children[i].classList.toggle("at", first + i === at);
      children[i].classList.toggle("later", playing && first + i > at);
    }
    const here = /** @type {HTMLElement | undefined} */ (children[at - first]);
    const box = strip.current;
    if (here && box && (here.offsetTop < box.scrollTop || here.offsetTop + 30 > box.scrollTop + box.clientHeight)) {
      box.scrollTop = here.offsetTop - box.clientHeight / 2;
    }
  }, [at, playing, spans]);
  useEffect(() => {
    if (!playing) return undefined;
    if (at >= length - 1) {
      setPlaying(false);
      return undefined;
    }
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const timer = setTimeout(() => setAt(at + 1), calm ? Math.max(speed, 1000) : speed);
    return () => clearTimeout(timer);
  }, [playing, at, speed]);

  const play = () => {
    if (!playing && (at < begin || at >= length - 1)) setAt(Math.max(begin, 0));
    setPlaying(!playing);
  };
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    /** @type {Record<string, number>} */
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - 10, ArrowDown: at + 10, Home: 0, End: length - 1 };
    if (event.key in moves) {
      setAt(within(moves[event.key], 0, length - 1));
      setPlaying(false);
    } else if (event.key === " " && begin >= 0) play();
    else if (event.key === "Escape") setPlaying(false);
    else return;
    event.preventDefault();
  };
  /** @param {Event} event */
  const point = (event) => {
    const target = /** @type {HTMLElement} */ (event.target).closest("[data-at]");
    if (!target || (playing && event.type !== "click")) return;
    setAt(Number(target.getAttribute("data-at")));
    if (event.type === "click") setPlaying(false);
  };

  const here = start + at;
  const own = expertsOf(tokens.experts, where, here, l);
  const marks = useMemo(
    () => facts.layers.flatMap((_, row) => expertsOf(tokens.experts, where, here, row).map((column) => ({ row, column }))),
    [which, at],
  );
  const soFar = useMemo(
    () => (playing ? countTokens(tokens.experts, { ...where, end: here + 1 }, width) : counts),
    [which, playing, playing ? at : -1],
  );
  const sumsSoFar = playing ? layerSums(soFar, where.layers, width) : sums;
  const reached = playing ? soFar.subarray(l * width, (l + 1) * width).filter((value) => value > 0).length : 0;
  const images = data.images[String(blocks.rows.values[which])] ?? [];
  const places = useMemo(() => tokensOfImages(segments.map((one, i) => (one.kind === "image" ? tokens.text[start + i] : null)), images), [which]);
  const weights = tokens.weights
    ? own.map((_, j) => (tokens.weights?.[(here * where.layers + l) * tokens.k + j] ?? 0) / about.steps * (about.greatest_weight ?? 1))
    : null;
  const listed = own.map((one, j) => (weights ? `${one} (${number(weights[j])})` : `${one}`)).join(", ");
  const kinds = mode === "category" ? affinitiesOf(facts, affinity(own, shares)) : "";
  const name = segments[at]?.kind === "image" ? "an image token" : `“${visible(tokens.texts[tokens.text[here]])}”`;
  const says =
    `Token ${at + 1} of ${length}, ${name}, ${segments[at]?.phase}${segments[at]?.kind === "text" ? "" : `, ${visible(segments[at]?.kind ?? "")}`}. ` +
    `Layer ${facts.layers[l]}: ${own.length === 1 ? "expert" : "experts"} ${listed || "none"}` +
    `${weights ? ", gate weights to about 1/255 of the greatest" : ""}. ${kinds}` +
    (playing ? ` So far ${reached} of ${facts.experts[l]} experts of this layer were reached.` : "");
  return html`<div>
    <div class="controls">
      <span class="group" role="group" aria-label="What tints tokens">
        ${MODES.map(([one, title]) => html`<button type="button" aria-pressed=${mode === one} onClick=${() => setMode(one)}>${title}</button>`)}
      </span>
      <button type="button" aria-pressed=${numbers} onClick=${() => setNumbers(!numbers)}>Numbers</button>
      ${begin >= 0 &&
      html`<button type="button" onClick=${play}>${playing ? "Stop" : "Play the generation"}</button>
        <label class="row">Speed <select value=${String(speed)} onChange=${(/** @type {any} */ event) => setSpeed(Number(event.target.value))}>
          ${SPEEDS.map(([title, time]) => html`<option value=${String(time)}>${title}</option>`)}
        </select></label>`}
      ${length > WINDOW && html`<span>tokens ${first + 1} to ${Math.min(first + WINDOW, length)} of ${length}</span>`}
    </div>
    <${Legend} mode=${mode} leading=${leading.leading} chosen=${chosen} length=${length} facts=${facts} />
    <div
      class="tokens" ref=${strip} tabindex="0" role="application" aria-roledescription="tokens" dir="auto"
      aria-label=${`Tokens of the prompt. ${says}`} onKeyDown=${press} onClick=${point} onPointerOver=${point}
    >${spans}</div>
    <p class="says" aria-live=${playing ? "off" : "polite"}>${says}</p>
    ${images.map((image, i) => html`<${Patches} key=${i} image=${image} places=${places[i]} tints=${tints} at=${at} choose=${(/** @type {number} */ to) => setAt(to)} />`)}
    <div class="columns">
      <div><${Experts} data=${data} counts=${soFar} sums=${sumsSoFar} marks=${marks} of=${playing ? "the tokens so far" : "the prompt"} mass=${!playing && facts.by === "mass"} /></div>
      <div><${Coverage} data=${data} which=${which} /></div>
    </div>
  </div>`;
}

/**
 * @param {{
 *   mode: "leading" | "expert" | "category", leading: {expert: number, tokens: number}[], chosen: number, length: number,
 *   facts: import("../data.js").Facts,
 * }} props
 */
function Legend({ mode, leading, chosen, length, facts }) {
  const ranked = facts.tokens?.ranked;
  if (mode === "expert") {
    return html`<ul class="legend">
      <li>Expert ${chosen} of layer ${facts.layers[layer.value]}:</li>
      ${["w1", "w2", "w3", "w4"].map((tint, i) => html`<li><span class=${`chip ${tint}`}>${["weak", "", "", "strong"][i] || "·"}</span></li>`)}
      <li>by ${facts.tokens?.greatest_weight != null ? "gate weight" : ranked ? "rank among the token's experts" : "selection alone: neither weight nor rank is known"}</li>
    </ul>`;
  }
  if (mode === "category") {
    return html`<ul class="legend">
      ${facts.categories.names.map(
        (name, i) => html`<li><span class=${`chip t${(i % COLOURS) + 1}`}>${i + 1}</span>${" "}<bdi>${visible(name)}</bdi></li>`,
      )}
      <li><span class="chip t0">–</span>${" "}no category stands out</li>
    </ul>`;
  }
  const rest = length - leading.reduce((sum, one) => sum + one.tokens, 0);
  return html`<ul class="legend">
    ${leading.map(
      (one, i) => html`<li><span class=${`chip t${i + 1}`}>${one.expert}</span>${" "}${count(one.tokens, "token")}, ${percent(one.tokens / length, 0)}</li>`,
    )}
    ${ranked ? html`<li><span class="chip t0">·</span>${" "}other experts: ${count(rest, "token")}</li>` : html`<li><span class="chip t0">·</span>${" "}none of these</li>`}
    <li>${ranked ? "by the first choice of each token" : "by the most used of each token's experts: their order is not known"}, layer ${facts.layers[layer.value]}</li>
  </ul>`;
}

/** @param {import("../data.js").Facts} facts @param {number[]} found @returns {string} */
function affinitiesOf({ categories }, found) {
  const every = found.map((value, i) => ({ value, name: visible(categories.names[i]) }));
  const some = every.filter(({ value }) => !Number.isNaN(value)).sort((a, b) => b.value - a.value);
  const lacking = every.length - some.length;
  if (!some.length) return "Affinity: not known.";
  const listed = some.slice(0, 6).map(({ value, name }) => `${name} ${percent(value, 0)}`);
  return `Affinity: ${listed.join(", ")}; even is ${percent(1 / some.length, 0)}${lacking ? "; categories without other prompts are left out" : ""}.`;
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
