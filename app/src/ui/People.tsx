import { HeadphoneOff, Mic, MicOff } from "lucide-react";
import { memo, useRef } from "react";
import { Virtualizer } from "virtua";
import type { PeerId, Person } from "../backend/types";
import { band, percent } from "../lib/format";
import { tagOf } from "../lib/glyph";
import { isTrouble, type VoiceWords, voiceWords } from "../state/quality";
import { useApp } from "../state/store";
import { show, useUi } from "../state/ui";
import { Glyph } from "./Glyph";
import { useWords } from "./hooks";

/** Everyone in range, nearest first; those who are in voice come before. */
export function People({ only }: { only?: "voice" }) {
  const { t } = useWords();
  const order = useApp((s) => s.order);
  const people = useApp((s) => s.people);
  const placed = useApp((s) => s.located !== null);
  const scroller = useRef<HTMLDivElement>(null);
  const inVoice = order.filter((peer) => people[peer]?.in_voice);
  const others = only === "voice" ? [] : order.filter((peer) => !people[peer]?.in_voice);
  const shown = [...inVoice, ...others];
  const title = only === "voice" ? t("people.in_voice", { count: inVoice.length }) : t("people.title");
  return (
    <section
      aria-label={title}
      className={`flex grow flex-col ${only === "voice" ? "min-h-0" : "min-h-28 wide:min-h-16"}`}
    >
      <h2 className={only === "voice" ? "px-4 pt-3 pb-1 text-s font-semibold text-text-3" : "sr-only"}>
        {title}
      </h2>
      <div
        ref={scroller}
        tabIndex={shown.length > 0 ? -1 : 0}
        className="min-h-0 grow overflow-y-auto px-2 py-2"
      >
        {shown.length === 0 ? (
          <p className="px-2 py-1 text-text-2">{only === "voice" || !placed ? null : t("people.none")}</p>
        ) : (
          <Virtualizer as="ul" item="li" scrollRef={scroller} itemSize={56}>
            {shown.map((peer) => (
              <PersonRow key={peer} peer={peer} />
            ))}
          </Virtualizer>
        )}
      </div>
    </section>
  );
}

const PersonRow = memo(function PersonRow({ peer }: { peer: PeerId }) {
  const { t, language } = useWords();
  const person = useApp((s) => s.people[peer]);
  // Of a call that one is not in, there is nothing to say.
  const status = useApp((s) => (s.voice.phase === "off" ? undefined : s.voicePeople[peer]));
  const quality = useApp((s) => s.quality[peer]);
  const speaking = useApp((s) => s.levels.people[peer]?.speaking ?? false);
  if (!person) return null;
  const words = person.in_voice ? voiceWords(person, status, quality) : null;
  const spoken = words === null ? "" : speaking ? t("words.speaking") : wordsText(words, t, language);
  const trouble = words !== null && isTrouble(words);
  const away = band(person.distance, language);
  const former = person.former_usernames.at(-1);
  return (
    <button
      type="button"
      className="flex min-h-14 w-full items-center gap-3 rounded-ctl px-2 py-1.5 text-start transition-colors hover:bg-surface-2"
      onClick={() => show({ kind: "person", peer })}
      onPointerEnter={() => useUi.setState({ hovered: peer })}
      onPointerLeave={() => useUi.setState({ hovered: null })}
    >
      <span className="relative grid size-9 shrink-0 place-items-center">
        {speaking && <span className="absolute inset-0 rounded-full border-2 border-speak" />}
        <Glyph peer={peer} size={26} />
      </span>
      <span className="min-w-0 grow">
        <span className="flex items-baseline gap-1.5">
          <bdi className="truncate font-semibold">{person.username}</bdi>
          <span className="text-s text-text-3 tabular">{tagOf(peer)}</span>
          {former !== undefined && (
            <span className="truncate text-s text-text-3">{t("people.was", { name: former })}</span>
          )}
        </span>
        <span className="flex flex-wrap gap-x-1.5 text-s text-text-3">
          <span className="shrink-0 tabular">{away}</span>
          {words && (
            <span
              className={
                trouble
                  ? "line-clamp-2 font-semibold text-warn"
                  : speaking
                    ? "font-semibold text-speak-text"
                    : "truncate"
              }
            >
              {trouble ? spoken : `· ${spoken}`}
            </span>
          )}
        </span>
      </span>
      {person.in_voice && <VoiceSign person={person} />}
    </button>
  );
});

function VoiceSign({ person }: { person: Person }) {
  const props = { size: 18, "aria-hidden": true, className: "shrink-0 text-text-3" } as const;
  if (person.deafened) return <HeadphoneOff {...props} />;
  return person.muted ? <MicOff {...props} /> : <Mic {...props} className="shrink-0 text-speak-text" />;
}

/** The words for how somebody's voice fares. */
export function wordsText(words: VoiceWords, t: ReturnType<typeof useWords>["t"], language: string): string {
  switch (words.kind) {
    case "choppy_here":
    case "choppy_there":
      return t(`words.${words.kind}`, { percent: percent(words.percent, language) });
    case "late":
      return t("words.late", {
        seconds: new Intl.NumberFormat(language, {
          style: "unit",
          unit: "second",
          unitDisplay: "short",
          maximumFractionDigits: 1,
        }).format(words.seconds),
      });
    default:
      return t(`words.${words.kind}`);
  }
}
