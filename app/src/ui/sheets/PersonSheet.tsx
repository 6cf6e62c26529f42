import { AtSign, Ban, Flag } from "lucide-react";
import { type ReactNode, useState } from "react";
import type { MessageId, PeerId, ReportReason } from "../../backend/types";
import { band, percent } from "../../lib/format";
import { tagOf } from "../../lib/glyph";
import { isTrouble, voiceWords } from "../../state/quality";
import { command, mention, useApp } from "../../state/store";
import { show } from "../../state/ui";
import { Glyph } from "../Glyph";
import { useWords } from "../hooks";
import { Button, Slider } from "../kit";
import { wordsText } from "../People";
import { SheetFrame } from "./Sheets";
import { Switch } from "./Switch";

const REASONS: ReportReason[] = ["spam", "abuse", "illegal", "other"];

/** Everything about one person, and everything that can be done about them. */
export function PersonSheet({
  peer,
  message,
  report,
}: {
  peer: PeerId;
  message: MessageId | undefined;
  /** Whether it is opened for a report. */
  report: boolean;
}) {
  const { t, language } = useWords();
  const person = useApp((s) => s.people[peer]);
  const said = useApp((s) => s.messages.findLast((m) => m.message.from === peer)?.message.username);
  // Whoever goes while this is open, having said nothing, is still the one it is about.
  const [opened] = useState(person?.username ?? "");
  const status = useApp((s) => (s.voice.phase === "off" ? undefined : s.voicePeople[peer]));
  const quality = useApp((s) => s.quality[peer]);
  const [reporting, setReporting] = useState(report);
  const name = person?.username ?? said ?? opened;
  const words = person?.in_voice ? voiceWords(person, status, quality) : null;
  return (
    <SheetFrame
      before={<Glyph peer={peer} size={44} />}
      title={
        <>
          <bdi>{name}</bdi> <span className="font-normal text-text-3 tabular">{tagOf(peer)}</span>
        </>
      }
    >
      <p className="text-text-2 tabular">
        {person ? t("person.away", { distance: band(person.distance, language) }) : t("person.gone")}
      </p>
      {person && person.former_usernames.length > 0 && (
        <p className="text-text-2">
          {t("person.history", {
            names: new Intl.ListFormat(language).format(person.former_usernames),
          })}
        </p>
      )}
      <p className="text-s text-text-3">{t("person.tag", { tag: tagOf(peer) })}</p>

      {words && (
        <Part>
          <p className={isTrouble(words) ? "font-semibold text-warn" : "font-semibold"}>
            {wordsText(words, t, language)}
          </p>
          {quality && status && (
            <p className="text-s text-text-3 tabular">
              {[
                ...(quality.relayed === null
                  ? []
                  : [quality.relayed ? t("person.relayed") : t("person.direct")]),
                t("person.delay", {
                  ms: Math.round(quality.delay_ms + (quality.round_trip_ms ?? 0) / 2),
                }),
                // Nothing lost is nothing to tell.
                ...(quality.loss < 0.005
                  ? []
                  : [t("person.loss", { percent: percent(quality.loss * 100, language) })]),
              ].join(" · ")}
            </p>
          )}
          {status && (
            <>
              <p className="flex justify-between gap-3 pt-3" aria-hidden="true">
                {t("person.volume_for_you")}
                <span className="tabular">{percent(status.volume_percent, language)}</span>
              </p>
              <Slider
                label={t("person.volume", { name })}
                value={status.volume_percent}
                min={0}
                max={200}
                step={5}
                text={percent(status.volume_percent, language)}
                disabled={status.muted_for_me}
                onChange={(volume_percent) =>
                  command({
                    type: "voice_person",
                    peer_id: peer,
                    volume_percent,
                    muted: status.muted_for_me,
                  })
                }
              />
              <Switch
                label={t("person.mute")}
                checked={status.muted_for_me}
                onChange={(muted) =>
                  command({
                    type: "voice_person",
                    peer_id: peer,
                    volume_percent: status.volume_percent,
                    muted,
                  })
                }
              />
            </>
          )}
        </Part>
      )}

      <Part>
        {reporting ? (
          <Report peer={peer} message={message} onDone={() => setReporting(false)} />
        ) : (
          <div className="grid gap-2">
            <Button className="justify-start" onClick={() => mention(name)}>
              <AtSign size={18} aria-hidden="true" />
              {t("chat.mention", { name })}
            </Button>
            <Button
              look="warning"
              className="justify-start"
              onClick={() => {
                command({ type: "block", peer_id: peer });
                show(null);
              }}
            >
              <Ban size={18} aria-hidden="true" />
              {t("person.block")}
            </Button>
            <p className="px-1 text-s text-text-3">{t("person.block_hint")}</p>
            <Button look="warning" className="justify-start" onClick={() => setReporting(true)}>
              <Flag size={18} aria-hidden="true" />
              {t("person.report")}
            </Button>
          </div>
        )}
      </Part>
    </SheetFrame>
  );
}

function Part({ children }: { children: ReactNode }) {
  return <div className="mt-4 border-t border-line pt-4">{children}</div>;
}

function Report({
  peer,
  message,
  onDone,
}: {
  peer: PeerId;
  message: MessageId | undefined;
  onDone: () => void;
}) {
  const { t } = useWords();
  const [reason, setReason] = useState<ReportReason | null>(null);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (!reason) return;
        command({
          type: "report",
          peer_id: peer,
          reason,
          ...(message !== undefined && { message_id: message }),
        });
        show(null);
      }}
    >
      <fieldset>
        <legend className="font-semibold">{t("person.reason")}</legend>
        <p className="pb-2 text-s text-text-3">{t("person.report_hint")}</p>
        {REASONS.map((one) => (
          <label key={one} className="flex min-h-11 items-center gap-3 rounded-ctl px-2 hover:bg-surface-2">
            <input
              type="radio"
              name="reason"
              className="size-5 accent-[var(--accent)]"
              checked={reason === one}
              onChange={() => setReason(one)}
            />
            {t(`person.${one}`)}
          </label>
        ))}
      </fieldset>
      <div className="flex gap-2 pt-3">
        <Button look="primary" type="submit" className="grow" disabled={!reason}>
          {t("person.send_report")}
        </Button>
        <Button onClick={onDone}>{t("app.cancel")}</Button>
      </div>
    </form>
  );
}
