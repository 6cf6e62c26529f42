import { useEffect, useRef, useState } from "react";
import { splitQuote } from "../lib/text";
import { useApp, world } from "../state/store";
import { useWords } from "./hooks";
import { useStatusSentence } from "./Status";
import { chime } from "./sounds";

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
    const { username, text, from, id } = last.message;
    const plain = splitQuote(text).rest;
    const words = t(last.mentionsMe ? "live.mention" : "live.message", { name: username, text: plain });
    setSaid({ id, words });
    if (last.mentionsMe && settings.sounds) chime("mention");
    const wanted = last.mentionsMe ? settings.notify_mentions : settings.notify_messages;
    if (!wanted || (!document.hidden && document.hasFocus())) return;
    const open = settings.notify_contents;
    const title = last.mentionsMe
      ? open
        ? t("notification.mention", { name: username })
        : t("notification.hidden_mention")
      : open
        ? t("notification.message", { name: username })
        : t("notification.hidden_message");
    const body = open ? plain : t("notification.hidden_body");
    void world()
      .notify({ title, body, tag: open ? from : id })
      .catch(() => {});
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
