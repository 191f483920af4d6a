// @ts-check
/** Prompt tokens and generated tokens of the same prompts. */
import { html } from "../html.js";
import { Forest } from "../parts/forest.js";

/** @param {{data: import("../data.js").Data}} props */
export function Phases({ data }) {
  return html`<${Forest} forests=${data.facts.phases} name="phases" label="Estimate of a phase" />`;
}
