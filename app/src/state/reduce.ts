import type { AppEvent, AppStart, ChatMessage, Event, PeerId, Person } from "../backend/types";
import { mentions } from "../lib/mentions";
import { initialState, type Notice, type Pending, type ShownMessage, type State } from "./state";

/** Never more notices at once than anybody reads. */
const MAX_NOTICES = 4;

/** What follows from something that the engine told, at a moment of this device's clock. */
export function reduce(state: State, event: Event, now: number): State {
  switch (event.type) {
    case "connection": {
      const { type: _, ...connection } = event;
      const same = connection.state === state.connection.state;
      return {
        ...state,
        connection,
        connectionSince: same ? state.connectionSince : now,
        connectionAt: now,
        // Nobody knows who is typing while nothing is heard.
        typing: connection.state === "online" ? state.typing : [],
      };
    }
    case "me": {
      const { type: _, ...me } = event;
      return { ...state, me };
    }
    case "session_replaced":
      return notify(
        { ...state, voicePeople: {}, quality: {}, typing: [] },
        { kind: "session_replaced", username: event.username },
        now,
      );
    case "located": {
      const { type: _, ...located } = event;
      return { ...state, located, locationRefused: null, findingSince: null };
    }
    case "location_refused":
      return { ...state, locationRefused: { error: event.error, retryAt: now + event.retry_in_ms } };
    case "nearby":
      return { ...withPeople(state, event.people), reach: event.reach };
    case "reach":
      return { ...state, reach: event.reach };
    case "person_entered":
      return withPerson(state, event.person);
    case "person_changed": {
      const next = withPerson(state, event.person);
      if (event.renamed_from === undefined) return next;
      return notify(
        next,
        {
          kind: "renamed",
          peer: event.person.peer_id,
          from: event.renamed_from,
          to: event.person.username,
        },
        now,
      );
    }
    case "person_left": {
      // Voice ends with whoever goes before they are told to be gone, so it can't be asked.
      const inCall = state.voice.phase === "in_voice" && state.people[event.peer_id]?.in_voice === true;
      const next = withoutPerson(state, event.peer_id);
      if (!inCall) return next;
      return notify(
        next,
        { kind: "person_left_call", peer: event.peer_id, username: event.username, reason: event.reason },
        now,
      );
    }
    case "typing": {
      const others = state.typing.filter((peer) => peer !== event.peer_id);
      return { ...state, typing: event.active ? [...others, event.peer_id] : others };
    }
    case "history":
      return { ...state, messages: merge(state, event.messages, now) };
    case "message": {
      const before = state.messages.length;
      const messages = merge(state, [event.message], now);
      const isUnread = messages.length > before && !state.looking;
      return {
        ...state,
        messages,
        typing: state.typing.filter((peer) => peer !== event.message.from),
        unread: isUnread ? [...state.unread, event.message.id] : state.unread,
        unreadFrom: isUnread && state.unread.length === 0 ? event.message.id : state.unreadFrom,
      };
    }
    case "removed": {
      const gone = new Set(event.ids);
      return onlyThere({ ...state, messages: state.messages.filter((m) => !gone.has(m.message.id)) });
    }
    case "queued": {
      const others = state.pending.filter((p) => p.id !== event.id);
      return { ...state, pending: [...others, queued(event.id, event.text)], unreadFrom: null };
    }
    case "delayed": {
      const retryAt = now + event.retry_in_ms;
      return {
        ...state,
        pending: state.pending.map((p) => (p.id === event.id ? { ...p, state: "delayed", retryAt } : p)),
        sendAgainAt: retryAt,
      };
    }
    case "sent": {
      const message = { ...event.message, reached: event.reached };
      return {
        ...state,
        pending: state.pending.filter((p) => p.id !== message.id),
        messages: merge(state, [message], now),
        sendAgainAt: state.sendAgainAt !== null && state.sendAgainAt <= now ? null : state.sendAgainAt,
      };
    }
    case "failed": {
      const error = event.reason === "refused" ? event.error : null;
      const failed: Pending = {
        id: event.id,
        text: event.text,
        state: "failed",
        retryAt: null,
        why: event.reason,
        error,
      };
      return { ...state, pending: [...state.pending.filter((p) => p.id !== event.id), failed] };
    }
    case "reported":
      return notify(state, { kind: "reported" }, now);
    case "announcement":
      return notify(state, { kind: "announcement", text: event.text }, now);
    case "blocked": {
      const others = state.blocked.filter((b) => b.peer !== event.peer_id);
      if (!event.blocked) return { ...state, blocked: others };
      const username = nameOf(state, event.peer_id) ?? "";
      const next = withoutPerson(state, event.peer_id);
      return notify(
        onlyThere({
          ...next,
          blocked: [...others, { peer: event.peer_id, username }],
          messages: next.messages.filter((m) => m.message.from !== event.peer_id),
        }),
        { kind: "blocked", username, peer: event.peer_id },
        now,
      );
    }
    case "refused":
      return notify(state, { kind: "refused", error: event.error }, now);
    case "voice": {
      const { type: _, ...voice } = event;
      const ended = voice.phase === "off";
      return {
        ...state,
        voice,
        ...(ended && { voicePeople: {}, quality: {}, roomFull: false }),
        ...(ended && !voice.testing && { levels: initialState().levels }),
      };
    }
    case "voice_person": {
      const { type: _, ...person } = event;
      return { ...state, voicePeople: { ...state.voicePeople, [person.peer_id]: person } };
    }
    case "voice_person_left":
      return {
        ...state,
        voicePeople: without(state.voicePeople, event.peer_id),
        quality: without(state.quality, event.peer_id),
      };
    case "voice_levels": {
      const people: State["levels"]["people"] = {};
      for (const { peer_id, dbfs, speaking } of event.people) people[peer_id] = { dbfs, speaking };
      return { ...state, levels: { own: event.own, people } };
    }
    case "voice_quality": {
      const quality: State["quality"] = {};
      for (const one of event.people) quality[one.peer_id] = one;
      return { ...state, quality };
    }
    case "voice_notice":
      switch (event.notice) {
        case "room_full": {
          const next = { ...state, roomFull: event.full };
          return event.full ? notify(next, { kind: "room_full" }, now) : next;
        }
        case "speaks_while_muted":
          return notify(state, { kind: "speaks_while_muted" }, now);
        case "no_relay":
          return notify(state, { kind: "no_relay" }, now);
        case "ended":
          return notify(state, { kind: "voice_ended", message: event.message }, now);
        default:
          return state;
      }
    case "voice_devices":
      return { ...state, devices: { inputs: event.inputs, outputs: event.outputs } };
    case "voice_device": {
      const next = { ...state, device: { ...state.device, [event.direction]: event.status } };
      if (event.status.state === "lost") {
        const { device, message } = event.status;
        return notify(
          next,
          { kind: "device_lost", direction: event.direction, device: device.name, message },
          now,
        );
      }
      if (event.status.state === "opened" && event.status.fallback) {
        const device = event.status.device.name;
        return notify(next, { kind: "device_changed", direction: event.direction, device }, now);
      }
      return next;
    }
    case "snapshot": {
      const messages = merge({ ...state, me: event.me, messages: [] }, event.messages, now);
      const failed = state.pending.filter((p) => p.state === "failed");
      return onlyThere({
        ...withPeople(state, event.people),
        connection: event.connection,
        connectionSince: now,
        connectionAt: now,
        me: event.me,
        located: event.located,
        radius: event.radius,
        reach: event.reach,
        typing: event.typing,
        messages,
        pending: [...failed, ...event.waiting.map((w) => queued(w.id, w.text))],
        blocked: event.blocked.map((peer) => ({ peer, username: nameOf(state, peer) ?? "" })),
        voice: event.voice.status,
        voicePeople: Object.fromEntries(event.voice.people.map((one) => [one.peer_id, one])),
        roomFull: event.voice.room_full,
        devices: { inputs: event.voice.inputs, outputs: event.voice.outputs },
        device: { input: event.voice.input, output: event.voice.output },
        // What waits is told anew, without for how long it has to.
        sendAgainAt: null,
      });
    }
    default:
      // A newer engine may tell of things that this window does not know.
      return state;
  }
}

