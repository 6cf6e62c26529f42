import { Component, type ReactNode } from "react";
import { translator } from "../i18n";
import { Button } from "./kit";

/** In place of a window that has failed, which would be an empty one: what is to be done. The engine goes on meanwhile. */
export class Broken extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    // Nothing here may depend on what has failed.
    return (
      <main
        role="alert"
        className="mx-auto flex h-full max-w-sm flex-col justify-center gap-4 px-6 text-center"
      >
        <p className="text-l font-semibold text-balance">{translator.t("app.broken")}</p>
        <Button look="primary" onClick={() => location.reload()}>
          {translator.t("app.reload")}
        </Button>
      </main>
    );
  }
}
