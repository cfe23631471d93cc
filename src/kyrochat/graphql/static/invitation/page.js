// Accepts an invitation by the token after the # of the address, which browsers keep from servers, proxies and logs.
const ABOUT = `query ($token: String!) { invitation(token: $token) { workspaceName role } }`;
const REGISTER = `mutation ($input: RegisterInput!) {
  result: register(input: $input) {
    __typename
    ... on InvalidInputProblem { issues { message } }
    ... on Problem { message }
  }
}`;
const SIGN_IN = `mutation ($input: LoginInput!) {
  result: login(input: $input) { __typename ... on Session { accessToken } ... on Problem { message } }
}`;
const ACCEPT = `mutation ($token: String!) {
  result: acceptInvitation(input: { token: $token }) { __typename ... on Problem { message } }
}`;
const LOGOUT = `mutation { logout }`;
const USELESS = "This invitation is not good any more, or the address lacks a part of the link. Ask for another one.";

const [form, email, password, about, message] = ["form", "email", "password", "about", "message"].map((id) =>
  document.getElementById(id),
);
const token = decodeURIComponent(location.hash.slice(1));
// Neither the history nor whoever looks over a shoulder needs it.
history.replaceState(null, "", location.pathname);

attempt(async () => {
  const found = token ? (await ask(ABOUT, { token })).invitation : null;
  if (!found) {
    message.textContent = USELESS;
    return;
  }
  const { workspaceName, role } = found;
  about.textContent = workspaceName ? `Join the workspace “${workspaceName}” as ${role}.` : "Make an account here.";
  document.getElementById("accept").hidden = !workspaceName;
  form.hidden = false;
  email.focus();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const isNew = event.submitter?.id !== "accept";
  attempt(() => (isNew ? register() : join()));
});

async function register() {
  const input = { email: email.value, password: password.value, invitationToken: token };
  const { result } = await ask(REGISTER, { input });
  show(result, "Session", "Your account is ready. Sign in with it.");
}

async function join() {
  const { result } = await ask(SIGN_IN, { input: { email: email.value, password: password.value } });
  if (result.__typename !== "Session") {
    show(result);
    return;
  }
  const accepted = await ask(ACCEPT, { token }, result.accessToken);
  // The session was for this alone.
  await ask(LOGOUT, {}, result.accessToken);
  show(accepted.result, "Workspace", "You have joined. Sign in, or reload where you are signed in.");
}

async function attempt(work) {
  form.inert = true;
  message.textContent = "";
  try {
    await work();
  } catch {
    message.textContent = "The server cannot be reached. Try again in a moment.";
  } finally {
    form.inert = false;
  }
}

async function ask(query, variables, accessToken) {
  const headers = { "Content-Type": "application/json" };
  if (accessToken) headers.Authorization = `Bearer ${accessToken}`;
  const response = await fetch("graphql", { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = await response.json();
  return errors ? { result: { message: errors[0].message } } : data;
}

function show(result, success, words) {
  if (result.__typename === success) {
    form.remove();
    message.textContent = words;
  } else {
    message.textContent = result.issues?.map((issue) => issue.message).join(" ") ?? result.message;
  }
}
