import { useState } from "react";
import { attempt, refuse, world } from "../../../state/store";
import { useWords } from "../../hooks";
import { Button } from "../../kit";

/** Nobody is asked for a newer version until the person is. */
export function Update() {
  const { t } = useWords();
  const [found, setFound] = useState<string | null | undefined>();
  return (
    <div className="flex flex-wrap items-center gap-3 pt-2">
      <p role="status">
        {found === null && t("settings.update_none")}
        {typeof found === "string" && t("settings.update_there", { version: found })}
      </p>
      {typeof found === "string" ? (
        <Button look="primary" onClick={() => void attempt(world().installUpdate())}>
          {t("settings.update_install")}
        </Button>
      ) : (
        <Button onClick={() => void world().lookForUpdate().then(setFound, refuse)}>
          {t("settings.update_look")}
        </Button>
      )}
    </div>
  );
}
