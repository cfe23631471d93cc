import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { buildInfo } from "./build-info.js";

const here = fileURLToPath(new URL(".", import.meta.url));

const server = process.env.KYROCHAT_URL ?? "http://127.0.0.1:8000";

export default defineConfig(({ command }) => ({
  root: here,
  // Relative addresses, so that the page works below any reverse-proxy prefix.
  base: command === "build" ? "./" : "/graphiql/",
  server: { proxy: { "/graphql": { target: server, ws: true, changeOrigin: true, rewriteWsOrigin: true } } },
  plugins: [react(), buildInfo(here)],
  resolve: {
    alias: [
      // GraphiQL asks for the whole editor; ours is the part that GraphQL and JSON need.
      { find: "monaco-editor/esm/vs/editor/edcore.main.js", replacement: `${here}src/monaco.ts` },
    ],
  },
  worker: { format: "es" },
  build: {
    outDir: "../../src/kyrochat/graphql/static/graphiql",
    emptyOutDir: true,
    target: "es2022",
    // No data: addresses from us: a stricter content security policy will do.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4000,
    // "use no memo" speaks to a compiler that has run already.
    rolldownOptions: { checks: { moduleLevelDirective: false } },
    license: { fileName: "LICENSES.md" },
  },
}));
