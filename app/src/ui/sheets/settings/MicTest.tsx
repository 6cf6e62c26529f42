import { useEffect } from "react";
import { command, useApp } from "../../../state/store";
import { useWords } from "../../hooks";
import { Button } from "../../kit";
import { levelPart } from "../../Voice";

/** What others would get, without anybody getting it. */
export function MicTest() {
  const { t } = useWords();
  const testing = useApp((s) => s.voice.testing);
  const inVoice = useApp((s) => s.voice.phase !== "off");
  const dbfs = useApp((s) => s.levels.own.dbfs);
  const threshold = useApp((s) =>
    s.voice.settings.mode === "voice_activity" ? s.voice.settings.activity_dbfs : null,
  );
  useEffect(() => {
    return () => {
      if (useApp.getState().voice.testing) command({ type: "voice_test", on: false });
    };
  }, []);
  const shown = testing || inVoice;
  return (
    <div className="py-1.5">
      {/* biome-ignore lint/a11y/useSemanticElements: <meter> can't carry the mark of the threshold */}
      <div
        role="meter"
        aria-label={t("voice.level")}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={shown ? Math.round(levelPart(dbfs) * 100) : 0}
        className="relative h-3 overflow-hidden rounded-full bg-surface-3 outline outline-transparent"
      >
        <span
          className="filled block h-full origin-left rounded-full bg-speak transition-transform duration-100 rtl:origin-right"
          style={{ transform: `scaleX(${shown ? levelPart(dbfs) : 0})` }}
        />
        {threshold !== null && (
          <span
            className="absolute inset-y-0 w-0.5 bg-text-1"
            style={{ insetInlineStart: `${levelPart(threshold) * 100}%` }}
          />
        )}
      </div>
      <div className="flex flex-wrap items-center justify-between gap-x-3 gap-y-1 pt-2">
        <p className="min-w-48 grow basis-0 text-s text-text-3">{t("settings.test_hint")}</p>
        {!inVoice && (
          <Button className="shrink-0" onClick={() => command({ type: "voice_test", on: !testing })}>
            {testing ? t("settings.stop_test") : t("settings.test")}
          </Button>
        )}
      </div>
    </div>
  );
}
