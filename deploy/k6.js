// The load of a city for k6 (https://k6.io, 1.6 or newer): people in crowds and alone, who walk, chat and join
// voice, each with a socket of their own. docs/self-hosting.md says how to run it, and with which limits lifted.
//
//   k6 run -e RELAY=http://127.0.0.1:8080 -e PEOPLE=500 -e SECONDS=60 deploy/k6.js
//
// When somebody says something is fixed before, and latency counts from then: if relay or k6 stall, the wait of
// what could not go out meanwhile is counted, too.

import { SharedArray } from "k6/data";
import exec from "k6/execution";
import http from "k6/http";
import { Counter, Trend } from "k6/metrics";
import { setTimeout } from "k6/timers";
import { WebSocket } from "k6/websockets";

const number = (name, otherwise) => Number(__ENV[name] || otherwise);
const RELAY = __ENV.RELAY || "http://127.0.0.1:8080";
const PEOPLE = number("PEOPLE", 200);
/** How long everybody talks, after a third of that time to arrive in. */
const SECONDS = number("SECONDS", 60);
const ARRIVAL_S = SECONDS / 3;
/** Messages that each says a minute. */
const A_MINUTE = number("A_MINUTE", 6);
const SEED = number("SEED", 1);

const delivered = new Trend("neartalk_delivery", true);
const deliveries = new Counter("neartalk_deliveries");
const said = new Counter("neartalk_said");
const confirmed = new Counter("neartalk_confirmed");
const signals = new Counter("neartalk_signals");
const refused = new Counter("neartalk_refused");
const closed = new Counter("neartalk_closed_early");

export const options = {
  scenarios: {
    city: {
      executor: "per-vu-iterations",
      vus: PEOPLE,
      iterations: 1,
      maxDuration: `${Math.ceil(ARRIVAL_S + SECONDS + 30)}s`,
    },
  },
  thresholds: {
    neartalk_delivery: ["p(99)<100"],
    neartalk_deliveries: ["count>0"],
    neartalk_refused: ["count==0"],
    neartalk_closed_early: ["count==0"],
  },
};

/** Random numbers from 0 to 1 by mulberry32, the same for the same seed. */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const RADII = [[100, 0.1], [250, 0.35], [500, 0.75], [1000, 0.93], [2000, 1]];
const M_PER_DEGREE = 111195;

function moved({ lat, lon }, bearing, metres) {
  return {
    lat: lat + (metres * Math.cos(bearing)) / M_PER_DEGREE,
    lon: lon + (metres * Math.sin(bearing)) / M_PER_DEGREE / Math.cos((lat * Math.PI) / 180),
  };
}

/** Who lives where: 100 to a square kilometre, 70 % in gatherings of 4 to 120, 8 % far out. */
const people = new SharedArray("people", () => {
  const any = random(SEED);
  const hall = { lat: 52.5, lon: 13.4 };
  const city = 1000 * Math.sqrt(PEOPLE / (Math.PI * 100));
  const within = (middle, from, to) =>
    moved(middle, 2 * Math.PI * any(), Math.sqrt(from ** 2 + any() * (to ** 2 - from ** 2)));
  let gathering = { left: 0 };
  return Array.from({ length: PEOPLE }, () => {
    const lot = any();
    let place;
    if (lot < 0.7) {
      if (gathering.left < 1) {
        // By inverting the distribution function of the bounded Pareto distribution.
        const size = 4 * (1 - any() * (1 - (4 / 120) ** 1.1)) ** (-1 / 1.1);
        gathering = { middle: within(hall, 0, city), spread: 15 + 135 * any(), left: size };
      }
      gathering.left -= 1;
      place = within(gathering.middle, 0, gathering.spread);
    } else {
      place = lot < 0.92 ? within(hall, 0, city) : within(hall, city, 4 * city);
    }
    const radius = any();
    const inVoice = any() < 0.06;
    return {
      place,
      radius: RADII.find(([, share]) => radius < share)[0],
      inVoice,
      walks: !inVoice && any() < 0.3,
    };
  });
});

const uuid = (any) =>
  "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replace(/x/g, () => Math.floor(any() * 16).toString(16));

/** One person, from arriving to leaving. */
export default async function person() {
  const self = exec.vu.idInTest - 1;
  const any = random(SEED * 1000003 + self);
  const { place: start, radius, inVoice, walks } = people[self % PEOPLE];
  let place = start;
  await new Promise((arrive) => setTimeout(arrive, any() * ARRIVAL_S * 1000));
  const created = await http.asyncRequest("POST", `${RELAY}/api/session/create`, "{}", {
    headers: { "Content-Type": "application/json" },
  });
  if (created.status !== 200 && created.status !== 201) {
    refused.add(1);
    throw new Error(`no session: ${created.status} ${created.body}; lift the relay's limits for this address`);
  }
  const { session_id } = created.json();
  const end = Date.now() + SECONDS * 1000;
  const socket = new WebSocket(`${RELAY.replace(/^http/, "ws")}/ws`);
  const send = (frame) => socket.send(JSON.stringify(frame));
  const locate = () => send({ type: "locate", lat: place.lat, lon: place.lon, radius });
  const peers = new Set();
  let open = true;

  /** Does something at random instants, `mean` seconds apart, whatever happens meanwhile. */
  function nowAndThen(mean, least, act) {
    let due = Date.now();
    const next = () => {
      due += 1000 * Math.max(least, -Math.log(1 - any()) * mean);
      if (due >= end) return;
      setTimeout(() => {
        if (!open) return;
        act(due);
        next();
      }, Math.max(0, due - Date.now()));
    };
    next();
  }

  function live() {
    nowAndThen(60 / A_MINUTE, 0, (due) => {
      send({ type: "say", id: uuid(any), text: `t=${due} the quick brown fox jumps over the lazy dog, and again` });
      said.add(1);
    });
    if (walks) {
      nowAndThen(60, 11, () => {
        place = moved(place, 2 * Math.PI * any(), 100);
        locate();
      });
    }
    if (inVoice) {
      send({ type: "voice_join" });
      nowAndThen(2, 0, () => {
        const all = [...peers];
        if (all.length === 0) return;
        const candidate = "candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host";
        send({
          type: "signal",
          to: all[Math.floor(any() * all.length)],
          data: { kind: "candidate", candidate, sdp_mid: "0", sdp_m_line_index: 0 },
        });
      });
    }
    setTimeout(() => {
      open = false;
      socket.close(1000);
    }, end - Date.now());
  }

  const hear = {
    welcome: locate,
    message: ({ text }) => {
      deliveries.add(1);
      delivered.add(Date.now() - Number(text.slice(2, text.indexOf(" "))));
    },
    sent: () => confirmed.add(1),
    signal: () => signals.add(1),
    voice_peer: ({ peer_id }) => peers.add(peer_id),
    voice_peer_left: ({ peer_id }) => peers.delete(peer_id),
    // Between somebody leaving voice and one's learning of it, a signal finds nobody.
    error: ({ code, message }) => {
      if (code === "not_in_range") return;
      refused.add(1);
      console.error(`${code}: ${message}`);
    },
  };
  let living = false;
  await new Promise((gone) => {
    socket.addEventListener("open", () => send({ type: "hello", session_id, protocol: 1 }));
    socket.addEventListener("message", ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === "located" && !living) {
        living = true;
        live();
      }
      hear[frame.type]?.(frame);
    });
    socket.addEventListener("close", () => {
      if (open) closed.add(1);
      open = false;
      gone();
    });
    socket.addEventListener("error", ({ error }) => console.error(error));
  });
}
