// @ts-check
/** Effect size and accuracy of every layer, with their intervals. */
import { useRef } from "preact/hooks";
import { estimate, number, pText, percent } from "../format.js";
import { html } from "../html.js";
import { useWidth } from "../parts/hooks.js";
import { LayerPanels } from "../parts/layer_panels.js";
import { Saving } from "../parts/saving.js";
import { layer } from "../state.js";

/** @param {{data: import("../data.js").Data}} props */
export function Layers({ data }) {
  const { effects, chance, layers } = data.facts;
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const known = effects.some((one) => one.accuracy !== null);
  const here = effects[layer.value];
  const says =
    `Layer ${here.layer}: d = ${estimate(here.cohens_d, here.cohens_d_ci)}, ${pText(here.p_value_corrected)}` +
    (here.p_value_corrected === null ? "" : ` adjusted for ${layers.length} layers`) +
    (known ? `; accuracy ${estimate(here.accuracy, here.accuracy_ci, percent)}` : "") +
    (known && chance !== null ? `, chance ${percent(chance)}.` : ".");
  /** @type {import("../parts/layer_panels.js").Panel[]} */
  const panels = [
    {
      name: "effect size (Cohen's d)",
      lines: [{ values: effects.map((one) => one.cohens_d), colour: 1, shape: "circle" }],
      band: { ends: effects.map((one) => one.cohens_d_ci), colour: 1 },
      reach: 0.1,
      write: number,
    },
  ];
  if (known) {
    panels.push({
      name: chance === null ? "accuracy" : `accuracy of the classifier; dashed: chance, ${percent(chance)}`,
      lines: [{ values: effects.map((one) => one.accuracy), colour: 2, shape: "circle" }],
      band: { ends: effects.map((one) => one.accuracy_ci), colour: 2 },
      reach: 1,
      dashes: chance === null ? [] : [chance],
      write: (value) => percent(value, 0),
    });
  }
  return html`<div>
    <div ref=${holder}></div>
    <div ref=${picture}><${LayerPanels} data=${data} panels=${panels} width=${width} says=${says} /></div>
    <p class="says" aria-live="polite">${says}</p>
    <${Saving} name="layers" target=${picture} numbers=${() => ({
      names: ["layer", "within", "across", "cohens_d", "cohens_d_low", "cohens_d_high", "accuracy", "accuracy_low", "accuracy_high", "p_value", "p_value_corrected"],
      rows: effects.map((one) => [
        one.layer, one.within, one.across, one.cohens_d, one.cohens_d_ci?.[0], one.cohens_d_ci?.[1], one.accuracy,
        one.accuracy_ci?.[0], one.accuracy_ci?.[1], one.p_value, one.p_value_corrected,
      ]),
    })} />
  </div>`;
}
