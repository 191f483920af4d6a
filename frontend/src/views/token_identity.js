// @ts-check
/** The same-token test and the share that token identity explains, of every layer. */
import { useRef } from "preact/hooks";
import { estimate, number, pText, percent } from "../format.js";
import { html } from "../html.js";
import { useWidth } from "../parts/hooks.js";
import { LayerPanels } from "../parts/layer_panels.js";
import { Saving } from "../parts/saving.js";
import { layer } from "../state.js";

/** @param {{data: import("../data.js").Data}} props */
export function TokenIdentityByLayer({ data }) {
  return data.facts.token_identity && html`<${Identity} data=${data} found=${data.facts.token_identity} />`;
}

/** @param {{data: import("../data.js").Data, found: import("../data.js").TokenIdentity}} props */
function Identity({ data, found }) {
  const { layers } = data.facts;
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const { same_token: same, share } = found;
  const gain = same?.by_layer[layer.value];
  const [low, high] = [share?.by_layer[layer.value], share?.high_by_layer?.[layer.value]];
  const parts = [
    gain &&
      `${number(gain.gain, 4)} more of the experts in common within categories; permuted labels give ` +
        `${number(gain.null_ci[0], 4)} to ${number(gain.null_ci[1], 4)}, ${pText(gain.p_value_corrected)} adjusted for ${layers.length} layers`,
    share && `token identity is ${rangeOf(low, high)} of the separation`,
  ].filter(Boolean);
  const says = `Layer ${layers[layer.value]}: ${parts.join("; ")}.`;
  /** @type {import("../parts/layer_panels.js").Panel[]} */
  const panels = [];
  if (same) {
    panels.push({
      name: "experts in common, within minus across; band: 95 % of permuted labels",
      lines: [{ values: same.by_layer.map((one) => one.gain), colour: 1, shape: "circle" }],
      band: { ends: same.by_layer.map((one) => one.null_ci), grey: true },
      reach: 0.01,
      write: (value, digits) => number(value, digits),
    });
  }
  if (share) {
    const upper = share.high_by_layer;
    const ends = share.by_layer.map((one, i) => {
      const other = upper?.[i];
      return one === null || other === null || other === undefined ? null : /** @type {[number, number]} */ ([one, other]);
    });
    panels.push({
      name: `share of the separation, from ■ to ▲; dashed: all layers`,
      lines: [
        { values: share.by_layer, colour: 2, shape: "square" },
        ...(upper ? [{ values: upper, colour: 2, shape: /** @type {const} */ ("triangle") }] : []),
      ],
      band: { ends, colour: 2 },
      reach: 0.01,
      dashes: [share.share, ...(share.high === null ? [] : [share.high])],
      write: (value, digits) => percent(value, Math.max(0, digits - 2)),
    });
  }
  return html`<div>
    <div ref=${holder}></div>
    <div ref=${picture}><${LayerPanels} data=${data} panels=${panels} width=${width} says=${says} /></div>
    <p class="says" aria-live="polite">${says}</p>
    <p class="says">${[
      same && `All layers: ${estimate(same.gain, same.ci, (value) => number(value, 4))} more in common, ${pText(same.p_value)}`,
      share && `token identity is ${rangeOf(share.share, share.high)} of the separation`,
      found.covered !== null && `${percent(found.covered)} of the tokens occur elsewhere, too`,
    ].filter(Boolean).join("; ")}.</p>
    <${Saving} name="token-identity" target=${picture} numbers=${() => ({
      names: [
        ...["layer", "gain", "null_low", "null_high", "p_value", "p_value_corrected", "share", "share_high"],
        ...["cohens_d_observed", "cohens_d_expected", "cohens_d_residual"],
      ],
      rows: layers.map((index, l) => {
        const [one, d] = [same?.by_layer[l], found.layers?.[l]];
        return [
          ...[index, one?.gain, one?.null_ci[0], one?.null_ci[1], one?.p_value, one?.p_value_corrected],
          ...[share?.by_layer[l], share?.high_by_layer?.[l], d?.observed, d?.expected, d?.residual],
        ];
      }),
    })} />
  </div>`;
}

/** @param {number | null | undefined} first @param {number | null | undefined} second @returns {string} */
function rangeOf(first, second) {
  const ends = [first, second].filter((one) => one !== null && one !== undefined).sort((a, b) => Number(a) - Number(b));
  return ends.length ? ends.map((one) => percent(one)).join(" to ") : "no share";
}
