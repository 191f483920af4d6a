// @ts-check
/** The search in ids and texts of prompts, or in tokens. */
import { batch, signal } from "@preact/signals";
import { useMemo, useState } from "preact/hooks";
import { count, whole } from "../format.js";
import { html } from "../html.js";
import { search } from "../numbers.js";
import { linesOf, searchTokens, step } from "../searching.js";
import { chooseToken, large, prompt, tokenAt } from "../state.js";

/** The tokens that a search found, by prompt. @type {import("@preact/signals").Signal<ReadonlyMap<number, ReadonlySet<number>>>} */
const hits = signal(new Map());

/** Return the tokens of a prompt that the search found, if there is one. @param {number} which @returns {ReadonlySet<number> | undefined} */
export function hitsIn(which) {
  return hits.value.get(which);
}

/** @param {{data: import("../data.js").Data}} props */
export function Search({ data }) {
  const { prompts, tokens, facts } = data;
  const [wanted, setWanted] = useState("");
  const [inTokens, setInTokens] = useState(false);
  const texts = useMemo(() => prompts.ids.map((id, i) => [id, prompts.texts?.[i], prompts.outputs?.[i]]), [data]);
  const lines = useMemo(() => (inTokens && tokens ? linesOf(tokens) : []), [data, inTokens]);
  const found = useMemo(
    () => (inTokens ? searchTokens(wanted, lines) : search(wanted, texts).map((one) => ({ prompt: one, first: 0, last: 0 }))),
    [wanted, inTokens, lines],
  );
  useMemo(() => {
    hits.value = inTokens ? placesOf(found) : new Map();
  }, [found, inTokens]);
  const here = { prompt: prompt.value, first: inTokens ? tokenAt() : 0 };
  const place = found.findIndex((one) => one.prompt === here.prompt && one.first === here.first);
  /** @param {1 | -1} by */
  const go = (by) => {
    const to = found[step(found, here, by)];
    if (!to) return;
    batch(() => {
      prompt.value = to.prompt;
      if (inTokens) chooseToken(to.first);
      if (inTokens && large.value) large.value = "prompt";
    });
    if (inTokens) requestAnimationFrame(() => document.querySelector("#prompt .tokens")?.scrollIntoView({ block: "nearest" }));
  };
  const [held, every] = [inTokens ? (tokens?.of.size ?? 0) : prompts.ids.length, facts.prompts];
  const sample = held < every ? ` of ${whole(held)} of ${count(every, "prompt")}` : "";
  const said = !wanted.trim() ? "" : !found.length ? "none" : place < 0 ? `${whole(found.length)} found` : `${whole(place + 1)} of ${whole(found.length)}`;
  return html`<div class="field">
    <label for="choice-search">Search ${inTokens ? "tokens" : "ids and texts"}${sample}</label>
    <div class="row">
      <input
        id="choice-search" type="search" value=${wanted} autocomplete="off" spellcheck=${false}
        onInput=${(/** @type {any} */ event) => setWanted(event.target.value)}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
          if (event.key === "Enter") go(event.shiftKey ? -1 : 1);
        }}
      />
      ${tokens && html`<select id="choice-search-in" aria-label="Search in" value=${inTokens ? "tokens" : "texts"}
        onChange=${(/** @type {any} */ event) => setInTokens(event.target.value === "tokens")}>
        <option value="texts">texts</option><option value="tokens">tokens</option>
      </select>`}
      <button type="button" aria-label="Previous match" disabled=${!found.length} onClick=${() => go(-1)}>↑</button>
      <button type="button" aria-label="Next match" disabled=${!found.length} onClick=${() => go(1)}>↓</button>
      <span class="value" role="status">${said}</span>
    </div>
  </div>`;
}

/** @param {readonly import("../searching.js").Match[]} found @returns {Map<number, Set<number>>} */
function placesOf(found) {
  /** @type {Map<number, Set<number>>} */
  const places = new Map();
  for (const { prompt: of, first, last } of found) {
    const own = places.get(of) ?? new Set();
    places.set(of, own);
    for (let at = first; at <= last; at++) own.add(at);
  }
  return places;
}