/** What follows from something that the shell told. */
export function reduceApp(state: State, event: AppEvent, now: number): State {
  switch (event.type) {
    case "place": {
      const finding = event.place.state === "finding";
      return {
        ...state,
        app: { ...state.app, place: event.place },
        findingSince: finding ? (state.findingSince ?? now) : null,
      };
    }
    case "microphone":
      return { ...state, app: { ...state.app, microphone: event.permission } };
    case "settings":
      return { ...state, app: { ...state.app, settings: event.settings } };
    case "tray":
      return { ...state, app: { ...state.app, can_tray: event.there } };
    default:
      return state;
  }
}

/** What the shell knew when the window opened, or after everything has been forgotten. */
export function begin(state: State, app: AppStart, now: number): State {
  return {
    ...state,
    ready: true,
    app,
    radius: app.settings.radius,
    voice: { ...state.voice, settings: app.settings.voice },
    findingSince: app.place.state === "finding" ? now : null,
  };
}

export function notify(state: State, notice: Notice, now: number): State {
  // The same thing twice is one notice, said anew.
  const others = state.notices.filter((n) => !alike(n.notice, notice));
  return {
    ...state,
    notices: [...others, { id: state.nextNotice, at: now, notice }].slice(-MAX_NOTICES),
    nextNotice: state.nextNotice + 1,
  };
}

