import { explorerPlugin } from "@graphiql/plugin-explorer";
import { ToolbarButton } from "@graphiql/react";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { useState, useSyncExternalStore } from "react";
import { exampleTabs } from "./examples";
import { fetcher } from "./fetcher";
import { endSession } from "./http";
import { getState, subscribe } from "./session";
import { storage } from "./storage";

const PLUGINS = [HISTORY_PLUGIN, explorerPlugin()];

/** Example tabs for a page without tabs of its own. */
function examples() {
  const defaultTabs = exampleTabs();
  if (storage.getItem("graphiql:tabState") !== null) return { defaultTabs };
  const { query, variables } = defaultTabs[0]!;
  // GraphiQL takes the first tab's texts from these, and finds the tab again after a reload by what is stored.
  storage.setItem("graphiql:query", query);
  storage.setItem("graphiql:variables", variables);
  return { defaultTabs, initialQuery: query, initialVariables: variables };
}

function SignedIn() {
  const { session, known } = useSyncExternalStore(subscribe, getState);
  if (!session) return <span className="kyro-session">not signed in</span>;
  const remembered = Object.entries(known).map(([name, id]) => `${name}: ${id}`);
  return (
    <span className="kyro-session" title={remembered.join("\n")}>
      signed in as <b>{session.email ?? "?"}</b>
      <button type="button" onClick={() => void endSession()}>
        Sign out
      </button>
    </span>
  );
}

function UndoIcon() {
  return (
    <svg className="graphiql-toolbar-icon" viewBox="0 0 18 18" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
      <path d="M6 2 2 6l4 4M2 6h9a5 5 0 0 1 0 10H5" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  );
}

export function App() {
  const [{ round, tabs }, setStart] = useState(() => ({ round: 0, tabs: examples() }));

  function resetExamples() {
    if (!window.confirm("Replace all tabs by the examples?")) return;
    storage.removeItem("graphiql:tabState");
    setStart({ round: round + 1, tabs: examples() });
  }

  return (
    <GraphiQL
      key={round}
      fetcher={fetcher}
      storage={storage}
      {...tabs}
      plugins={PLUGINS}
      defaultEditorToolsVisibility="variables"
      shouldPersistHeaders={false}
    >
      <GraphiQL.Logo>
        <SignedIn />
      </GraphiQL.Logo>
      <GraphiQL.Toolbar>
        {({ prettify, merge, copy }) => (
          <>
            {prettify}
            {merge}
            {copy}
            <ToolbarButton label="Reset examples" onClick={resetExamples}>
              <UndoIcon />
            </ToolbarButton>
          </>
        )}
      </GraphiQL.Toolbar>
    </GraphiQL>
  );
}
