import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig(({ mode }) => ({
  plugins: [react(), tailwindcss()],
  // The scripted backend is for demonstration and tests: a release holds none of it.
  define: { __DEMO__: JSON.stringify(mode === "demo" || mode === "test") },
  resolve: {
    alias: { "react-remove-scroll": fileURLToPath(new URL("src/ui/RemoveScroll.tsx", import.meta.url)) },
  },
  clearScreen: false,
  server: { port: 5173, strictPort: true },
  build: {
    // WebKitGTK 2.40, Safari 16.4 and WebView2 understand this.
    target: ["es2022", "safari16.4", "chrome111"],
    cssMinify: true,
    modulePreload: { polyfill: false },
    manifest: true,
  },
  test: { environment: "node", include: ["src/**/*.test.ts", "src/**/*.test.tsx"] },
}));
