import { describe, expect, it } from "vitest";
import type { ChatMessage, Event, Person } from "../backend/types";
import { begin, notify, reduce, reduceApp } from "./reduce";
import { DEFAULT_LIMITS, initialState, isMentionUnread, type State } from "./state";

const FOX = "7K300000000000000000000000";
const OWL = "9QX00000000000000000000000";

function person(peer_id: string, username: string, min: number, more: Partial<Person> = {}): Person {
  return {
    peer_id,
    username,
    former_usernames: [],
    distance: { min, max: min + 50 },
    in_voice: false,
    muted: false,
    deafened: false,
    ...more,
  };
}

function message(id: string, more: Partial<ChatMessage> = {}): ChatMessage {
  return {
    id,
    from: FOX,
    username: "Blue Fox",
    own: false,
    text: "Hello",
    sent_at: 1_000,
    expires_at: 1_801_000,
    expires_in_ms: 1_800_000,
    ...more,
  };
}

function told(events: Event[], from: State = initialState(), now = 0): State {
  return events.reduce((state, event) => reduce(state, event, now), from);
}

const ME: Event = {
  type: "me",
  peer_id: "0TT00000000000000000000000",
  tag: "0TT",
  username: "Quiet Otter",
  username_changes_left: 3,
  limits: DEFAULT_LIMITS,
};

const IN_CALL: Event[] = [
  { type: "nearby", people: [person(FOX, "Blue Fox", 50, { in_voice: true })], reach: [] },
  {
    type: "voice_person",
    peer_id: FOX,
    link: "connected",
    cannot_hear_you: false,
    volume_percent: 100,
    muted_for_me: false,
    same_room: false,
  },
];

describe("people", () => {
  it("stand nearest first, whatever the order they came in", () => {
    const state = told([
      { type: "nearby", people: [person(FOX, "Blue Fox", 200)], reach: [] },
      { type: "person_entered", person: person(OWL, "Grey Owl", 50) },
    ]);
    expect(state.order).toEqual([OWL, FOX]);
    const moved = told([{ type: "person_changed", person: person(OWL, "Grey Owl", 450) }], state);
    expect(moved.order).toEqual([FOX, OWL]);
  });

  it("who are replaced by a list are gone", () => {
    const state = told([
      { type: "person_entered", person: person(OWL, "Grey Owl", 50) },
      { type: "nearby", people: [person(FOX, "Blue Fox", 200)], reach: [] },
    ]);
    expect(state.order).toEqual([FOX]);
    expect(state.people[OWL]).toBeUndefined();
  });

  it("who leave are missed only by those in a call with them", () => {
    const leaves: Event = { type: "person_left", peer_id: FOX, username: "Blue Fox", reason: "moved" };
    const chat = told([{ type: "nearby", people: [person(FOX, "Blue Fox", 50)], reach: [] }, leaves]);
    expect(chat.notices).toEqual([]);
    const inVoice = initialState();
    inVoice.voice.phase = "in_voice";
    // As the engine tells it: voice first.
    const call = told([...IN_CALL, { type: "voice_person_left", peer_id: FOX }, leaves], inVoice);
    expect(call.notices.map((n) => n.notice)).toEqual([
      { kind: "person_left_call", peer: FOX, username: "Blue Fox", reason: "moved" },
    ]);
    expect(call.voicePeople).toEqual({});
  });

  it("who take another name are introduced anew", () => {
    const state = told([
      { type: "person_entered", person: person(FOX, "Blue Fox", 50) },
      {
        type: "person_changed",
        person: person(FOX, "Red Fox", 50, { former_usernames: ["Blue Fox"] }),
        renamed_from: "Blue Fox",
      },
    ]);
    expect(state.notices[0]?.notice).toEqual({ kind: "renamed", peer: FOX, from: "Blue Fox", to: "Red Fox" });
  });
});

