import { Copy, Share2 } from "lucide-react";
import { useEffect, useState } from "react";
import { encode } from "uqr";
import { hostOf } from "../../state/status";
import { attempt, refuse, say, useApp, world } from "../../state/store";
import { useWords } from "../hooks";
import { Button } from "../kit";
import { SheetFrame } from "./Sheets";

/** A link and a code that bring others to this relay. */
export default function Invite() {
  const { t } = useWords();
  const relay = useApp((s) => s.app.settings.relay);
  const [link, setLink] = useState<string | null>(null);
  useEffect(() => {
    void attempt(world().inviteLink()).then(setLink);
  }, []);
  return (
    <SheetFrame title={t("invite.title")}>
      <p className="text-text-2">{t("invite.hint")}</p>
      {link !== null && (
        <>
          <div className="mx-auto mt-4 w-fit rounded-card bg-[oklch(1_0_0)] p-4">
            <Code text={link} label={t("invite.qr")} />
          </div>
          <p className="pt-3 text-center font-semibold [overflow-wrap:anywhere]" dir="ltr">
            {hostOf(relay)}
          </p>
          <div className="flex flex-wrap gap-2 pt-4">
            <Button
              look="primary"
              className="grow"
              onClick={() =>
                void navigator.clipboard.writeText(link).then(() => say({ kind: "copied" }), refuse)
              }
            >
              <Copy size={18} aria-hidden="true" />
              {t("invite.copy")}
            </Button>
            {"share" in navigator && (
              <Button onClick={() => void navigator.share({ url: link }).catch(() => {})}>
                <Share2 size={18} aria-hidden="true" />
                {t("invite.share")}
              </Button>
            )}
          </div>
        </>
      )}
    </SheetFrame>
  );
}

function Code({ text, label }: { text: string; label: string }) {
  const { data, size } = encode(text, { ecc: "M", border: 0 });
  const path = data.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ""))).join("");
  return (
    <svg
      role="img"
      aria-label={label}
      viewBox={`0 0 ${size} ${size}`}
      className="size-52"
      shapeRendering="crispEdges"
    >
      <path d={path} fill="oklch(0.2 0.03 212)" />
    </svg>
  );
}
