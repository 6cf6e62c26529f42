import { useEffect, useRef, useState } from "react";
import type { Settings } from "../backend/types";
import { splitQuote } from "../lib/text";
import type { ShownMessage } from "../state/state";
import { refuse, useApp, world } from "../state/store";
import { useWords } from "./hooks";
import { useStatusSentence } from "./Status";
import { chime } from "./sounds";

type Words = ReturnType<typeof useWords>["t"];

/** Whether it has been said that nothing shows notifications; once is enough. */
let saidSo = false;

/** The system tells of one of these: of the last that was for this person, or else of the last. */
function notifyOf(fresh: ShownMessage[], settings: Settings, t: Words): void {
  const mention = settings.notify_mentions ? fresh.findLast((m) => m.mentionsMe) : undefined;
  const shown = mention ?? (settings.notify_messages ? fresh.at(-1) : undefined);
  if (!shown) return;
  const { username, text, from, id } = shown.message;
  const kind = mention ? "mention" : "message";
  const notification = settings.notify_contents
    ? { title: t(`notification.${kind}`, { name: username }), body: splitQuote(text).rest, tag: from }
    : { title: t(`notification.hidden_${kind}`), body: t("notification.hidden_body"), tag: id };
  world()
    .notify(notification)
    .catch((error: unknown) => {
      if (!saidSo) refuse(error);
      saidSo = true;
    });
}

/**
 * What others say, for screen readers, for ears, and for those who look elsewhere. The list of
 * messages itself is quiet, since scrolling it would be read aloud otherwise.
 */
export function Live() {
  const { t } = useWords();
  const [said, setSaid] = useState({ id: "", words: "" });
  const messages = useApp((s) => s.messages);
  const settings = useApp((s) => s.app.settings);
  const phase = useApp((s) => s.voice.phase);
  const status = useStatusSentence();
  const known = useRef<Set<string> | null>(null);

  useEffect(() => {
    const before = known.current;
    known.current = new Set(messages.map((m) => m.message.id));
    if (!before) return;
    const fresh = messages.filter((m) => !before.has(m.message.id) && !m.message.own);
    const last = fresh.at(-1);
    // Many at once are history.
    if (!last || fresh.length > 5) return;
    const { username, text, id } = last.message;
    const heard = { name: username, text: splitQuote(text).rest };
    const words = t(last.mentionsMe ? "live.mention" : "live.message", heard);
    setSaid({ id, words });
    if (last.mentionsMe && settings.sounds) chime("mention");
    if (document.hidden || !document.hasFocus()) notifyOf(fresh, settings, t);
  }, [messages, settings, t]);

  // What has gone is gone from here too: blocked, dissolved, or erased in a hurry.
  const there = messages.some((m) => m.message.id === said.id);

  const before = useRef(phase);
  useEffect(() => {
    if (phase === "in_voice" && before.current !== "in_voice" && settings.sounds) chime("joined");
    before.current = phase;
  }, [phase, settings.sounds]);

  return (
    <>
      <p aria-live="polite" className="sr-only">
        {there && said.words}
      </p>
      <p role="status" className="sr-only">
        {status}
      </p>
    </>
  );
}
