// @ts-check
/** The generation played back, token by token, in the time that one chooses. */
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";

const SPEEDS = /** @type {const} */ ([["slow", 700], ["normal", 250], ["fast", 80]]);
// Where the system asks for less motion, so many milliseconds are the least.
const CALM = 1000;

/**
 * Return what plays a prompt: whether it is played, and where.
 *
 * @param {{begin: number, length: number, at: number, stopped: (at: number) => void}} what the first written token, the
 *   tokens, the chosen one, and what is told where the playback ended
 */
export function usePlayback({ begin, length, at, stopped }) {
  const [reached, setReached] = useState(/** @type {number | null} */ (null));
  const [speed, setSpeed] = useState(250);
  const playing = reached !== null;
  const stop = () => {
    if (reached !== null) stopped(reached);
    setReached(null);
  };
  useEffect(() => {
    if (reached === null) return undefined;
    if (reached >= length - 1) {
      stop();
      return undefined;
    }
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const timer = setTimeout(() => setReached(reached + 1), calm ? Math.max(speed, CALM) : speed);
    return () => clearTimeout(timer);
  }, [reached, speed]);
  const toggle = () => {
    if (playing) stop();
    else setReached(at < begin || at >= length - 1 ? begin : at);
  };
  return { playing, at: reached ?? at, toggle, end: () => setReached(null), stop, speed, setSpeed };
}

/** @param {{playback: ReturnType<typeof usePlayback>}} props */
export function PlaybackControls({ playback }) {
  const { playing, toggle, speed, setSpeed } = playback;
  return html`<button type="button" onClick=${toggle}>${playing ? "Stop" : "Play the generation"}</button>
    <label class="row">Speed <select value=${String(speed)} onChange=${(/** @type {any} */ event) => setSpeed(Number(event.target.value))}>
      ${SPEEDS.map(([title, time]) => html`<option value=${String(time)}>${title}</option>`)}
    </select></label>`;
}
