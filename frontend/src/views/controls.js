// @ts-check
/** What words, characters, length and token ids explain. */
import { html } from "../html.js";
import { Forest } from "../parts/forest.js";

/** @param {{data: import("../data.js").Data}} props */
export function Controls({ data }) {
  return html`<${Forest} forests=${data.facts.controls} name="controls" label="Estimate of a control" />`;
}
