// @ts-check
/** What the tints of tokens stand for. */
import { count, percent } from "../format.js";
import { html } from "../html.js";
import { layer } from "../state.js";
import { COLOURS } from "../tinting.js";
import { visible } from "../visible.js";

/** @typedef {"leading" | "expert" | "category"} Mode */

/**
 * @param {{
 *   mode: Mode, leading: {expert: number, tokens: number, said?: string}[], chosen: number, length: number,
 *   facts: import("../data.js").Facts, more?: string,
 * }} props
 *   `said` is what stands beside an expert, by default how many tokens it leads
 */
export function Legend({ mode, leading, chosen, length, facts, more = "" }) {
  const ranked = facts.tokens?.ranked;
  const place = facts.layers[layer.value];
  if (mode === "expert") {
    return html`<ul class="legend">
      <li>Expert ${chosen} of layer ${place}:</li>
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
      (one, i) => html`<li><span class=${`chip t${i + 1}`}>${one.expert}</span>${" "}${one.said ?? `${count(one.tokens, "token")}, ${percent(one.tokens / length, 0)}`}</li>`,
    )}
    ${ranked ? html`<li><span class="chip t0">·</span>${" "}other experts: ${count(rest, "token")}</li>` : html`<li><span class="chip t0">·</span>${" "}none of these</li>`}
    <li>${ranked ? "by the first choice of each token" : "by the most used of each token's experts: their order is not known"}, layer ${place}${more}</li>
  </ul>`;
}