describe("messages", () => {
  it("come once, in the order of the relay's clock, and end by this device's clock", () => {
    const state = told(
      [
        { type: "message", message: message("b", { sent_at: 2_000 }) },
        { type: "history", messages: [message("a", { sent_at: 1_000, expires_in_ms: 5_000 })] },
        { type: "message", message: message("b", { sent_at: 2_000 }) },
      ],
      initialState(),
      100,
    );
    expect(state.messages.map((m) => m.message.id)).toEqual(["a", "b"]);
    expect(state.messages.map((m) => m.goneAt)).toEqual([5_100, 1_800_100]);
    expect(state.unread).toEqual(["b"]);
  });

  it("that mention this person stand out, those that mention a longer name don't", () => {
    const state = told([
      ME,
      { type: "message", message: message("a", { text: "hi @quiet otter, here" }) },
      { type: "message", message: message("b", { text: "@Quiet Otters" }) },
    ]);
    expect(state.messages.map((m) => m.mentionsMe)).toEqual([true, false]);
    expect(isMentionUnread(state)).toBe(true);
  });

  it("that come while nobody looks are unread from the first of them, until one answers", () => {
    const said = (id: string): Event => ({ type: "message", message: message(id) });
    const looking = { ...initialState(), looking: true };
    const read = told([said("a")], looking);
    expect([read.unread, read.unreadFrom]).toEqual([[], null]);
    const away = told([said("b"), said("c")], { ...read, looking: false });
    expect([away.unread, away.unreadFrom]).toEqual([["b", "c"], "b"]);
    // Whoever looks again has read them, and still sees where they begin.
    const back = { ...away, looking: true, unread: [] };
    expect(told([said("d")], back).unreadFrom).toBe("b");
    expect(told([said("d")], { ...back, looking: false }).unreadFrom).toBe("d");
    expect(told([{ type: "queued", id: "e", text: "e" }], back).unreadFrom).toBe(null);
  });

  it("that are gone are unread no more, whatever took them", () => {
    const said = (id: string, from = FOX, text = ""): Event => ({
      type: "message",
      message: message(id, { from, text }),
    });
    const away = told([ME, said("a", OWL, "@Quiet Otter"), said("b"), said("c", OWL)]);
    const expired = told([{ type: "removed", ids: ["a"], reason: "expired" }], away);
    expect([expired.unread, expired.unreadFrom]).toEqual([["b", "c"], "b"]);
    expect(isMentionUnread(expired)).toBe(false);
    const blocked = told([{ type: "blocked", peer_id: FOX, blocked: true }], expired);
    expect([blocked.unread, blocked.unreadFrom]).toEqual([["c"], "c"]);
    // On another relay nothing is there of what was said on this one.
    const moved = told([snapshot()], blocked);
    expect([moved.unread, moved.unreadFrom]).toEqual([[], null]);
  });

  it("of others are no longer typed once they are there", () => {
    const typing = told([{ type: "typing", peer_id: FOX, active: true }]);
    expect(typing.typing).toEqual([FOX]);
    expect(told([{ type: "message", message: message("a") }], typing).typing).toEqual([]);
  });

  it("go when they are removed", () => {
    const state = told([
      { type: "history", messages: [message("a"), message("b")] },
      { type: "removed", ids: ["a"], reason: "expired" },
    ]);
    expect(state.messages.map((m) => m.message.id)).toEqual(["b"]);
  });

  it("of one's own go from waiting over patience to sent", () => {
    const queued = told([{ type: "queued", id: "a", text: "Hello" }]);
    expect(queued.pending.map((p) => p.state)).toEqual(["queued"]);
    const delayed = told([{ type: "delayed", id: "a", retry_in_ms: 4_000 }], queued, 1_000);
    expect(delayed.pending[0]).toMatchObject({ state: "delayed", retryAt: 5_000 });
    expect(delayed.sendAgainAt).toBe(5_000);
    const own = message("a", { own: true });
    const sent = told([{ type: "sent", message: own, reached: 7 }], delayed, 5_000);
    expect(sent.pending).toEqual([]);
    expect(sent.messages[0]?.message.reached).toBe(7);
    expect(sent.sendAgainAt).toBeNull();
  });

  it("that fail stay, with their reason, also beyond a snapshot", () => {
    const failed = told([
      { type: "queued", id: "a", text: "Hello" },
      { type: "failed", id: "a", text: "Hello", reason: "expired" },
    ]);
    expect(failed.pending).toMatchObject([{ state: "failed", why: "expired" }]);
    expect(told([snapshot()], failed).pending.map((p) => p.id)).toEqual(["a", "w"]);
  });
});

function snapshot(): Event {
  return {
    type: "snapshot",
    missed: 3,
    connection: { state: "online" },
    me: null,
    located: null,
    radius: 750,
    people: [person(OWL, "Grey Owl", 50)],
    reach: [],
    typing: [],
    messages: [message("z")],
    waiting: [{ id: "w", text: "later" }],
    blocked: [],
    voice: {
      status: { ...initialState().voice, phase: "in_voice" },
      people: [
        {
          peer_id: OWL,
          link: "connecting",
          cannot_hear_you: false,
          volume_percent: 80,
          muted_for_me: false,
          same_room: false,
        },
      ],
      room_full: true,
      inputs: [],
      outputs: [],
      input: { state: "unavailable", message: "none" },
      output: null,
    },
  };
}

