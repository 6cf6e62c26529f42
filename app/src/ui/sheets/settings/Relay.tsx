import { useId, useState } from "react";
import type { RelayCheck } from "../../../backend/types";
import { hostOf, isReadable } from "../../../state/status";
import { attempt, useApp, world } from "../../../state/store";
import { show } from "../../../state/ui";
import { useWords } from "../../hooks";
import { Button } from "../../kit";

export function Relay() {
  const { t } = useWords();
  const present = useApp((s) => s.app.settings.relay);
  const [address, setAddress] = useState(present);
  const [check, setCheck] = useState<RelayCheck | "asking" | null>(null);
  const id = useId();
  const ask = async () => {
    setCheck("asking");
    setCheck(await attempt(world().checkRelay(address.trim())));
  };
  const good = check !== null && check !== "asking" && (check.result === "ok" || check.result === "degraded");
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void ask();
      }}
    >
      <p className="pb-2 text-text-2">{t("settings.relay_present", { relay: hostOf(present) })}</p>
      <label className="block pb-1" htmlFor={id}>
        {t("settings.relay_address")}
      </label>
      <div className="flex gap-2">
        <input
          id={id}
          value={address}
          dir="ltr"
          inputMode="url"
          autoComplete="off"
          spellCheck={false}
          aria-describedby={`${id}-hint`}
          className="selectable min-h-12 w-full min-w-0 rounded-ctl border border-line-strong bg-surface-0 px-3 focus:border-accent focus:outline-none"
          onChange={(event) => {
            setAddress(event.target.value);
            setCheck(null);
          }}
        />
        <Button type="submit" disabled={address.trim() === "" || check === "asking"}>
          {t("settings.relay_check")}
        </Button>
      </div>
      <p role="status" className="min-h-6 pt-2 font-semibold">
        {check !== null && relayWords(check, t)}
      </p>
      {good && isReadable(address.trim()) && (
        <p className="pb-2 font-semibold text-warn">{t("settings.relay_readable")}</p>
      )}
      {good && address.trim() !== present && (
        <Button
          look="primary"
          className="mb-3 w-full"
          onClick={() => {
            show(null);
            void attempt(world().changeRelay(address.trim()));
          }}
        >
          {t("settings.relay_use")}
        </Button>
      )}
      <p id={`${id}-hint`} className="text-s text-text-3">
        {t("settings.relay_hint")}
      </p>
    </form>
  );
}

function relayWords(check: RelayCheck | "asking", t: ReturnType<typeof useWords>["t"]): string {
  if (check === "asking") return t("settings.relay_checking");
  switch (check.result) {
    case "ok":
      return t("settings.relay_ok", { ms: check.round_trip_ms, version: check.version });
    case "degraded":
      return t("settings.relay_degraded", { reason: check.reason });
    default:
      return t(`settings.relay_${check.result}`);
  }
}
