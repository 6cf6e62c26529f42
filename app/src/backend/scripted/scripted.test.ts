import { expect, it } from "vitest";
import { begin, reduce, reduceApp } from "../../state/reduce";
import { initialState, type State } from "../../state/state";
import { statusOf } from "../../state/status";
import { SCENARIOS, type Scenario } from "./scenarios";
import { ScriptedBackend } from "./scripted";

async function play(scenario: Scenario, ms: number): Promise<{ state: State; world: ScriptedBackend }> {
  const world = new ScriptedBackend(scenario);
  let state = initialState();
  world.listen((event) => {
    state = reduce(state, event, world.now());
  });
  world.listenApp((event) => {
    state = reduceApp(state, event, world.now());
  });
  state = begin(state, await world.start(), world.now());
  world.clock.advance(ms);
  return { state, world };
}

const named = (name: string) => SCENARIOS[name] ?? {};

it("plays the same way each time", async () => {
  const [one, other] = [await play(named("voice"), 5_000), await play(named("voice"), 5_000)];
  expect(one.state).toEqual(other.state);
  expect(one.state.voice.phase).toBe("in_voice");
});

it.each([
  ["first-run", "first_run"],
  ["denied", "location_denied"],
  ["unavailable", "location_unavailable"],
  ["finding", "finding"],
  ["alone", "alone"],
  ["alone-everywhere", "alone_everywhere"],
  ["offline", "offline"],
  ["unreachable", "relay_unreachable"],
  ["connecting", "connecting"],
  ["banned", "banned"],
  ["taken-over", "taken_over"],
  ["unsupported", "unsupported"],
  ["implausible", "location_refused"],
])("%s shows as %s", async (name, kind) => {
  const { state, world } = await play(named(name), 2_000);
  expect(statusOf(state, world.now())?.kind).toBe(kind);
});

it("tells what whoever runs the relay has to say until it is taken note of", async () => {
  const { state } = await play(named("announced"), 60_000);
  expect(state.notices.map((n) => n.notice)).toEqual([
    { kind: "announcement", text: "Free water at gate B. The relay restarts at 22:00." },
  ]);
});

it("leads from the first question to life, and to a message that reached people", async () => {
  const { world } = await play(named("first-run"), 100);
  let state = initialState();
  world.listen((event) => {
    state = reduce(state, event, world.now());
  });
  await world.useLocation();
  world.clock.advance(1_000);
  expect(state.order.length).toBe(7);
  await world.command({ type: "say", id: "a", text: "Hello" });
  world.clock.advance(500);
  expect(state.messages.at(-1)?.message).toMatchObject({ id: "a", own: true, reached: 7 });
});

it("holds a fast talker back, as a relay would", async () => {
  const { state } = await play(named("rate-limited"), 1_000);
  expect(state.pending.map((p) => p.state)).toEqual(["delayed"]);
  expect(state.sendAgainAt).toBeGreaterThan(50_000);
});