function alike(a: Notice, b: Notice): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function queued(id: string, text: string): Pending {
  return { id, text, state: "queued", retryAt: null, why: null, error: null };
}

function nameOf(state: State, peer: PeerId): string | undefined {
  return (
    state.people[peer]?.username ??
    state.blocked.find((b) => b.peer === peer)?.username ??
    state.messages.findLast((m) => m.message.from === peer)?.message.username
  );
}

function merge(state: State, added: ChatMessage[], now: number): ShownMessage[] {
  const byId = new Map(state.messages.map((m) => [m.message.id, m]));
  let inOrder = true;
  let last = state.messages.at(-1)?.message.sent_at ?? Number.NEGATIVE_INFINITY;
  for (const message of added) {
    const known = byId.get(message.id);
    byId.set(message.id, {
      message,
      goneAt: known?.goneAt ?? now + message.expires_in_ms,
      mentionsMe: !message.own && state.me !== null && mentions(message.text, state.me.username),
    });
    if (known === undefined) {
      inOrder &&= message.sent_at >= last;
      last = Math.max(last, message.sent_at);
    }
  }
  const messages = [...byId.values()];
  if (!inOrder) messages.sort((a, b) => a.message.sent_at - b.message.sent_at);
  return messages;
}

/** Nobody can read what is gone, so it is not unread either. */
function onlyThere(state: State): State {
  if (state.unread.length === 0 && state.unreadFrom === null) return state;
  const there = new Set(state.messages.map((m) => m.message.id));
  const unread = state.unread.filter((id) => there.has(id));
  const stands = state.unreadFrom !== null && there.has(state.unreadFrom);
  return { ...state, unread, unreadFrom: stands ? state.unreadFrom : (unread[0] ?? null) };
}

function byDistance(people: Record<PeerId, Person>): (a: PeerId, b: PeerId) => number {
  return (a, b) => {
    const [one, other] = [people[a], people[b]];
    if (!one || !other) return 0;
    return one.distance.min - other.distance.min || (a < b ? -1 : 1);
  };
}

function withPeople(state: State, list: Person[]): State {
  const people: Record<PeerId, Person> = {};
  for (const person of list) people[person.peer_id] = person;
  return { ...state, people, order: Object.keys(people).sort(byDistance(people)) };
}

function withPerson(state: State, person: Person): State {
  const known = state.people[person.peer_id];
  const people = { ...state.people, [person.peer_id]: person };
  if (known && known.distance.min === person.distance.min) return { ...state, people };
  const order = known ? state.order.slice() : [...state.order, person.peer_id];
  return { ...state, people, order: order.sort(byDistance(people)) };
}

function withoutPerson(state: State, peer: PeerId): State {
  return {
    ...state,
    people: without(state.people, peer),
    order: state.order.filter((other) => other !== peer),
    typing: state.typing.filter((other) => other !== peer),
    voicePeople: without(state.voicePeople, peer),
    quality: without(state.quality, peer),
  };
}

function without<T>(record: Record<PeerId, T>, peer: PeerId): Record<PeerId, T> {
  if (record[peer] === undefined) return record;
  const { [peer]: _, ...rest } = record;
  return rest;
}
