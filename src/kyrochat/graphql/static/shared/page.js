// Shows a conversation by the token after the # of the address, which browsers keep from servers, proxies and logs.
// Whatever somebody or a model wrote is shown as text: nothing of it becomes a part of the page.
const SHARED = `query ($token: String!, $before: String) {
  sharedConversation(token: $token) {
    title
    botName
    sharedAt
    messages(last: 50, before: $before) {
      pageInfo { hasPreviousPage startCursor }
      nodes { role status text citations { number quote documentTitle page } }
    }
  }
}`;
const USELESS = "This link is not good any more, or the address lacks a part of it.";
const CUT_SHORT = { STOPPED: "stopped", INTERRUPTED: "interrupted", FAILED: "failed" };

const [title, about, messages, message] = ["title", "about", "messages", "message"].map((id) =>
  document.getElementById(id),
);
const token = decodeURIComponent(location.hash.slice(1));

try {
  await show();
} catch {
  message.textContent = "The server cannot be reached. Try again in a moment.";
}

async function show() {
  let before = null;
  do {
    const { found, refusal } = token ? await ask({ token, before }) : {};
    if (!found) {
      message.textContent = refusal ?? USELESS;
      return;
    }
    if (before === null) introduce(found);
    // A page has the newest first; the last page has the oldest.
    for (const each of found.messages.nodes.toReversed()) messages.append(written(each, found.botName));
    const { hasPreviousPage, startCursor } = found.messages.pageInfo;
    before = hasPreviousPage ? startCursor : null;
  } while (before !== null);
}

function introduce(found) {
  title.textContent = document.title = found.title || "A shared conversation";
  about.textContent = `With ${found.botName}, shared on ${new Date(found.sharedAt).toLocaleDateString()}.`;
}

function written({ role, status, text, citations }, botName) {
  const who = role === "USER" ? "Question" : botName;
  const ending = CUT_SHORT[status] ? [element("p", `This answer was ${CUT_SHORT[status]}.`, "hint")] : [];
  const quotes = citations.map(({ number, quote, documentTitle, page }) =>
    element("li", `[${number}] “${quote}” — ${documentTitle}${page === null ? "" : `, page ${page}`}`),
  );
  const list = quotes.length ? [element("ul", "", "hint", ...quotes)] : [];
  const kind = role === "USER" ? "question" : "answer";
  return element("section", "", kind, element("h2", who), element("p", text, "said"), ...ending, ...list);
}

function element(name, text, kind, ...children) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  made.append(...children);
  return made;
}

async function ask(variables) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ query: SHARED, variables });
  const response = await fetch("graphql", { method: "POST", headers, body });
  const { data, errors } = await response.json();
  return errors ? { refusal: errors[0].message } : { found: data.sharedConversation };
}