describe("a snapshot", () => {
  it("replaces what was known", () => {
    const before = told([{ type: "message", message: message("a") }, ...IN_CALL]);
    const state = told([snapshot()], before);
    expect(state.order).toEqual([OWL]);
    expect(state.messages.map((m) => m.message.id)).toEqual(["z"]);
    expect(state.pending.map((p) => p.id)).toEqual(["w"]);
    expect(state.radius).toBe(750);
    expect(state.voice.phase).toBe("in_voice");
    expect(Object.keys(state.voicePeople)).toEqual([OWL]);
    expect(state.roomFull).toBe(true);
    expect(state.device.input?.state).toBe("unavailable");
  });
});

it("a snapshot tells anew how long messages live, to a clock that may have stood still", () => {
  const before = told([{ type: "message", message: message("z") }], initialState(), 1_000);
  const z = message("z", { expires_in_ms: 60_000 });
  const after = told([{ ...snapshot(), messages: [z] } as Event], before, 2_000);
  expect(after.messages[0]?.goneAt).toBe(62_000);
});

describe("blocking", () => {
  it("takes a person and what they said away, remembers their name, and can be undone", () => {
    const blocked = told([
      ...IN_CALL,
      { type: "message", message: message("a") },
      { type: "blocked", peer_id: FOX, blocked: true },
    ]);
    expect(blocked.order).toEqual([]);
    expect(blocked.messages).toEqual([]);
    expect(blocked.blocked).toEqual([{ peer: FOX, username: "Blue Fox" }]);
    expect(told([{ type: "blocked", peer_id: FOX, blocked: false }], blocked).blocked).toEqual([]);
  });
});

describe("voice", () => {
  it("ends with everything that belonged to it", () => {
    const off: Event = { type: "voice", ...initialState().voice };
    const state = told([
      ...IN_CALL,
      { type: "voice_levels", own: { dbfs: -20, speaking: true, talking: true }, people: [] },
      off,
    ]);
    expect(state.voicePeople).toEqual({});
    expect(state.levels.own.speaking).toBe(false);
  });

  it("says when a device is lost", () => {
    const device = { id: "usb", name: "USB headset", is_default: false, is_worn: true };
    const state = told([
      { type: "voice_device", direction: "input", status: { state: "lost", device, message: "gone" } },
    ]);
    expect(state.device.input?.state).toBe("lost");
    expect(state.notices[0]?.notice).toMatchObject({ kind: "device_lost", device: "USB headset" });
  });
});

describe("notices", () => {
  it("do not pile up, and the same one is said once", () => {
    let state = initialState();
    for (let i = 0; i < 9; i += 1) {
      state = notify(state, { kind: "voice_ended", message: String(i % 5) }, i);
    }
    expect(state.notices.map((n) => n.notice)).toEqual(
      ["0", "1", "2", "3"].map((m) => ({ kind: "voice_ended", message: m })),
    );
  });
});

describe("the connection", () => {
  it("keeps since when it has been so, and counts retries from the last word", () => {
    const lost: Event = { type: "connection", state: "offline", reason: "lost", retry_in_ms: 1_000 };
    let state = reduce(initialState(), lost, 100);
    state = reduce(state, { ...lost, retry_in_ms: 2_000 }, 900);
    expect(state.connectionSince).toBe(100);
    expect(state.connectionAt).toBe(900);
  });
});

describe("the shell", () => {
  it("tells since when the place is looked for", () => {
    const finding = { type: "place", place: { state: "finding" } } as const;
    let state = reduceApp(initialState(), finding, 100);
    state = reduceApp(state, finding, 900);
    expect(state.findingSince).toBe(100);
    expect(
      reduceApp(state, { type: "place", place: { state: "live", accuracy_m: null } }, 950).findingSince,
    ).toBeNull();
  });

  it("brings its settings", () => {
    const app = initialState().app;
    const state = begin(initialState(), { ...app, settings: { ...app.settings, radius: 1_500 } }, 0);
    expect(state.ready).toBe(true);
    expect(state.radius).toBe(1_500);
  });
});

it("an event of a newer engine changes nothing", () => {
  const state = initialState();
  expect(reduce(state, { type: "of_tomorrow" } as unknown as Event, 0)).toBe(state);
});

describe("announcements", () => {
  it("say once what whoever runs the relay has to say", () => {
    const event: Event = { type: "announcement", text: "We restart at ten.", expires_at: 9 };
    const state = told([event, event]);
    expect(state.notices.map((n) => n.notice)).toEqual([
      { kind: "announcement", text: "We restart at ten." },
    ]);
  });
});
