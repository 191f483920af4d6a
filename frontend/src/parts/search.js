// @ts-check
/** The search in ids and texts of prompts, or in tokens. */
import { batch, computed, signal } from "@preact/signals";
import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { count, whole } from "../format.js";
import { html } from "../html.js";
import { search } from "../numbers.js";
import { linesOf, searchTokens, step } from "../searching.js";
import { chooseToken, large, prompt, tokenAt } from "../state.js";

/**
 * What was found: prompts, or tokens of prompts.
 *
 * @type {import("@preact/signals").Signal<{inTokens: boolean, matches: readonly import("../searching.js").Match[]}>}
 */
const found = signal({ inTokens: false, matches: /** @type {import("../searching.js").Match[]} */ ([]) });
/** The tokens that were found, by prompt. */
const hits = computed(() => (found.value.inTokens ? placesOf(found.value.matches) : new Map()));

/** Return the tokens of a prompt that the search found, if there is one. @param {number} which @returns {ReadonlySet<number> | undefined} */
export function hitsIn(which) {
  return hits.value.get(which);
}

/** What is chosen, as a match. */
function here() {
  return { prompt: prompt.value, first: found.value.inTokens ? tokenAt() : 0 };
}

/** Choose the next match or the one before. @param {1 | -1} by */
function go(by) {
  const { inTokens, matches } = found.value;
  const to = matches[step(matches, here(), by)];
  if (!to) return;
  batch(() => {
    prompt.value = to.prompt;
    if (!inTokens) return;
    chooseToken(to.first);
    if (large.value) large.value = "prompt";
  });
  if (inTokens) requestAnimationFrame(() => document.querySelector("#prompt .tokens")?.scrollIntoView({ block: "nearest", behavior: "instant" }));
}

/** Say which of the matches is chosen. @returns {string} */
function chosenOf() {
  const { matches } = found.value;
  const at = here();
  const place = matches.findIndex((one) => one.prompt === at.prompt && one.first === at.first);
  return place < 0 ? `${whole(matches.length)} found` : `${whole(place + 1)} of ${whole(matches.length)}`;
}

/** The way between found tokens, beside the tokens: on a small screen the search is far. */
export function FoundTokens() {
  const { inTokens, matches } = found.value;
  if (!inTokens || !matches.length) return null;
  return html`<span class="row">
    <button type="button" aria-label="Previous found token" onClick=${() => go(-1)}>↑</button>
    <button type="button" aria-label="Next found token" onClick=${() => go(1)}>↓</button>
    <span class="value">${chosenOf()}</span>
  </span>`;
}

/** @param {{data: import("../data.js").Data}} props */
export function Search({ data }) {
  const { prompts, tokens, facts } = data;
  const [wanted, setWanted] = useState("");
  const [inTokens, setInTokens] = useState(false);
  const texts = useMemo(() => prompts.ids.map((id, i) => [id, prompts.texts?.[i], prompts.outputs?.[i]]), [data]);
  const lines = useMemo(() => (inTokens && tokens ? linesOf(tokens) : []), [data, inTokens]);
  useLayoutEffect(() => {
    const places = () => search(wanted, texts).map((one) => ({ prompt: one, first: 0, last: 0 }));
    found.value = { inTokens, matches: inTokens ? searchTokens(wanted, lines) : places() };
  }, [wanted, inTokens, lines]);
  const none = !found.value.matches.length;
  const [held, every] = [inTokens ? (tokens?.of.size ?? 0) : prompts.ids.length, facts.prompts];
  const sample = held < every ? ` of ${whole(held)} of ${count(every, "prompt")}` : "";
  return html`<div class="field">
    <label for="choice-search">Search ${inTokens ? "tokens" : "ids and texts"}${sample}</label>
    <div class="row">
      <input
        id="choice-search" type="search" value=${wanted} placeholder=" " autocomplete="off" spellcheck=${false}
        onInput=${(/** @type {any} */ event) => setWanted(event.target.value)}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
          if (event.key === "Enter") go(event.shiftKey ? -1 : 1);
        }}
      />
      ${tokens && html`<select id="choice-search-in" aria-label="Search in" value=${inTokens ? "tokens" : "texts"}
        onChange=${(/** @type {any} */ event) => setInTokens(event.target.value === "tokens")}>
        <option value="texts">texts</option><option value="tokens">tokens</option>
      </select>`}
      <button type="button" aria-label="Previous match" disabled=${none} onClick=${() => go(-1)}>↑</button>
      <button type="button" aria-label="Next match" disabled=${none} onClick=${() => go(1)}>↓</button>
      <span class="value" role="status">${wanted.trim() ? (none ? "none" : chosenOf()) : ""}</span>
    </div>
  </div>`;
}

/** @param {readonly import("../searching.js").Match[]} matches @returns {Map<number, Set<number>>} */
function placesOf(matches) {
  /** @type {Map<number, Set<number>>} */
  const places = new Map();
  for (const { prompt: of, first, last } of matches) {
    const own = places.get(of) ?? new Set();
    places.set(of, own);
    for (let at = first; at <= last; at++) own.add(at);
  }
  return places;
}
