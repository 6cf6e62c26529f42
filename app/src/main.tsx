import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import type { Backend } from "./backend/backend";
import { chosenLanguage, speak, startTranslating } from "./i18n";
import { connect, useApp } from "./state/store";
import "./styles.css";

async function choose(): Promise<Backend> {
  if (__DEMO__ && !("__TAURI_INTERNALS__" in window)) {
    const { scriptedBackend } = await import("./backend/scripted/stage");
    return scriptedBackend(new URLSearchParams(location.search));
  }
  const { tauriBackend } = await import("./backend/tauri");
  return tauriBackend();
}

const [backend] = await Promise.all([choose(), startTranslating()]);
await connect(backend);
// Before anything shows, so that nobody sees it in another language first.
await speak(chosenLanguage(useApp.getState().app.settings.language));
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
