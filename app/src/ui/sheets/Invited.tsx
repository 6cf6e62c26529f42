import { hostOf, isReadable } from "../../state/status";
import { attempt, useApp, world } from "../../state/store";
import { show } from "../../state/ui";
import { useWords } from "../hooks";
import { Button } from "../kit";
import { SheetFrame } from "./Sheets";

/** A link asks to go to another relay: nobody is moved without being asked. */
export default function Invited({ relay }: { relay: string }) {
  const { t } = useWords();
  const present = useApp((s) => hostOf(s.app.settings.relay));
  const host = hostOf(relay);
  return (
    <SheetFrame title={t("invite.invited_title")}>
      <p className="text-text-2 [overflow-wrap:anywhere]">{t("invite.invited", { relay: host, present })}</p>
      {isReadable(relay) && <p className="pt-3 font-semibold text-warn">{t("settings.relay_readable")}</p>}
      <div className="flex flex-wrap gap-2 pt-5">
        <Button
          look="primary"
          className="grow"
          onClick={() => {
            show(null);
            void attempt(world().changeRelay(relay));
          }}
        >
          {t("invite.go", { relay: host })}
        </Button>
        <Button onClick={() => show(null)}>{t("invite.stay")}</Button>
      </div>
    </SheetFrame>
  );
}
