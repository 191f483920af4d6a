// @ts-check
/** The bar in which prompt, layer, expert and category are chosen, and prompts searched. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { category, expert, layer, prompt, unknown, within } from "../state.js";
import { visible } from "../visible.js";
import { colourPage, recolour } from "./colours.js";
import { Help } from "./help.js";
import { Search } from "./search.js";

/** @param {{data: import("../data.js").Data}} props */
export function Choice({ data }) {
  const { facts, prompts } = data;
  const names = useMemo(() => prompts.ids.map((id) => visible(id)), [data]);
  const categories = useMemo(() => facts.categories.names.map((name) => visible(name)), [data]);
  const most = facts.experts[layer.value];
  /** @param {number} by */
  const step = (by) => {
    prompt.value = within(prompt.value + by, 0, names.length - 1);
  };
  return html`<div class="choice" role="region" aria-label="Selection of all views">
    <div class="field">
      <label for="choice-prompt">Prompt, ${prompt.value + 1} of ${names.length}</label>
      <div class="row">
        <button type="button" aria-label="Previous prompt" onClick=${() => step(-1)}>←</button>
        <select
          id="choice-prompt" class="prompts" value=${String(prompt.value)}
          onChange=${(/** @type {any} */ event) => {
            prompt.value = Number(event.target.value);
          }}
        >
          ${useMemo(() => names.map((name, i) => html`<option value=${String(i)}>${name}</option>`), [names])}
        </select>
        <button type="button" aria-label="Next prompt" onClick=${() => step(1)}>→</button>
      </div>
    </div>
    <div class="field">
      <label for="choice-layer">Layer</label>
      <div class="row">
        <input
          id="choice-layer" type="range" min="0" max=${facts.layers.length - 1} step="1" value=${layer.value}
          aria-valuetext=${`layer ${facts.layers[layer.value]}`}
          onInput=${(/** @type {any} */ event) => {
            layer.value = Number(event.target.value);
          }}
        />
        <span class="value">${facts.layers[layer.value]}</span>
      </div>
    </div>
    <div class="field">
      <label for="choice-expert">Expert, 0 to ${most - 1}</label>
      <input
        id="choice-expert" type="number" min="0" max=${most - 1} step="1" value=${expert.value ?? ""} placeholder="any"
        onInput=${(/** @type {any} */ event) => {
          const value = event.target.value === "" ? null : Number(event.target.value);
          if (value === null || (Number.isInteger(value) && value >= 0 && value < most)) expert.value = value;
        }}
      />
    </div>
    <div class="field">
      <label for="choice-category">Category</label>
      <select
        id="choice-category" value=${category.value === null ? "" : String(category.value)}
        onChange=${(/** @type {any} */ event) => {
          category.value = event.target.value === "" ? null : Number(event.target.value);
        }}
      >
        <option value="">any</option>
        ${categories.map((name, i) => html`<option value=${String(i)}>${name}</option>`)}
      </select>
    </div>
    <${Search} data=${data} />
    ${unknown.value.length > 0 && html`<p class="notice" role="status">The link asks for what this page does not hold: <bdi>${unknown.value.join(", ")}</bdi>.</p>`}
    <span class="spacer"></span>
    <div class="row"><${Theme} /><${Help} /></div>
  </div>`;
}

/** The switch between the colours of the system, light and dark. */
function Theme() {
  const [name, setName] = useState("system");
  const first = useRef(true);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", recolour);
    return () => dark.removeEventListener("change", recolour);
  }, []);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    colourPage(name === "system" ? null : name);
  }, [name]);
  const shown = { system: "Auto", light: "Light", dark: "Dark" }[name] ?? "Auto";
  const next = { system: "light", light: "dark", dark: "system" }[name] ?? "system";
  return html`<button type="button" aria-label=${`${shown}: colours. Change to ${next}`} onClick=${() => setName(next)}>
    ${shown}
  </button>`;
}
